#!/usr/bin/env python3
"""Rate and memory of a weight-only quantization of a large checkpoint.

Generates a llama checkpoint of the wanted size with random bfloat16 weights, measures how fast the disk reads and
writes, runs `lathe quantize`, and prints the input rate, the peak of anonymous memory and the share of the disk's rate.

    bench/weight_only.py --lathe build/release/bin/lathe --folder /tmp/weight-only --gigabytes 8 --format w4a16_nvfp4
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import time

HIDDEN, INNER, HEADS, KV_HEADS, VOCAB = 4096, 11008, 32, 8, 32000
SHARD_BYTES = 4_000_000_000


def tensor_shapes(layers: int) -> list[tuple[str, list[int]]]:
    kv = HIDDEN // HEADS * KV_HEADS
    shapes = [("model.embed_tokens.weight", [VOCAB, HIDDEN])]
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        shapes += [(prefix + name + ".weight", shape) for name, shape in [
            ("input_layernorm", [HIDDEN]), ("mlp.down_proj", [HIDDEN, INNER]), ("mlp.gate_proj", [INNER, HIDDEN]),
            ("mlp.up_proj", [INNER, HIDDEN]), ("post_attention_layernorm", [HIDDEN]),
            ("self_attn.k_proj", [kv, HIDDEN]), ("self_attn.o_proj", [HIDDEN, HIDDEN]),
            ("self_attn.q_proj", [HIDDEN, HIDDEN]), ("self_attn.v_proj", [kv, HIDDEN])]]
    return shapes + [("model.norm.weight", [HIDDEN]), ("lm_head.weight", [VOCAB, HIDDEN])]


def numel(shape: list[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def random_weights(count: int) -> bytes:
    """bfloat16 numbers of about the size of trained weights: a random sign and mantissa, exponents -4 to -11."""
    generator = random.Random(0)
    block = bytearray(generator.randbytes(2 * (1 << 20)))
    for i in range(1, len(block), 2):
        block[i] = (block[i] & 0x80) | (0x3A + (block[i] & 0x03))
    return bytes(block) * (2 * count // len(block) + 1)


def write_shard(path: pathlib.Path, tensors: list[tuple[str, list[int]]]) -> None:
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in tensors:
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + 2 * numel(shape)]}
        offset += 2 * numel(shape)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    pool = memoryview(random_weights(max(numel(shape) for _, shape in tensors)))
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, shape in tensors:
            file.write(pool[:2 * numel(shape)])
        file.flush()
        os.fsync(file.fileno())


def make_checkpoint(folder: pathlib.Path, gigabytes: float) -> int:
    """Writes it, unless a checkpoint of this size is there; gives its bytes."""
    layer_bytes = 2 * sum(numel(shape) for name, shape in tensor_shapes(1) if "layers" in name)
    fixed = 2 * sum(numel(shape) for _, shape in tensor_shapes(0))
    layers = max(1, round((gigabytes * 1e9 - fixed) / layer_bytes))
    tensors = tensor_shapes(layers)
    total = 2 * sum(numel(shape) for _, shape in tensors)
    if (folder / "done").exists() and (folder / "done").read_text() == str(total):
        return total
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shards: list[list] = [[]]
    for tensor in tensors:
        if sum(2 * numel(shape) for _, shape in shards[-1]) + 2 * numel(tensor[1]) > SHARD_BYTES:
            shards.append([])
        shards[-1].append(tensor)
    weight_map = {}
    for index, shard in enumerate(shards):
        name = f"model-{index + 1:05}-of-{len(shards):05}.safetensors"
        write_shard(folder / name, shard)
        weight_map.update({tensor: name for tensor, _ in shard})
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}))
    (folder / "config.json").write_text(json.dumps({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN,
        "intermediate_size": INNER, "num_hidden_layers": layers, "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS, "vocab_size": VOCAB, "rms_norm_eps": 1e-5, "hidden_act": "silu",
        "max_position_embeddings": 4096, "rope_theta": 10000.0, "tie_word_embeddings": False,
        "torch_dtype": "bfloat16"}))
    (folder / "done").write_text(str(total))
    return total


def drop_caches(folder: pathlib.Path) -> None:
    """The files' pages leave the page cache, so that they come from the disk."""
    for path in folder.iterdir():
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def fill_caches(folder: pathlib.Path) -> None:
    for path in folder.iterdir():
        with open(path, "rb", buffering=0) as file:
            while file.read(1 << 24):
                pass


def disk_read_rate(folder: pathlib.Path) -> float:
    drop_caches(folder)
    path = max(folder.glob("*.safetensors"), key=lambda file: file.stat().st_size)
    start, count = time.monotonic(), 0
    with open(path, "rb", buffering=0) as file:
        while count < 1_000_000_000 and (piece := file.read(1 << 24)):
            count += len(piece)
    return count / (time.monotonic() - start)


def disk_write_rate(folder: pathlib.Path) -> float:
    path, piece = folder / "write-rate.tmp", os.urandom(1 << 24)
    start = time.monotonic()
    with open(path, "wb", buffering=0) as file:
        for _ in range(60):
            file.write(piece)
        os.fsync(file.fileno())
    rate = 60 * len(piece) / (time.monotonic() - start)
    path.unlink()
    return rate


def anonymous_memory(pid: int) -> int:
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0


def run(command: list[str]) -> tuple[float, int]:
    """Seconds, and the largest anonymous memory seen."""
    start, peak = time.monotonic(), 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        peak = max(peak, anonymous_memory(process.pid))
        time.sleep(0.01)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return time.monotonic() - start, peak


def fastest(runs: list[tuple[float, int]]) -> tuple[float, int]:
    """The fewest seconds and the most memory of all."""
    return min(seconds for seconds, _ in runs), max(peak for _, peak in runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lathe", default="build/release/bin/lathe")
    parser.add_argument("--folder", type=pathlib.Path, required=True, help="for the checkpoint and the output")
    parser.add_argument("--gigabytes", type=float, default=8)
    parser.add_argument("--format", default="w4a16_nvfp4")
    parser.add_argument("--runs", type=int, default=3, help="of which the fastest counts")
    parser.add_argument("--cold", action="store_true", help="read the checkpoint from the disk, not the page cache")
    arguments = parser.parse_args()
    source, output = arguments.folder / "source", arguments.folder / "output"
    total = make_checkpoint(source, arguments.gigabytes)
    read_rate, write_rate = disk_read_rate(source), disk_write_rate(arguments.folder)
    runs = []
    for _ in range(arguments.runs):
        (drop_caches if arguments.cold else fill_caches)(source)
        runs.append(run([arguments.lathe, "quantize", str(source), "-o", str(output), "--format", arguments.format,
                         "--force", "--quiet"]))
    seconds, peak = fastest(runs)
    written = sum(path.stat().st_size for path in output.iterdir())
    disk_seconds = (total / read_rate if arguments.cold else 0) + written / write_rate
    print(f"input {total / 1e9:.2f} GB, output {written / 1e9:.2f} GB: {total / seconds / 1e9:.2f} GB/s of input; "
          f"all runs: {', '.join(f'{own:.1f}' for own, _ in runs)} s")
    print(f"disk: reads {read_rate / 1e9:.2f} GB/s, writes {write_rate / 1e9:.2f} GB/s; "
          f"{'reading and ' if arguments.cold else ''}writing alone {'take' if arguments.cold else 'takes'} {disk_seconds:.1f} s")
    print(f"peak anonymous memory {peak / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
