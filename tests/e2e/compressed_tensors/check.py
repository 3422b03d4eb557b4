#!/usr/bin/env python3
"""Lathe's compressed-tensors checkpoints beside the compressed-tensors library and transformers, on the CPU.

    python -m venv /tmp/venv-ct && /tmp/venv-ct/bin/pip install torch transformers compressed-tensors
    /tmp/venv-ct/bin/python tests/e2e/compressed_tensors/check.py --lathe build/release/bin/lathe \
        --models ../shared/reference/hf [--large FOLDER --text FILE] [--golden tests/golden/compressed_tensors]

For each model and format: `lathe quantize` writes; the library parses the config with no key left over; the model
that the library's decompressor gives and the folder itself have the same logits in `lathe run`, to the last bit; and
transformers' logits of the folder are near those of `lathe run`. The other way round, what the library's compressors
write is read equally. --large does FP8 and INT4 of a real model with perplexities of `lathe eval`. --golden writes the
data of the fast tests.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TQDM_DISABLE"] = "1"  # the libraries' bars

import safetensors.torch  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

import library  # noqa: E402

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

ALL_OFF = "{quantizer_name: '*', enable: false}"
DEFAULTS = "$import: units/default_disabled_quantizers"


def recipe(weights, inputs=None, more=()):
    lines = [ALL_OFF, "{quantizer_name: '*weight_quantizer', cfg: {%s}}" % weights]
    if inputs:
        lines.append("{quantizer_name: '*input_quantizer', cfg: {%s}}" % inputs)
    return "quant_cfg:\n" + "".join(f"  - {line}\n" for line in [*lines, *more, DEFAULTS]) + "algorithm: max\n"


INT4 = "num_bits: 4, block_sizes: {-1: 32}"
TOKEN_BLOCK = "type: dynamic, block_sizes: {-1: null}"
INT8_TOKEN = "num_bits: 8, " + TOKEN_BLOCK
FP8 = "num_bits: [4, 3]"
FP8_TOKEN = f"{FP8}, {TOKEN_BLOCK}"
FP8_GROUP = f"{FP8}, type: dynamic, block_sizes: {{-1: 128}}"


def microscaling(num_bits):
    return "num_bits: %s, block_sizes: {-1: 32, type: dynamic, scale_bits: [8, 0]}" % num_bits


def integers(bits):
    return f"num_bits: {bits}, block_sizes: {{-1: 32}}"


# Name, what is asked of `lathe quantize`, and how far transformers' logits may be: the library divides a token's amax by
# 127.5, and rounds the powers of two of MXFP4 inputs down where they would be a little too small.
CASES = [
    ("pack-int4-group", recipe(INT4), 1e-4),
    ("pack-int4-channel", recipe("num_bits: 4, axis: 0"), 1e-4),
    ("pack-int8-channel", "int8_wo", 1e-4),
    ("pack-int8-group", recipe("num_bits: 8, block_sizes: {-1: 32}"), 1e-4),
    *((f"pack-int{bits}-group", recipe(integers(bits)), 1e-4) for bits in (2, 3, 5, 6, 7)),
    ("pack-int3-channel", recipe("num_bits: 3, axis: 0"), 1e-4),
    ("pack-int4-fp8-token", recipe(INT4, FP8_TOKEN), 1e-3),
    ("pack-int4-int8-token", recipe(INT4, INT8_TOKEN), 0.05),
    ("pack-int4-int4-token", recipe(INT4, "num_bits: 4, " + TOKEN_BLOCK), 0.5),
    ("pack-int6-int8-token", recipe(integers(6), INT8_TOKEN), 0.05),
    ("int8-static", "int8", 1e-4),
    ("int8-token", recipe("num_bits: 8, axis: 0", INT8_TOKEN), 0.05),
    ("fp8-tensor", "fp8", 1e-4),
    ("fp8-token", "fp8_pc_pt", 1e-3),
    ("fp8-weights", recipe(FP8), 1e-4),
    ("nvfp4", "nvfp4", 1e-3),
    ("nvfp4-weights", "w4a16_nvfp4", 1e-4),
    ("mxfp4", "mxfp4", 0.6),
    ("mxfp4-weights", recipe(microscaling([2, 1])), 1e-4),
    ("mxfp4-mxfp8", recipe(microscaling([2, 1]), microscaling([4, 3])), 1e-3),
    ("mxfp6-weights", recipe(microscaling([2, 3])), 1e-4),
    ("mxfp6-mxfp8", recipe(microscaling([2, 3]), microscaling([4, 3])), 1e-3),
    ("mxfp8-weights", recipe(microscaling([4, 3])), 1e-4),
    ("mxfp8", "mxfp8", 1e-3),
    ("mixed", recipe(INT4, None, ["{quantizer_name: '*self_attn*weight_quantizer', cfg: {%s}}" % FP8,
                                  "{quantizer_name: '*self_attn*input_quantizer', cfg: {%s}}" % FP8]), 1e-4),
    ("fp8-kv-fp8", "fp8", 1e-3),
]
# The same of a model whose layers are wide enough for blocks of 128.
WIDE_CASES = [
    ("fp8-block", recipe(f"{FP8}, block_sizes: {{-1: 128, -2: 128}}", FP8_GROUP), 1e-3),
    ("pack-int4-128-fp8-token", recipe("num_bits: 4, block_sizes: {-1: 128}", FP8_TOKEN), 1e-3),
    ("mxfp4-fp8", recipe(microscaling([2, 1]), FP8_GROUP), 1e-3),
]
# The library gives FP4 and MX weights in bfloat16 only.
IN_BFLOAT16 = ("nvfp4", "mxfp")
# Integers that fill 32-bit words.
WHOLE_WORDS = ("pack-int2-", "pack-int4-", "pack-int8-")

GROUP = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32}
CHANNEL = {"num_bits": 8, "type": "int", "strategy": "channel"}
TOKEN = {"num_bits": 8, "strategy": "token", "dynamic": True}
FP4 = {"num_bits": 4, "type": "float"}
E4M3 = "torch.float8_e4m3fn"
U8 = "torch.uint8"
# What the library itself writes: name, format, weights, inputs.
REVERSE = [
    ("pack-int4-group", "pack-quantized", GROUP, None),
    ("pack-int4-asymmetric", "pack-quantized", {**GROUP, "symmetric": False}, None),
    ("pack-int4-tensor-asymmetric", "pack-quantized", {**GROUP, "strategy": "tensor", "group_size": None,
                                                       "symmetric": False}, None),
    ("pack-int8-channel", "pack-quantized", CHANNEL, None),
    ("pack-int8-channel-asymmetric", "pack-quantized", {**CHANNEL, "symmetric": False}, None),
    ("pack-int2-group", "pack-quantized", {**GROUP, "num_bits": 2}, None),
    ("pack-int3-group", "pack-quantized", {**GROUP, "num_bits": 3}, None),
    ("pack-int3-asymmetric", "pack-quantized", {**GROUP, "num_bits": 3, "symmetric": False}, None),
    ("pack-int4-fp8-token", "pack-quantized", GROUP, {**TOKEN, "type": "float"}),
    ("int4-token", "int-quantized", GROUP, {**TOKEN, "type": "int"}),
    ("int8-token", "int-quantized", CHANNEL, {**TOKEN, "type": "int"}),
    ("int8-asymmetric", "int-quantized", {**CHANNEL, "symmetric": False}, {**TOKEN, "type": "int"}),
    ("fp8-tensor", "float-quantized", {"num_bits": 8, "type": "float", "strategy": "tensor"},
     {"num_bits": 8, "type": "float", "strategy": "tensor"}),
    ("fp8-token", "float-quantized", {**CHANNEL, "type": "float"}, {**TOKEN, "type": "float"}),
    ("fp8-block", "float-quantized", {"num_bits": 8, "type": "float", "strategy": "block",
                                      "block_structure": [32, 32]},
     {"num_bits": 8, "type": "float", "strategy": "group", "group_size": 32, "dynamic": True}),
    ("fp8-weights", "naive-quantized", {**CHANNEL, "type": "float"}, None),
    ("nvfp4", "nvfp4-pack-quantized", {**FP4, "strategy": "tensor_group", "group_size": 16, "scale_dtype": E4M3},
     {**FP4, "strategy": "tensor_group", "group_size": 16, "scale_dtype": E4M3, "dynamic": "local"}),
    ("mxfp4", "mxfp4-pack-quantized", {**FP4, "strategy": "group", "group_size": 32, "scale_dtype": U8}, None),
    ("mxfp6", "mxfp6-pack-quantized", {**FP4, "num_bits": 6, "strategy": "group", "group_size": 32,
                                       "scale_dtype": U8}, None),
    ("mxfp8", "mxfp8-quantized", {**FP4, "num_bits": 8, "strategy": "group", "group_size": 32, "scale_dtype": U8},
     None),
]


class Checks:
    def __init__(self):
        self.failed = 0

    def __call__(self, what, holds):
        print(f"{'ok    ' if holds else 'FAILED'} {what}", flush=True)
        self.failed += not holds


class Lathe:
    def __init__(self, program, scratch):
        self.program, self.scratch = program, scratch

    def __call__(self, *arguments):
        done = subprocess.run([self.program, *map(str, arguments)], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"lathe {' '.join(map(str, arguments))}\n{done.stderr}")
        return done.stdout

    def quantize(self, model, output, what, ids, *more):
        asked = ["--format", what]
        if "\n" in what:
            (self.scratch / "recipe.yaml").write_text(what)
            asked = ["--recipe", self.scratch / "recipe.yaml"]
        needs_data = "input_quantizer" in what or "\n" not in what
        data = ["--calib", ids] if needs_data else []
        self("quantize", model, "-o", output, *asked, *data, "--dialect", "compressed-tensors", "--force", "--quiet",
             *more)

    def logits(self, model, ids, dtype):
        output = self.scratch / "logits.safetensors"
        output.unlink(missing_ok=True)
        self("run", model, "--inputs", ids, "-o", output, "--dtype", dtype, "--quiet")
        return safetensors.torch.load_file(output)["logits"].float()


def without_inputs(folder, output):
    """The folder with inputs and caches left as they are."""
    config, tensors = library.read_folder(folder)
    section = config["quantization_config"]
    section["kv_cache_scheme"] = None
    for group in section["config_groups"].values():
        group["input_activations"] = None
    dropped = (".input_scale", ".input_global_scale", ".k_scale", ".v_scale")
    library.write_folder(output, config, {name: t for name, t in tensors.items() if not name.endswith(dropped)})


def same_weights(lathe, folder, ids, scratch):
    """Whether the library's weights and Lathe's are the same bits: the logits of both are."""
    without_inputs(folder, scratch / "weights")
    config, tensors = library.decompressed_checkpoint(folder)
    library.write_folder(scratch / "plain", config, tensors)
    ours = lathe.logits(scratch / "weights", ids, "bfloat16")
    return torch.equal(ours, lathe.logits(scratch / "plain", ids, "bfloat16"))


def transformers_logits(folder, ids, dtype):
    """Of the model that transformers loads, decompresses and computes in float32."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    config, tensors = library.read_folder(folder)
    quantization = library.parse_config(config["quantization_config"])
    for parameter in model.parameters():  # routers keep the dtype of the file
        if parameter.dtype == torch.bfloat16:
            parameter.data = parameter.data.to(dtype)
    with torch.no_grad():
        model(ids[:1, :4].to(model.device))  # decompresses
        model = torch.nn.Module.float(model)
        for name, state in library.modules_of(tensors).items():
            arguments = library.scheme_of(quantization, name).weights
            if arguments.num_bits == 4 and arguments.type == "float":
                model.get_submodule(name).weight.data = library.exact_fp4_weight(state, arguments)
        return model(ids).logits


def check_case(case, model, lathe, check, ids_file, scratch):
    name, what, tolerance = case
    folder = scratch / f"{model.name}-{name}"
    more = ["--kv-cache", "fp8"] if "kv" in name else []
    lathe.quantize(model, folder, what, ids_file, *more)
    config, tensors = library.read_folder(folder)
    library.parse_config(config["quantization_config"])
    check(f"{model.name} {name}: the library's weights", same_weights(lathe, folder, ids_file, scratch))
    has_experts = any(".experts." in tensor for tensor in tensors)
    if has_experts and not (name.startswith(WHOLE_WORDS) and "token" not in name):
        return  # transformers loads experts from these alone
    ids = safetensors.torch.load_file(ids_file)["input_ids"]
    dtype = torch.bfloat16 if name.startswith(IN_BFLOAT16) else torch.float32
    theirs = transformers_logits(folder, ids, dtype)
    ours = lathe.logits(folder, ids_file, "float32")
    if has_experts:
        tolerance = max(tolerance, 0.01)  # experts are decompressed in bfloat16
    difference = ((theirs - ours).abs().mean() / ours.abs().mean()).item()
    check(f"{model.name} {name}: transformers' logits, mean difference {difference:.2g}", difference <= tolerance)


def check_reverse(row, model, lathe, check, ids_file, scratch):
    name, format, weights, inputs = row
    config, tensors = library.read_folder(model)
    group = library.scheme(format, weights, inputs)
    folder = scratch / f"library-{name}"
    library.write_folder(folder, *library.compressed_checkpoint(config, tensors, group, ["lm_head"], torch.bfloat16))
    check(f"{model.name}: {name} of the library is read", same_weights(lathe, folder, ids_file, scratch))
    lathe("inspect", folder, "--quiet")
    lathe.logits(folder, ids_file, "float32")


def check_large(model, text, lathe, check, scratch):
    """Perplexity by `lathe eval` and by transformers of the same folder."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    ids = torch.tensor(tokenizer(text.read_text())["input_ids"])[:4 * 256].reshape(4, 256)
    ids_file = scratch / "large.safetensors"
    safetensors.torch.save_file({"input_ids": ids}, ids_file)
    int4 = recipe("num_bits: 4, block_sizes: {-1: 64}")
    # Inputs on the edge between two FP8 codes fall to either side with the last bit of a float32 sum.
    for name, what, tolerance in (("fp8-token", "fp8_pc_pt", 1e-2), ("pack-int4-group", int4, 1e-5)):
        folder = scratch / f"large-{name}"
        lathe.quantize(model, folder, what, ids_file)
        ours = json.loads(lathe("eval", folder, "--ids", ids_file, "--dtype", "float32", "--json"))["perplexity"]
        logits = transformers_logits(folder, ids, torch.float32)
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
        theirs = loss.exp().item()
        check(f"{model.name} {name}: perplexity {ours:.5f}, transformers' {theirs:.5f}",
              abs(ours - theirs) <= tolerance * theirs)


def tiny_model(folder, width=64):
    """A llama of one layer, small enough to be committed in many formats."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(hidden_size=width, intermediate_size=width, num_hidden_layers=1, vocab_size=32,
                                      num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
                                      tie_word_embeddings=True, dtype="bfloat16")
    model = transformers.LlamaForCausalLM(config).to(torch.bfloat16)
    for parameter in model.parameters():
        if parameter.dim() == 2:
            torch.nn.init.normal_(parameter, std=0.15)
    model.save_pretrained(folder)
    return folder


def make_golden(output, scratch):
    """base: a tiny model. For each format the checkpoint that the library makes of it, and in expected.safetensors
    weights that the library reads from it and the logits of transformers, in float32."""
    model = tiny_model(scratch / "tiny")
    config, tensors = library.read_folder(model)
    library.write_folder(output / "base", config, tensors)
    ids = torch.arange(24).reshape(2, 12) % 32
    for name, format, weights, inputs in REVERSE:
        group = library.scheme(format, weights, inputs)
        folder = output / name
        library.write_folder(folder, *library.compressed_checkpoint(config, tensors, group, ["lm_head"], torch.float32))
        dtype = torch.bfloat16 if name.startswith(IN_BFLOAT16) else torch.float32
        expected = {"input_ids": ids, "logits": transformers_logits(folder, ids, dtype)}
        quantization = library.parse_config(library.read_folder(folder)[0]["quantization_config"])
        modules = library.modules_of(library.read_folder(folder)[1])
        for module in ("model.layers.0.self_attn.k_proj", "model.layers.0.mlp.down_proj"):
            scheme = library.scheme_of(quantization, module)
            expected[f"{module}.weight"] = library.decompress(modules[module], scheme, torch.bfloat16)
        safetensors.torch.save_file({k: v.contiguous() for k, v in expected.items()},
                                    folder / "expected.safetensors")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lathe", required=True, type=pathlib.Path)
    parser.add_argument("--models", required=True, type=pathlib.Path, help="a folder of tiny models")
    parser.add_argument("--names", default="llama,qwen3_moe", help="of those models")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--large", type=pathlib.Path, help="a real model with a tokenizer")
    parser.add_argument("--text", type=pathlib.Path, help="for --large")
    parser.add_argument("--golden", type=pathlib.Path, help="write the data of the fast tests here, and stop")
    arguments = parser.parse_args()
    check = Checks()
    with tempfile.TemporaryDirectory() as temporary:
        scratch = pathlib.Path(temporary)
        if arguments.golden:
            make_golden(arguments.golden, scratch)
            return
        lathe = Lathe(arguments.lathe.resolve(), scratch)
        ids_file = scratch / "ids.safetensors"
        torch.manual_seed(1)
        safetensors.torch.save_file({"input_ids": torch.randint(0, 32, (8, 32))}, ids_file)
        models = [(arguments.models / name, CASES) for name in arguments.names.split(",")]
        for model, cases in [*models, (tiny_model(scratch / "wide", 128), WIDE_CASES)]:
            for case in cases:
                if arguments.only in case[0]:
                    check_case(case, model, lathe, check, ids_file, scratch)
        for row in REVERSE:
            if arguments.only in row[0]:
                check_reverse(row, arguments.models / "llama", lathe, check, ids_file, scratch)
        if arguments.large:
            check_large(arguments.large, arguments.text, lathe, check, scratch)
    sys.exit(1 if check.failed else 0)


if __name__ == "__main__":
    main()
