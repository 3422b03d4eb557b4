#!/usr/bin/env python3
"""Makes golden/modelopt.safetensors: the decoded weight of model.layers.1.self_attn.k_proj of the quantized
checkpoints in REFERENCE/modelopt/llama, in float32, under the name of the preset.

    make_modelopt.py REFERENCE

Needs torch 2.11 and safetensors.
"""

import pathlib
import sys

import torch
from safetensors.torch import load_file, save_file

MODULE = "model.layers.1.self_attn.k_proj"
E2M1 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])


def nibbles(packed):
    """[N, K / 2] to [N, K], the low nibble first."""
    return torch.stack([packed & 15, packed >> 4], dim=-1).flatten(1).long()


def decode_scaled(tensors):
    scale = tensors["weight_scale"].float()
    weight = tensors["weight"].float()
    return weight * (scale[:, None] if scale.dim() == 1 else scale)


def decode_int4(tensors):
    packed = tensors["weight"]
    rows = torch.stack([packed & 15, packed >> 4], dim=1).flatten(0, 1).to(torch.int8)
    values = torch.where(rows > 7, rows - 16, rows).float()
    scale = tensors["weight_scale"]
    return values * scale.repeat_interleave(values.shape[1] // scale.shape[1], dim=1)


def decode_fp4(tensors):
    values = E2M1[nibbles(tensors["weight"])]
    scale = tensors["weight_scale"].float() * tensors["weight_scale_2"]
    return values * scale.repeat_interleave(values.shape[1] // scale.shape[1], dim=1)


def decode_mxfp4(tensors):
    values = E2M1[nibbles(tensors["weight"])]
    scale = torch.exp2(tensors["weight_scale"].float() - 127)
    return values * scale.repeat_interleave(32, dim=1)


def decode_mxfp8(tensors):
    scale = torch.exp2(tensors["weight_scale"].float() - 127)
    return tensors["weight"].float() * scale.repeat_interleave(32, dim=1)


DECODERS = {
    "FP8_DEFAULT_CFG": decode_scaled,
    "FP8_PER_CHANNEL_PER_TOKEN_CFG": decode_scaled,
    "INT8_SMOOTHQUANT_CFG": decode_scaled,
    "INT8_WEIGHT_ONLY_CFG": decode_scaled,
    "INT4_AWQ_CFG": decode_int4,
    "NVFP4_DEFAULT_CFG": decode_fp4,
    "W4A16_NVFP4_CFG": decode_fp4,
    "MXFP8_DEFAULT_CFG": decode_mxfp8,
    "MXFP4_DEFAULT_CFG": decode_mxfp4,
}


def main():
    reference = pathlib.Path(sys.argv[1]) / "modelopt" / "llama"
    golden = {}
    for preset, decode in DECODERS.items():
        tensors = load_file(reference / preset / "export" / "model.safetensors")
        own = {name[len(MODULE) + 1 :]: value for name, value in tensors.items() if name.startswith(MODULE + ".")}
        # A quarter of the rows keeps the file small.
        golden[preset] = decode(own)[::4].contiguous()
    save_file(golden, pathlib.Path(__file__).parent / "golden" / "modelopt.safetensors")


if __name__ == "__main__":
    main()
