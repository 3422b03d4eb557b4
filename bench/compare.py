#!/usr/bin/env python3
"""Runs Lathe and nvidia-modelopt on the same work, alternating, and prints medians, the ratio and peak memory.

    bench/compare.py --setup                 once: the peer's packages, the model and the tokens
    bench/compare.py [--runs 5] [--format fp8] [--lathe build/release/bin/lathe] [--json OUT.json]

The work: SmolLM2-135M in bfloat16, calibrated with 16 x 512 tokens on the CPU, written as a Hugging Face checkpoint.
Each run is a whole command in a process of its own, from start to exit:

    lathe quantize MODEL -o OUT --format fp8 --calib IDS.safetensors --samples 16 --seq-len 512 --force
    python bench/peer/quantize_smollm2.py MODEL -o OUT --calib IDS.safetensors --format fp8 --samples 16 --seq-len 512

Wall time is from the clock; processor time and peak memory are what the kernel accounts to the process (wait4). Both
get the same number of threads. Who runs first changes from round to round; the model's file is read once before.
Everything lives in --cache (default: $XDG_CACHE_HOME/lathe/peer or ~/.cache/lathe/peer).
"""

import argparse
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEER = ROOT / "bench" / "peer"
SAMPLES, SEQ_LEN = 16, 512

# A torch wheel's own dependencies are 3 GB of CUDA libraries; these few are what a CPU run loads.
WITHOUT_DEPENDENCIES = ["torch==2.11.0", "nvidia-modelopt==0.47.*", "pulp<4.0", "accelerate",
                        "nvidia-cusparselt-cu13", "nvidia-nvshmem-cu13", "nvidia-cufile"]
SMALL = ["numpy", "scipy", "sympy", "networkx", "jinja2", "fsspec", "filelock", "typing-extensions", "packaging",
         "psutil", "setuptools>=80", "transformers>=4.57,<5.15", "gguf", "ninja", "tqdm", "PyYAML>=6.0", "omegaconf>=2.3.0",
         "pydantic>=2", "regex", "rich", "safetensors", "huggingface_hub", "nvidia-ml-py"]


def default_cache():
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "lathe" / "peer"


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--setup", action="store_true", help="install what is missing in --cache, then stop")
    parser.add_argument("--cache", type=pathlib.Path, default=default_cache())
    parser.add_argument("--lathe", type=pathlib.Path, default=ROOT / "build" / "release" / "bin" / "lathe")
    parser.add_argument("--peer-python", type=pathlib.Path, help="default: the one in --cache")
    parser.add_argument("--model", type=pathlib.Path, help="a Hugging Face checkpoint; default: SmolLM2-135M in --cache")
    parser.add_argument("--calib", type=pathlib.Path, help="safetensors with input_ids; default: in --cache")
    parser.add_argument("--format", choices=["fp8", "int8", "int8_sq"], default="fp8")
    parser.add_argument("--runs", type=int, default=5, help="runs of each (default 5)")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=pathlib.Path, help="also write every run here")
    args = parser.parse_args()
    if args.runs < 1 or args.threads < 1:
        parser.error("--runs and --threads must be at least 1")
    args.peer_python = args.peer_python or args.cache / "venv" / "bin" / "python"
    args.model = args.model or args.cache / "smollm2-hf"
    args.calib = args.calib or args.cache / "calib.safetensors"
    return args


def can_import(python, module):
    return subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode == 0


def install_peer(args):
    venv = args.cache / "venv"
    python = venv / "bin" / "python"
    if python.exists() and can_import(python, "modelopt.torch.quantization"):
        return
    print(f"installing nvidia-modelopt and LibTorch's Python into {venv}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-warn-conflicts"]
    subprocess.run([*pip, "--no-deps", *WITHOUT_DEPENDENCIES], check=True)
    subprocess.run([*pip, *SMALL], check=True)
    if not can_import(python, "torch"):
        print("torch needs more CUDA libraries than this machine has: installing all of them (3 GB)", flush=True)
        subprocess.run([*pip, "torch==2.11.0"], check=True)
    subprocess.run([python, "-c", "import modelopt.torch.quantization"], check=True, capture_output=True)


def setup(args):
    args.cache.mkdir(parents=True, exist_ok=True)
    install_peer(args)
    made = [args.cache / name for name in ("smollm2-hf/model.safetensors", "calib.safetensors", "eval.safetensors")]
    if not all(path.exists() for path in made):
        python = args.cache / "venv" / "bin" / "python"
        subprocess.run([python, PEER / "make_smollm2.py", args.cache], check=True)
    print(f"ready: {args.cache}")


def check_inputs(args):
    for path in (args.lathe, args.peer_python, args.model / "config.json", args.calib):
        if not path.exists():
            hint = "build Lathe or pass --lathe" if path == args.lathe else "run bench/compare.py --setup"
            raise SystemExit(f"{path} does not exist: {hint}")


def commands(args, scratch):
    work = ["--calib", args.calib, "--format", args.format, "--samples", str(SAMPLES), "--seq-len", str(SEQ_LEN)]
    return {
        "lathe": [args.lathe, "quantize", args.model, "-o", scratch / "lathe", *work, "--force"],
        "peer": [args.peer_python, PEER / "quantize_smollm2.py", args.model, "-o", scratch / "peer", *work],
    }


def run_once(command, threads, log):
    """One command from start to exit: seconds of the clock and of the processors, peak resident bytes."""
    threads = str(threads)
    env = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "HF_HUB_OFFLINE": "1"}
    with open(log, "wb") as output:
        start = time.perf_counter()
        process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT, env=env)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        tail = log.read_text(errors="replace")[-2000:]
        raise SystemExit(f"{' '.join(str(p) for p in command)}\nended with {process.returncode}:\n{tail}")
    return {"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_bytes": usage.ru_maxrss * 1024}


def last_json_line(log):
    """The phases that a command prints as its last line, if it does."""
    lines = log.read_text(errors="replace").strip().splitlines()
    try:
        found = json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def folder_bytes(folder):
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


def read_through(path):
    """Puts a file into the page cache, in pieces: a child's peak memory starts from what its parent holds."""
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 20):
            pass


def run_all(args, scratch):
    order = commands(args, scratch)
    results = {name: [] for name in order}
    for path in args.model.glob("*.safetensors"):
        read_through(path)
    for round_number in range(args.runs):
        names = list(order) if round_number % 2 == 0 else list(reversed(order))
        for name in names:
            shutil.rmtree(scratch / name, ignore_errors=True)
            log = scratch / f"{name}.log"
            run = run_once(order[name], args.threads, log)
            run["output_bytes"] = folder_bytes(scratch / name)
            run["printed"] = last_json_line(log)
            results[name].append(run)
            print(f"run {round_number + 1} of {args.runs}: {name} {run['wall_s']:.2f} s", file=sys.stderr, flush=True)
    return results


def summary(results):
    def median(name, key):
        return statistics.median(run[key] for run in results[name])

    rows = {name: {key: median(name, key) for key in ("wall_s", "cpu_s", "peak_bytes", "output_bytes")} for name in results}
    for name, runs in results.items():
        rows[name]["wall_min_s"] = min(run["wall_s"] for run in runs)
        rows[name]["wall_max_s"] = max(run["wall_s"] for run in runs)
    ratio = {key: rows["peer"][key] / rows["lathe"][key] for key in ("wall_s", "cpu_s", "peak_bytes")}
    return {"medians": rows, "peer_over_lathe": ratio}


def print_table(args, result):
    print(f"{args.format}, {args.model.name}, {SAMPLES} x {SEQ_LEN} tokens, {args.threads} threads, {args.runs} runs each")
    print(f"{'':14}{'wall s':>9}{'min':>9}{'max':>9}{'cpu s':>9}{'peak MB':>10}{'output MB':>11}")
    for name, row in result["medians"].items():
        print(f"{name:14}{row['wall_s']:9.2f}{row['wall_min_s']:9.2f}{row['wall_max_s']:9.2f}{row['cpu_s']:9.2f}"
              f"{row['peak_bytes'] / 1e6:10.0f}{row['output_bytes'] / 1e6:11.1f}")
    ratio = result["peer_over_lathe"]
    print(f"{'peer / lathe':14}{ratio['wall_s']:9.2f}{'':18}{ratio['cpu_s']:9.2f}{ratio['peak_bytes']:10.2f}")


def main():
    args = parse_args()
    if args.setup:
        setup(args)
        return
    check_inputs(args)
    with tempfile.TemporaryDirectory(prefix="lathe-compare-") as scratch:
        results = run_all(args, pathlib.Path(scratch))
    result = {"command": sys.argv, "machine": f"{platform.machine()}, {os.cpu_count()} processors", "format": args.format,
              "threads": args.threads, **summary(results), "runs": results}
    print_table(args, result)
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
