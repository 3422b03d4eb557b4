#!/usr/bin/env python3
"""Makes modelopt/llama: what nvidia-modelopt makes of a tiny llama. The NVFP4 and MX presets need a CUDA device.

    pip install torch transformers safetensors nvidia-modelopt==0.47.*
    python make_modelopt.py OUT
"""

import copy
import pathlib
import sys
import tempfile

import modelopt.torch.quantization as mtq
import torch
import transformers
from modelopt.torch.export import export_hf_checkpoint
from safetensors.torch import load_file, save_file

PRESETS = ["FP8_DEFAULT_CFG", "INT8_DEFAULT_CFG", "INT8_WEIGHT_ONLY_CFG", "INT4_BLOCKWISE_WEIGHT_ONLY_CFG",
           "NVFP4_DEFAULT_CFG", "W4A16_NVFP4_CFG", "FP8_PER_CHANNEL_PER_TOKEN_CFG", "FP8_2D_BLOCKWISE_WEIGHT_ONLY_CFG",
           "MXFP8_DEFAULT_CFG", "MXFP4_DEFAULT_CFG"]
CACHES = [("FP8_DEFAULT_CFG", "FP8_KV_CFG"), ("NVFP4_DEFAULT_CFG", "NVFP4_KV_CFG")]


def make_base(folder: pathlib.Path) -> None:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(vocab_size=256, hidden_size=128, intermediate_size=256, num_hidden_layers=2,
                                      num_attention_heads=4, num_key_value_heads=2, head_dim=32,
                                      max_position_embeddings=512, tie_word_embeddings=True)
    transformers.LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)


def quantize(base: pathlib.Path, out: pathlib.Path, config: dict, calib: torch.Tensor, evaluation: torch.Tensor,
             device: str) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16).to(device).eval()

    def forward_loop(model):
        for batch in calib.to(device).split(4):
            model(batch)

    with torch.no_grad():
        model = mtq.quantize(model, config, forward_loop)
        logits = model(evaluation.to(device)).logits
    out.mkdir(parents=True, exist_ok=True)
    state = {name: value.cpu().contiguous() for name, value in model.state_dict().items()
             if name.endswith(("_amax", "_pre_quant_scale"))}
    save_file(state, out / "quantizer_state.safetensors")
    save_file({"logits": logits.float().cpu().contiguous()}, out / "fake_quant_logits.safetensors")
    export_hf_checkpoint(model, export_dir=out / "export")


def affine_caches(base: pathlib.Path, calib: torch.Tensor, device: str) -> dict[str, torch.Tensor]:
    """Biases and scales of an affine FP8 cache, calibrated with the data in one batch and in four."""
    found = {}
    for name, batches in (("one_batch", 1), ("four_batches", 4)):
        config = mtq.update_quant_cfg_with_kv_cache_quant(copy.deepcopy(mtq.FP8_DEFAULT_CFG),
                                                          mtq.FP8_AFFINE_KV_CFG["quant_cfg"])
        model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16).to(device).eval()
        with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
            model = mtq.quantize(model, config, lambda m: [m(batch) for batch in calib.to(device).chunk(batches)])
            export_hf_checkpoint(model, export_dir=folder)
            for key, tensor in load_file(pathlib.Path(folder) / "model.safetensors").items():
                if key.endswith(("k_bias", "v_bias", "k_scale", "v_scale")):
                    found[f"{name}.{key}"] = tensor.clone()
    return found


def main() -> None:
    out = pathlib.Path(sys.argv[1])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    make_base(out / "base")
    calib, evaluation = torch.randint(0, 256, (16, 64)), torch.randint(0, 256, (2, 32))
    save_file({"input_ids": calib}, out / "calib.safetensors")
    model = transformers.AutoModelForCausalLM.from_pretrained(out / "base", dtype=torch.bfloat16).to(device).eval()
    with torch.no_grad():
        logits = model(evaluation.to(device)).logits.float().cpu()
    save_file({"input_ids": evaluation, "logits": logits.contiguous()}, out / "eval.safetensors")
    for name in PRESETS:
        quantize(out / "base", out / name, copy.deepcopy(getattr(mtq, name)), calib, evaluation, device)
    save_file(affine_caches(out / "base", calib, device), out / "affine_caches.safetensors")
    for name, cache in CACHES:
        config = mtq.update_quant_cfg_with_kv_cache_quant(copy.deepcopy(getattr(mtq, name)),
                                                          getattr(mtq, cache)["quant_cfg"])
        quantize(out / "base", out / f"{name}+{cache}", config, calib, evaluation, device)


if __name__ == "__main__":
    main()
