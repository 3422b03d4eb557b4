#!/usr/bin/env python3
"""The peer's side of bench/compare.py: quantizes a Hugging Face checkpoint with nvidia-modelopt, as one command.

    quantize_smollm2.py MODEL -o OUT --calib IDS.safetensors [--format fp8] [--samples 16] [--seq-len 512]

loads MODEL with transformers, calibrates with the first rows of IDS's input_ids, and writes OUT with
export_hf_checkpoint. The last line of its output is JSON: the seconds of each phase and the peak memory.
"""

import time

START = time.perf_counter()

import argparse
import contextlib
import json
import os
import resource
import sys

CONFIGS = {"fp8": "FP8_DEFAULT_CFG", "int8": "INT8_DEFAULT_CFG", "int8_sq": "INT8_SMOOTHQUANT_CFG"}


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("-o", "--out", required=True)
    parser.add_argument("--calib", required=True)
    parser.add_argument("--format", choices=CONFIGS, default="fp8")
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--seq-len", type=int, default=512)
    parser.add_argument("--batch-size", type=int, default=4)
    return parser.parse_args()


def calibration_batches(args):
    from safetensors.torch import load_file

    ids = load_file(args.calib)["input_ids"][: args.samples, : args.seq_len]
    if list(ids.shape) != [args.samples, args.seq_len]:
        raise SystemExit(f"{args.calib}: input_ids give {list(ids.shape)}, not {[args.samples, args.seq_len]}")
    return ids.split(args.batch_size)


def main():
    args = parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    phases, last = {}, START

    def phase(name):
        nonlocal last
        now = time.perf_counter()
        phases[name] = round(now - last, 3)
        last = now

    import torch
    from transformers import AutoModelForCausalLM

    import modelopt.torch.quantization as mtq
    from modelopt.torch.export import export_hf_checkpoint

    phase("import")
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.bfloat16).eval()
    phase("load")
    batches = calibration_batches(args)

    def forward_loop(model):
        with torch.no_grad():
            for batch in batches:
                model(input_ids=batch, use_cache=False)

    with contextlib.redirect_stdout(sys.stderr):
        mtq.quantize(model, getattr(mtq, CONFIGS[args.format]), forward_loop)
        phase("quantize")
        export_hf_checkpoint(model, export_dir=args.out)
        phase("export")
    phases["total"] = round(last - START, 3)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"phases_s": phases, "peak_bytes": peak}))


if __name__ == "__main__":
    main()
