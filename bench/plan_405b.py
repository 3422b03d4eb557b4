#!/usr/bin/env python3
"""Seconds of `lathe plan` for a Llama of 405 billion parameters, of which there are headers alone.

    bench/plan_405b.py --folder /tmp/plan [--lathe build/release/bin/lathe] [--formats w4a16_nvfp4,fp8]

makes a checkpoint of 254 shards (sparse files: some megabytes on the disk, 811 GB by their sizes) and prints the wall
and processor time of each plan, with 16 x 512 token ids as calibration data, and the line that sums it up.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import time

from extreme_checkpoints import write_header

LAYERS, HIDDEN, INNER, HEADS, KV_HEADS, VOCAB = 126, 16384, 53248, 128, 8, 128256
CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN, "intermediate_size": INNER,
          "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS,
          "vocab_size": VOCAB, "rms_norm_eps": 1e-5, "hidden_act": "silu", "max_position_embeddings": 131072,
          "rope_theta": 500000.0, "tie_word_embeddings": False, "torch_dtype": "bfloat16"}


def shards() -> list[dict[str, list[int]]]:
    """The embedding, two shards a layer, and the head with the last norm."""
    kv = HIDDEN // HEADS * KV_HEADS
    found = [{"model.embed_tokens.weight": [VOCAB, HIDDEN]}]
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        found.append({prefix + "input_layernorm.weight": [HIDDEN], prefix + "self_attn.q_proj.weight": [HIDDEN, HIDDEN],
                      prefix + "self_attn.k_proj.weight": [kv, HIDDEN], prefix + "self_attn.v_proj.weight": [kv, HIDDEN],
                      prefix + "self_attn.o_proj.weight": [HIDDEN, HIDDEN]})
        found.append({prefix + "post_attention_layernorm.weight": [HIDDEN],
                      prefix + "mlp.gate_proj.weight": [INNER, HIDDEN], prefix + "mlp.up_proj.weight": [INNER, HIDDEN],
                      prefix + "mlp.down_proj.weight": [HIDDEN, INNER]})
    return found + [{"model.norm.weight": [HIDDEN], "lm_head.weight": [VOCAB, HIDDEN]}]


def make_checkpoint(folder: pathlib.Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    weight_map, total, found = {}, 0, shards()
    for index, shapes in enumerate(found):
        name = f"model-{index + 1:05}-of-{len(found):05}.safetensors"
        with open(folder / name, "wb") as file:
            size = write_header(file, shapes)
            file.truncate(file.tell() + size)
        total += size
        weight_map.update(dict.fromkeys(shapes, name))
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lathe", default="build/release/bin/lathe")
    parser.add_argument("--folder", type=pathlib.Path, required=True, help="for the checkpoint")
    parser.add_argument("--formats", default="w4a16_nvfp4,fp8")
    arguments = parser.parse_args()
    make_checkpoint(arguments.folder)
    ids = arguments.folder.parent / f"{arguments.folder.name}-ids.npy"
    ids.write_bytes(token_ids(samples=16, length=512))
    for name in arguments.formats.split(","):
        before, start = os.times(), time.monotonic()
        command = [arguments.lathe, "plan", str(arguments.folder), "--format", name, "--calib", str(ids)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        seconds, after = time.monotonic() - start, os.times()
        processor = after.children_user + after.children_system - before.children_user - before.children_system
        print(f"{name:12} {seconds:.2f} s, {processor:.2f} s of processor time: {output.strip().splitlines()[-1]}")
    ids.unlink()
    shutil.rmtree(arguments.folder)


def token_ids(samples: int, length: int) -> bytes:
    """A .npy file of int64 [samples, length]."""
    header = f"{{'descr': '<i8', 'fortran_order': False, 'shape': ({samples}, {length}), }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    data = b"".join((i % 1000).to_bytes(8, "little") for i in range(samples * length))
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + data


if __name__ == "__main__":
    main()
