#!/usr/bin/env python3
"""SmolLM2-135M-Instruct from PyPI, end to end: quantized, measured before it is written, read back, measured again.

    ./dev e2e      or      tests/e2e/smollm2.py --lathe build/release/bin/lathe --cache FOLDER

Perplexities are those of the demo's text; what they must be near was measured with transformers and nvidia-modelopt
0.47 on the same model and text (bfloat16 9.459, FP8 9.633).
"""

import argparse
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import demo  # noqa: E402

BFLOAT16 = (9.459, 0.005)
FP8 = (9.633, 0.01)


class Checks:
    def __init__(self):
        self.failed = 0

    def __call__(self, what, holds):
        print(f"{'ok    ' if holds else 'FAILED'} {what}")
        self.failed += not holds

    def near(self, what, value, expected):
        target, tolerance = expected
        self(f"{what}: {value:.4f} is within {tolerance:.1%} of {target}", abs(value - target) <= tolerance * target)


def quantized_perplexity(lathe, check, model, output, name, texts):
    """The perplexity of the folder, which must be the one that was reported before it was written."""
    calibration, evaluation = texts
    report = lathe("quantize", model, "-o", output / name, "--format", name, "--calib", calibration,
                   "--samples", demo.CALIBRATION_BLOCKS, "--seq-len", demo.SEQ_LEN, "--eval-text", evaluation,
                   "--eval-samples", demo.EVALUATION_BLOCKS, "--force")
    before = report["evaluation"]["perplexity"]
    after = lathe.evaluate(output / name, evaluation)["perplexity"]
    check(f"{name}: perplexity {before!r} before writing, {after!r} of the folder", before == after)
    return after


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lathe", required=True, type=pathlib.Path)
    parser.add_argument("--cache", required=True, type=pathlib.Path)
    args = parser.parse_args()
    model, lathe, check = demo.fetch_model(args.cache), demo.Lathe(args.lathe), Checks()
    with tempfile.TemporaryDirectory() as scratch:
        output = pathlib.Path(scratch)
        texts = demo.write_texts(output)
        check.near("bfloat16 perplexity", lathe.evaluate(model, texts[1])["perplexity"], BFLOAT16)
        check.near("FP8 perplexity", quantized_perplexity(lathe, check, model, output, "fp8", texts), FP8)
        nvfp4 = quantized_perplexity(lathe, check, model, output, "nvfp4", texts)
        print(f"       NVFP4 perplexity: {nvfp4:.4f}")
    sys.exit(1 if check.failed else 0)


if __name__ == "__main__":
    main()
