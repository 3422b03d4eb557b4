#!/usr/bin/env python3
"""Checkpoints at the ends of the scale: 200,000 small tensors, and one tensor of 20 GB.

    extreme_checkpoints.py --lathe build/release/bin/lathe --folder /tmp/extreme [--only many|flat|large]

makes them (of an unknown architecture; the large tensor is a sparse file), runs `lathe inspect`, `plan` and `quantize`
on each, checks what was written against the source, kills a run in its middle, resumes it and compares the bytes.
Prints seconds and the largest anonymous memory (RssAnon, looked at every 10 ms) of each run; fails if something is
wrong, or if a run needs more than --limit MiB. The large tensor writes 6 GB.
"""

import argparse
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import struct
import subprocess
import time

from weight_only import run

FORMAT = "w4a16_nvfp4"
E2M1 = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
SMALL = [16, 32]  # the shape of a small weight
LARGE = [81920, 131072]
LARGE_ROWS = (0, 1, 40960, 81919)  # of the large tensor, those that are not zero


def write_header(file, shapes: dict[str, list[int]]) -> int:
    """All bfloat16; gives the bytes of the data."""
    header, offset = {}, 0
    for name, shape in shapes.items():
        size = 2
        for extent in shape:
            size *= extent
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)
    return offset


def weights(seed: int, count: int) -> bytes:
    """bfloat16 numbers between 2^-12 and 2^-3."""
    block = bytearray(random.Random(seed).randbytes(2 * count))
    for i in range(1, len(block), 2):
        block[i] = (block[i] & 0x80) | 0x3A + (block[i] & 0x03)
    return bytes(block)


def make_many(folder: pathlib.Path, count: int, flat: bool) -> None:
    """Three weights and a norm in turn, 100 units of four in each of 500 blocks, or all beside each other."""
    shapes = {}
    for i in range(count):
        name = f"layer{i}" if flat else f"blocks.{i // 400}.units.{i // 4 % 100}.{'abcd'[i % 4]}"
        shapes[name + ".weight"] = SMALL if i % 4 < 3 else SMALL[1:]
    pool = weights(0, 1 << 20)
    with open(folder / "model.safetensors", "wb") as file:
        left = write_header(file, shapes)
        while left > 0:
            file.write(pool[:left])
            left -= len(pool[:left])


def make_large(folder: pathlib.Path) -> None:
    with open(folder / "model.safetensors", "wb") as file:
        size = write_header(file, {"wide.proj.weight": LARGE})
        begin = file.tell()
        file.truncate(begin + size)
        for row in LARGE_ROWS:
            file.seek(begin + 2 * LARGE[1] * row)
            file.write(weights(row, LARGE[1]))


class Checkpoint:
    """Reads tensors of all shards of a folder."""

    def __init__(self, folder: pathlib.Path):
        self.entries = {}
        for path in sorted(folder.glob("*.safetensors")):
            file = open(path, "rb")
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length))
            header.pop("__metadata__", None)
            for name, entry in header.items():
                self.entries[name] = (file, 8 + length + entry["data_offsets"][0], entry)

    def bytes(self, name: str, begin: int = 0, count: int | None = None) -> bytes:
        file, offset, entry = self.entries[name]
        size = entry["data_offsets"][1] - entry["data_offsets"][0]
        file.seek(offset + begin)
        return file.read(size - begin if count is None else count)


def bfloat16(data: bytes) -> list[float]:
    return [struct.unpack("<f", struct.pack("<I", bits << 16))[0] for bits in struct.unpack(f"<{len(data) // 2}H", data)]


def e4m3(code: int) -> float:
    exponent, mantissa = code >> 3 & 15, code & 7
    return mantissa * 2.0**-9 if exponent == 0 else (1 + mantissa / 8) * 2.0 ** (exponent - 7)


def check_row(source: Checkpoint, made: Checkpoint, path: str, row: int, columns: int) -> None:
    """The row's values are those that E2M1 and their blocks' scales allow, as near as can be."""
    values = bfloat16(source.bytes(path + ".weight", 2 * columns * row, 2 * columns))
    codes = made.bytes(path + ".weight", columns // 2 * row, columns // 2)
    scales = made.bytes(path + ".weight_scale", columns // 16 * row, columns // 16)
    (above,) = struct.unpack("<f", made.bytes(path + ".weight_scale_2"))
    for i, value in enumerate(values):
        code = codes[i // 2] >> 4 * (i % 2) & 15
        scale = e4m3(scales[i // 16]) * above
        magnitude = E2M1[code & 7]
        place = E2M1.index(magnitude)
        around = E2M1[max(place - 1, 0) : place + 2]
        # Half of the widest step beside it; the largest code also takes what a rounded scale leaves above it.
        allowed = max(abs(magnitude - other) for other in around) / 2 * scale * 1.01
        found = -magnitude * scale if code & 8 else magnitude * scale
        if abs(found - value) > allowed:
            raise SystemExit(f"{path}: row {row}, column {i}: {found} stands for {value}")


def check_output(source_folder: pathlib.Path, made_folder: pathlib.Path) -> None:
    source, made = Checkpoint(source_folder), Checkpoint(made_folder)
    expected = set()
    for name, (_, _, entry) in source.entries.items():
        parts = [""] if len(entry["shape"]) < 2 else ["", "_scale", "_scale_2"]
        expected.update(name + part for part in parts)
    if set(made.entries) != expected:
        raise SystemExit(f"{made_folder}: {len(made.entries)} tensors, {len(expected)} are expected")
    names = list(source.entries)
    for name in random.Random(1).sample(names, min(1000, len(names))):
        shape = source.entries[name][2]["shape"]
        if len(shape) < 2:
            if source.bytes(name) != made.bytes(name):
                raise SystemExit(f"{name} was copied wrongly")
            continue
        rows = LARGE_ROWS if shape == LARGE else random.Random(name).sample(range(shape[0]), 2)
        for row in rows:
            check_row(source, made, name.removesuffix(".weight"), row, shape[1])


def digests(folder: pathlib.Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.iterdir()):
        with open(path, "rb") as file:
            found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def kill_in_the_middle(command: list[str], partial: pathlib.Path, units: int) -> None:
    """Ends the run, without a warning, when so many units are recorded."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    journal = partial / "lathe-export.journal"
    while process.poll() is None:
        if journal.exists() and journal.read_bytes().count(b"\n") > units:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return
        time.sleep(0.001)
    raise SystemExit("the run ended before it was interrupted")


def measure(name: str, command: list[str], limit: int | None) -> None:
    seconds, peak = run(command)
    print(f"{name:24} {seconds:6.1f} s {peak / 2**20:6.0f} MiB", flush=True)
    if limit is not None and peak > limit * 2**20:
        raise SystemExit(f"{name} needs more than {limit} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lathe", default="build/release/bin/lathe")
    parser.add_argument("--folder", type=pathlib.Path, required=True, help="for the checkpoints and the outputs")
    parser.add_argument("--only", choices=["many", "flat", "large"])
    parser.add_argument("--tensors", type=int, default=200_000)
    parser.add_argument("--limit", type=int, default=600, help="MiB of anonymous memory")
    parser.add_argument("--keep", action="store_true", help="the checkpoints")
    arguments = parser.parse_args()
    for kind in [arguments.only] if arguments.only else ["many", "flat", "large"]:
        source, output = arguments.folder / kind, arguments.folder / "output"
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir(parents=True)
        (source / "config.json").write_text(json.dumps({"architectures": ["NovelForCausalLM"], "model_type": "novel"}))
        make_large(source) if kind == "large" else make_many(source, arguments.tensors, kind == "flat")
        quantize = [arguments.lathe, "quantize", str(source), "-o", str(output), "--format", FORMAT, "--quiet"]
        measure(f"{kind}: inspect", [arguments.lathe, "inspect", str(source)], arguments.limit)
        measure(f"{kind}: plan", [arguments.lathe, "plan", str(source), "--format", FORMAT], arguments.limit)
        measure(f"{kind}: quantize", quantize + ["--force"], arguments.limit)
        check_output(source, output)
        # It has two and a half times as many tensors as the source.
        measure(f"{kind}: inspect the output", [arguments.lathe, "inspect", str(output)], None)
        if kind != "large":  # it is one unit
            whole = digests(output)
            shutil.rmtree(output)
            kill_in_the_middle(quantize, pathlib.Path(str(output) + ".lathe-partial"), 20)
            measure(f"{kind}: resume", quantize + ["--resume"], arguments.limit)
            if digests(output) != whole:
                raise SystemExit("a resumed run gives other bytes")
        shutil.rmtree(output)
        if not arguments.keep:
            shutil.rmtree(source)


if __name__ == "__main__":
    main()
