#!/usr/bin/env python3
"""Weight-only and dynamic formats from file to file: Lathe and llm-compressor's model_free_ptq on the same files.

    model_free.py --folder /tmp/bench --peer VENV/bin/python [--gigabytes 8] [--formats fp8_pc_pt,w4a16_nvfp4] [--runs 3]

makes the checkpoint of weight_only.py, keeps it in the page cache, and runs the two programs one after the other, so
often for each format; the fastest run of each counts. The peer's time is that of the call alone, without the import of its packages; Lathe's is that of the whole
program. Memory is the largest anonymous memory seen. VENV needs llmcompressor and torch.
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import threading
import time

from weight_only import anonymous_memory, fastest, fill_caches, make_checkpoint, run

# Lathe's format, and the peer's scheme of the same weights.
FORMATS = {"fp8_pc_pt": "FP8_DYNAMIC", "fp8_pb_wo": "FP8_BLOCK", "w4a16_nvfp4": "NVFP4A16", "mxfp4": "MXFP4",
           "int4": "W4A16"}

PEER = """
import sys, time
from llmcompressor import model_free_ptq
start = time.monotonic()
model_free_ptq(sys.argv[1], sys.argv[2], scheme=sys.argv[3], ignore=["lm_head", "re:.*embed_tokens"],
               max_workers=int(sys.argv[4]), device="cpu")
print(f"seconds {time.monotonic() - start}")
"""


def run_peer(python: str, source: pathlib.Path, output: pathlib.Path, scheme: str, workers: int):
    """Seconds and peak memory, or why there are none."""
    shutil.rmtree(output, ignore_errors=True)
    process = subprocess.Popen([python, "-c", PEER, str(source), str(output), scheme, str(workers)],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines, peak = [], 0
    reader = threading.Thread(target=lambda: lines.extend(process.stdout))
    reader.start()
    while process.poll() is None:
        peak = max(peak, anonymous_memory(process.pid))
        time.sleep(0.02)
    reader.join()
    shutil.rmtree(output, ignore_errors=True)
    found = re.search(r"^seconds ([0-9.]+)$", "".join(lines), re.MULTILINE)
    return (float(found[1]), peak) if found else (lines[-1].strip()[-100:] if lines else "no output")


def run_lathe(program: str, source: pathlib.Path, output: pathlib.Path, name: str) -> tuple[float, int]:
    """Seconds and peak memory."""
    result = run([program, "quantize", str(source), "-o", str(output), "--format", name, "--force", "--quiet"])
    shutil.rmtree(output)
    return result


def rate_text(total: int, result: tuple[float, int]) -> str:
    return f"{total / result[0] / 1e9:.2f} GB/s, {result[1] / 1e6:.0f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lathe", default="build/release/bin/lathe")
    parser.add_argument("--peer", help="the Python that has llmcompressor; without it Lathe alone")
    parser.add_argument("--workers", type=int, default=2, help="of the peer")
    parser.add_argument("--folder", type=pathlib.Path, required=True, help="for the checkpoint and the output")
    parser.add_argument("--gigabytes", type=float, default=8)
    parser.add_argument("--formats", default=",".join(FORMATS))
    parser.add_argument("--runs", type=int, default=3, help="of each program for each format")
    arguments = parser.parse_args()
    source, output = arguments.folder / "source", arguments.folder / "output"
    total = make_checkpoint(source, arguments.gigabytes)
    for name in arguments.formats.split(","):
        own, peer = [], []
        for _ in range(arguments.runs):
            fill_caches(source)
            own.append(run_lathe(arguments.lathe, source, output, name))
            if arguments.peer:
                fill_caches(source)
                peer.append(run_peer(arguments.peer, source, output, FORMATS[name], arguments.workers))
        line = f"{name:12} lathe {rate_text(total, fastest(own))}"
        failures = [result for result in peer if isinstance(result, str)]
        if failures:
            line += f"; {FORMATS[name]} of model_free_ptq fails: {failures[0]}"
        elif peer:
            line += (f"; model_free_ptq {FORMATS[name]} {rate_text(total, fastest(peer))}: "
                     f"{fastest(peer)[0] / fastest(own)[0]:.1f} times Lathe's time")
        print(line, flush=True)


if __name__ == "__main__":
    main()
