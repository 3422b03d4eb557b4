#!/usr/bin/env python3
"""Makes sources/: tiny Llama checkpoints whose weights are quantized as other tools write them.

    make_sources.py [--awq FOLDER] [NAME...]

writes sources/NAME/{config.json, model.safetensors, expected.safetensors} beside this file. expected.safetensors has
every fourth row of each decoded weight, in float32, by the formula that the tool documents:

    fp8     code * scale of its block (DeepSeek-V3's weight_dequant)
    gptq    (code - zero) * scale of its group, the zero point of the first format stored less one (AutoGPTQ)
    awq     (code - zero) * scale of its group, eight columns in a word in the order 0 2 4 6 1 3 5 7 (AutoAWQ)

Where a second implementation is at hand it must give the same: transformers' Fp8Dequantize, and with --awq the
dequantize_gemm of an unpacked autoawq wheel.

Needs numpy, torch, transformers 5.14 and safetensors.
"""

import argparse
import importlib.util
import json
import pathlib

import numpy
import torch
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).parent / "sources"
HIDDEN, INNER, VOCAB = 64, 96, 32
LINEARS = {
    "self_attn.q_proj": (HIDDEN, HIDDEN),
    "self_attn.k_proj": (HIDDEN // 2, HIDDEN),
    "self_attn.v_proj": (HIDDEN // 2, HIDDEN),
    "self_attn.o_proj": (HIDDEN, HIDDEN),
    "mlp.gate_proj": (INNER, HIDDEN),
    "mlp.up_proj": (INNER, HIDDEN),
    "mlp.down_proj": (HIDDEN, INNER),
}
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "dtype": "bfloat16", "hidden_size": HIDDEN,
    "intermediate_size": INNER, "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2,
    "vocab_size": VOCAB, "rms_norm_eps": 1e-6, "hidden_act": "silu", "max_position_embeddings": 64,
    "tie_word_embeddings": False, "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"},
}


def as_int32(words):
    return torch.from_numpy(words.astype(numpy.uint32).view(numpy.int32))


def pack(values, bits, axis, order=None):
    """Integers [rows, columns] as int32 words along an axis, the lowest bits first."""
    values = numpy.moveaxis(values.astype(numpy.uint64), axis, -1)
    per_word = 32 // bits
    lanes = values.reshape(*values.shape[:-1], -1, per_word)
    words = numpy.zeros(lanes.shape[:-1], dtype=numpy.uint64)
    for lane, source in enumerate(order or range(per_word)):
        words |= lanes[..., source] << numpy.uint64(bits * lane)
    return numpy.moveaxis(words, -1, axis)


class Integers:
    """A weight [K, N] of integers with a scale and a zero point for each group of rows and each column."""

    def __init__(self, generator, rows, columns, bits, group, symmetric):
        groups = columns // group
        self.bits, self.group = bits, numpy.arange(columns) // group
        self.codes = generator.integers(0, 1 << bits, (columns, rows))
        self.zeros = (numpy.full((groups, rows), 1 << (bits - 1)) if symmetric
                      else generator.integers(0, 1 << bits, (groups, rows)))
        self.scales = generator.uniform(0.001, 0.01, (groups, rows)).astype(numpy.float16)

    def value(self):
        """[N, K]"""
        shifted = self.codes - self.zeros[self.group]
        return (shifted.astype(numpy.float32) * self.scales[self.group].astype(numpy.float32)).T


def gptq(generator, rows, columns, bits=4, group=32, symmetric=False, act_order=False, version=1):
    group = columns if group == -1 else group
    weight = Integers(generator, rows, columns, bits, group, symmetric)
    if act_order:
        weight.group = generator.permutation(weight.group)
    stored = (weight.zeros - (1 if version == 1 else 0)) % (1 << bits)
    return weight.value(), {
        "qweight": as_int32(pack(weight.codes, bits, 0)),
        "qzeros": as_int32(pack(stored, bits, 1)),
        "scales": torch.from_numpy(weight.scales),
        "g_idx": torch.from_numpy(weight.group.astype(numpy.int32)),
    }


def awq(generator, rows, columns, group=32):
    weight = Integers(generator, rows, columns, 4, group, False)
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    return weight.value(), {
        "qweight": as_int32(pack(weight.codes, 4, 1, order)),
        "qzeros": as_int32(pack(weight.zeros, 4, 1, order)),
        "scales": torch.from_numpy(weight.scales),
    }


def fp8(generator, rows, columns, block=None, static=False, exponents=False):
    codes = torch.from_numpy(generator.normal(size=(rows, columns)).astype(numpy.float32) * 100)
    codes = codes.clamp(-448, 448).to(torch.float8_e4m3fn)
    grid = [-(-rows // block), -(-columns // block)] if block else []
    scale = torch.from_numpy(generator.uniform(1e-4, 1e-3, grid).astype(numpy.float32)).reshape(grid)
    if exponents:
        scale = torch.exp2(torch.floor(torch.log2(scale)))
    spread = scale
    if block:
        spread = scale.repeat_interleave(block, 0)[:rows].repeat_interleave(block, 1)[:, :columns]
    tensors = {"weight": codes, "weight_scale_inv" if block else "weight_scale": scale}
    if exponents:
        tensors["weight_scale_inv"] = scale.to(torch.float8_e8m0fnu)
    if static:
        tensors["input_scale"] = torch.tensor(0.01)
    return (codes.float() * spread).numpy(), tensors


VARIANTS = {
    "fp8_blocks": (lambda g, n, k: fp8(g, n, k, block=32),
                   {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic",
                    "weight_block_size": [32, 32]}),
    "fp8_edge_blocks": (lambda g, n, k: fp8(g, n, k, block=40, exponents=True),
                        {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [40, 40],
                         "scale_fmt": "ue8m0", "modules_to_not_convert": ["lm_head"]}),
    "fp8_static": (lambda g, n, k: fp8(g, n, k, static=True),
                   {"quant_method": "fp8", "activation_scheme": "static"}),
    "gptq": (lambda g, n, k: gptq(g, n, k, symmetric=True),
             {"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": True, "desc_act": False}),
    "gptq_act_order": (lambda g, n, k: gptq(g, n, k, act_order=True),
                       {"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": False, "desc_act": True,
                        "checkpoint_format": "gptq"}),
    "gptq_v2_8_bits": (lambda g, n, k: gptq(g, n, k, bits=8, group=-1, version=2),
                       {"quant_method": "gptq", "bits": 8, "group_size": -1, "sym": False, "desc_act": False,
                        "checkpoint_format": "gptq_v2", "dynamic": {"-:lm_head": {}}}),
    "awq": (awq, {"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True, "version": "gemm",
                  "modules_to_not_convert": None}),
}


def check_fp8(tensors, value):
    from transformers.integrations.finegrained_fp8 import Fp8Dequantize
    found = Fp8Dequantize._dequantize_one(Fp8Dequantize.__new__(Fp8Dequantize), tensors["weight"],
                                          tensors["weight_scale_inv"].float(), output_dtype=torch.float32)
    assert torch.equal(found, torch.from_numpy(value)), "transformers decodes fp8 differently"


def check_awq(folder, tensors, value):
    spec = importlib.util.spec_from_file_location("packing", folder / "awq/utils/packing_utils.py")
    packing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(packing)
    found = packing.dequantize_gemm(tensors["qweight"], tensors["qzeros"], tensors["scales"], 4, 32)
    assert torch.equal(found, torch.from_numpy(value).T.half()), "AutoAWQ decodes differently"


def make(name, awq_folder):
    quantize, section = VARIANTS[name]
    generator = numpy.random.default_rng(list(VARIANTS).index(name))
    plain = lambda *shape: torch.from_numpy(generator.normal(size=shape).astype(numpy.float32) * 0.05).bfloat16()
    tensors = {"model.embed_tokens.weight": plain(VOCAB, HIDDEN), "lm_head.weight": plain(VOCAB, HIDDEN),
               "model.norm.weight": 1 + plain(HIDDEN)}
    for norm in ("input_layernorm", "post_attention_layernorm"):
        tensors[f"model.layers.0.{norm}.weight"] = 1 + plain(HIDDEN)
    expected = {}
    for module, (rows, columns) in LINEARS.items():
        value, parts = quantize(generator, rows, columns)
        if name == "fp8_blocks":
            check_fp8(parts, value)
        if name == "awq" and awq_folder:
            check_awq(awq_folder, parts, value)
        path = f"model.layers.0.{module}"
        tensors.update({f"{path}.{part}": tensor.contiguous() for part, tensor in parts.items()})
        expected[f"{path}.weight"] = torch.from_numpy(value)[::4].contiguous()
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    save_file(expected, folder / "expected.safetensors")
    config = {**CONFIG, "quantization_config": section}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--awq", type=pathlib.Path, help="folder of an unpacked autoawq wheel")
    parser.add_argument("names", nargs="*", help=", ".join(VARIANTS))
    arguments = parser.parse_args()
    for name in arguments.names or VARIANTS:
        make(name, arguments.awq)
        print(name)


if __name__ == "__main__":
    main()
