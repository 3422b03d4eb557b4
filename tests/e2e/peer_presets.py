#!/usr/bin/env python3
"""Compares checkpoints of `lathe quantize` with nvidia-modelopt's, for tiny models of other seeds and families.

    pip install torch transformers safetensors nvidia-modelopt==0.47.*
    python peer_presets.py LATHE [--families llama,qwen2] [--presets fp8,nvfp4] [--seeds 1,2]

Every preset that needs no search is quantized and exported by both from the same weights and calibration data. Names,
dtypes, shapes and JSON must be equal, and then:

  scales of weights       within 1 ulp (the peer multiplies by a rounded reciprocal on a GPU)
  scales of activations   within 4 steps of bfloat16 (amax of activations that are rounded on the way)
  codes                   equal but for the share that is known: FP8 per tensor is divided in
                          bfloat16 by the peer, MXFP4 ties go down and zeros are -0, four-over-six has ties
  affine caches           the mean over all tokens and the amax around it; the peer's are of running means of batches
  GPT-2                   what is not quantized stays [K, N], as readers expect it; the peer transposes it
  embeddings, tied heads  NVFP4_FP8_MHA quantizes them, which no engine looks for: switched off for the peer
  INTENDED, MEMORY_NAMES  what is known of one family and preset, with the reason; printed as "equal but for ..."

Exit code 1 and a line for each difference otherwise. Without a CUDA device the peer cannot round to NVFP4 and MX
formats: its scales and exports do not need that, and its rounding is switched off here.
"""

import argparse
import copy
import json
import pathlib
import re
import subprocess
import sys
import tempfile
from typing import NamedTuple

import modelopt.torch.quantization as mtq
import torch
import transformers
from modelopt.torch.export import export_hf_checkpoint
from modelopt.torch.quantization.nn import TensorQuantizer
from safetensors.torch import load_file, save_file

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden" / "hf"
FAMILIES = ["llama", "qwen2", "qwen3", "mistral", "gemma2", "gemma3_text", "granite", "olmo2", "phi3", "starcoder2", "opt",
            "gpt2", "gpt_neox", "mixtral", "qwen3_moe", "gpt_oss", "deepseek_v3"]
SIZES = {"hidden_size": 128, "intermediate_size": 256, "moe_intermediate_size": 128, "head_dim": 32, "num_attention_heads": 4,
         "num_key_value_heads": 2, "num_hidden_layers": 2, "n_embd": 128, "n_head": 4, "n_layer": 2, "ffn_dim": 256,
         "word_embed_proj_dim": 128, "kv_lora_rank": 128, "q_lora_rank": 128, "qk_nope_head_dim": 32, "qk_rope_head_dim": 32,
         "qk_head_dim": 64, "v_head_dim": 32}
PRESETS = {
    "fp8": "FP8_DEFAULT_CFG", "fp8_pc_pt": "FP8_PER_CHANNEL_PER_TOKEN_CFG",
    "fp8_pb_wo": "FP8_2D_BLOCKWISE_WEIGHT_ONLY_CFG", "int8": "INT8_DEFAULT_CFG", "int8_wo": "INT8_WEIGHT_ONLY_CFG",
    "int4": "INT4_BLOCKWISE_WEIGHT_ONLY_CFG", "nvfp4": "NVFP4_DEFAULT_CFG", "w4a16_nvfp4": "W4A16_NVFP4_CFG",
    "w4a8_nvfp4_fp8": "W4A8_NVFP4_FP8_CFG", "mxfp8": "MXFP8_DEFAULT_CFG", "mxfp4": "MXFP4_DEFAULT_CFG",
    "w4a8_mxfp4_fp8": "W4A8_MXFP4_FP8_CFG", "nvfp4_mlp_only": "NVFP4_MLP_ONLY_CFG",
    "nvfp4_omlp_only": "NVFP4_OMLP_ONLY_CFG", "nvfp4_experts_only": "NVFP4_EXPERTS_ONLY_CFG",
    "nvfp4_mlp_wo": "NVFP4_MLP_WEIGHT_ONLY_CFG", "mxfp4_mlp_wo": "MXFP4_MLP_WEIGHT_ONLY_CFG",
    "mamba_moe_fp8_aggressive": "MAMBA_MOE_FP8_AGGRESSIVE_CFG", "mamba_moe_fp8_conservative": "MAMBA_MOE_FP8_CONSERVATIVE_CFG",
    "mamba_moe_nvfp4_aggressive": "MAMBA_MOE_NVFP4_AGGRESSIVE_CFG",
    "mamba_moe_nvfp4_conservative": "MAMBA_MOE_NVFP4_CONSERVATIVE_CFG", "nvfp4_fp8_mha": "NVFP4_FP8_MHA_CONFIG",
    "nvfp4_four_over_six": "NVFP4_FOUR_OVER_SIX_CFG",
}
CACHES = {"fp8": "FP8_KV_CFG", "nvfp4": "NVFP4_KV_CFG", "fp8_affine": "FP8_AFFINE_KV_CFG", "nvfp4_affine": "NVFP4_AFFINE_KV_CFG"}
# The largest share of bytes of a packed weight that may differ, by the preset's name.
CODES = {"fp8": 0.06, "fp8_pc_pt": 0.06, "fp8_pb_wo": 0.06, "mxfp4": 0.05, "w4a8_mxfp4_fp8": 0.05, "mxfp4_mlp_wo": 0.05,
         "mamba_moe_fp8_aggressive": 0.06, "mamba_moe_fp8_conservative": 0.06, "nvfp4_four_over_six": 0.03}
CODES_ELSE = 0.01
EXPERTS = r"\.mlp\.experts\.(gate_up|down)_proj"


class Intended(NamedTuple):
    """Lines of differences that are meant: regular expressions of families, presets and lines."""
    family: str
    preset: str
    line: str
    reason: str


INTENDED = [
    Intended("gpt_oss", "fp8_pc_pt", EXPERTS + "(_weight_scale)?:",
             "scales [E, N] of output channels; the peer's are of axis 0 of [E, K, N], one an expert"),
    Intended("gpt_oss", "w4a8_nvfp4_fp8|mxfp8|mxfp4|w4a8_mxfp4_fp8|mxfp4_mlp_wo", EXPERTS + "(_weight_scale)?:",
             "blocks along K, which products sum over; the peer calibrates so, but exports blocks along N"),
    Intended("gpt_oss", "w4a8_mxfp4_fp8", "only the peer has .*" + EXPERTS + "_input_scale",
             "nothing is calibrated, and no scale written; the peer writes 0.5 / 448"),
    Intended("deepseek_v3", ".*", "lathe: exit code 2: .*no linear is found that makes its keys and values",
             "refused: caches hold the latent value; the peer writes scales of a k_proj and a v_proj that are not there"),
]
# Names in memory that the peer leaves in a checkpoint, and the family's own: its conversion back takes no 4-D scales.
MEMORY_NAMES = {
    ("mixtral", "fp8_pb_wo"): [(r"\.mlp\.gate\b", ".block_sparse_moe.gate"),
                               (r"\.mlp\.experts\.(\d+)\.gate_proj\b", r".block_sparse_moe.experts.\1.w1"),
                               (r"\.mlp\.experts\.(\d+)\.down_proj\b", r".block_sparse_moe.experts.\1.w2"),
                               (r"\.mlp\.experts\.(\d+)\.up_proj\b", r".block_sparse_moe.experts.\1.w3")],
}
CONV1D = tuple(f".{name}.weight" for name in ("c_attn", "c_proj", "c_fc"))


def make_base(family: str, seed: int, folder: pathlib.Path) -> None:
    config = transformers.AutoConfig.from_pretrained(GOLDEN / family)
    own = json.loads((GOLDEN / family / "config.json").read_text())
    for key, value in SIZES.items():
        if own.get(key) is not None:
            setattr(config, key, value)
    if family == "deepseek_v3":  # no grouped keys
        config.num_key_value_heads = 4
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:2]
    torch.manual_seed(seed)
    transformers.AutoModelForCausalLM.from_config(config).to(torch.bfloat16).save_pretrained(folder)


def peer_export(base: pathlib.Path, preset: str, cache: str, calib: torch.Tensor, out: pathlib.Path) -> None:
    config = copy.deepcopy(getattr(mtq, PRESETS[preset]))
    if cache:
        config = mtq.update_quant_cfg_with_kv_cache_quant(config, getattr(mtq, CACHES[cache])["quant_cfg"])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16).to(device).eval()
    config["quant_cfg"].append({"quantizer_name": "*", "parent_class": "nn.Embedding", "enable": False})
    if model.config.tie_word_embeddings:
        config["quant_cfg"].append({"quantizer_name": "*lm_head*", "enable": False})
    with torch.no_grad():
        model = mtq.quantize(model, config, lambda m: [m(batch) for batch in calib.to(device).split(4)])
        export_hf_checkpoint(model, export_dir=out)


def steps(a: torch.Tensor, b: torch.Tensor) -> float:
    """The largest distance in ulps of float32."""
    return (a.float().view(torch.int32).long() - b.float().view(torch.int32).long()).abs().max().item() if a.numel() else 0


def compare_tensor(name: str, ours: torch.Tensor, theirs: torch.Tensor, codes: float, affine: bool) -> str:
    if name.endswith("e_score_correction_bias"):  # the peer's model makes it float32
        theirs = theirs.to(ours.dtype)
    if ours.numel() == theirs.numel() == 1:  # a block that is the whole weight
        ours, theirs = ours.reshape(1), theirs.reshape(1)
    if name.endswith(CONV1D) and ours.dtype == theirs.dtype == torch.bfloat16:
        theirs = theirs.t()
    if ours.dtype != theirs.dtype or ours.shape != theirs.shape:
        return f"{name}: {ours.dtype} {list(ours.shape)}, the peer's {theirs.dtype} {list(theirs.shape)}"
    if name.endswith((".weight_scale", ".weight_scale_2")) and ours.dtype == torch.float32:
        apart = steps(ours, theirs)
        return f"{name}: {apart} ulp apart" if apart > 1 else ""
    if name.endswith(("k_bias", "v_bias")):  # a mean over all tokens here, of the means of batches there
        off = ((ours.float() - theirs.float()).abs().max() / theirs.float().abs().max()).item()
        return f"{name}: {off:.4f} of the largest apart" if off > 0.05 else ""
    if name.endswith("_scale") and ours.is_floating_point() and ours.dtype != torch.float8_e4m3fn:
        off = ((ours.float() - theirs.float()).abs() / theirs.float().abs().clamp(min=1e-3)).max().item()
        return f"{name}: {off:.4f} of its value apart" if off > (0.1 if affine else 4 * 2**-7) else ""
    a, b = (t.contiguous().view(torch.uint8) if t.dim() else t.reshape(1).view(torch.uint8) for t in (ours, theirs))
    share = (a != b).float().mean().item()
    packed = ours.dtype != torch.bfloat16
    return f"{name}: {share:.4f} of its bytes differ" if share > (codes if packed else 0) else ""


def quantization_json(folder: pathlib.Path) -> dict:
    section = json.loads((folder / "config.json").read_text()).get("quantization_config", {})
    section.pop("producer", None)
    # The peer sorts by names in memory, and leaves out embeddings of classes that it does not know.
    section["ignore"] = sorted(name for name in section.get("ignore", []) if ".embed_" not in name)
    return section


def own_name(name: str, family: str, preset: str) -> str:
    for pattern, own in MEMORY_NAMES.get((family, preset), []):
        name = re.sub(pattern, own, name)
    return name


def compare(ours: pathlib.Path, theirs: pathlib.Path, family: str, preset: str, affine: bool) -> list[str]:
    a, b = load_file(ours / "model.safetensors"), load_file(theirs / "model.safetensors")
    b = {own_name(name, family, preset): tensor for name, tensor in b.items()}
    found = [f"only Lathe has {name}" for name in sorted(a.keys() - b.keys())]
    found += [f"only the peer has {name}" for name in sorted(b.keys() - a.keys())]
    codes = CODES.get(preset, CODES_ELSE)
    found += [text for name in sorted(a.keys() & b.keys()) 
              if (text := compare_tensor(name, a[name], b[name], codes, affine))]
    left, right = quantization_json(ours), quantization_json(theirs)
    right["ignore"] = sorted(own_name(name, family, preset) for name in right["ignore"])
    if preset == "mxfp4_mlp_wo":  # Lathe says that inputs are not quantized, which the name alone does not
        left.pop("config_groups", None)
    found += [f"config.json: {key} is {left.get(key)}, the peer's {right.get(key)}"
              for key in sorted(left.keys() | right.keys()) if left.get(key) != right.get(key)]
    return found


def without_intended(found: list[str], family: str, preset: str) -> tuple[list[str], list[str]]:
    """The differences that are left, and the reasons of those that are meant."""
    known = [one for one in INTENDED if re.fullmatch(one.family, family) and re.fullmatch(one.preset, preset)]
    left = [line for line in found if not any(re.search(one.line, line, re.DOTALL) for one in known)]
    return left, [one.reason for one in known if any(re.search(one.line, line, re.DOTALL) for line in found)]


def outcome(found: list[str], reasons: list[str]) -> str:
    return found[0] if found else "equal but for " + "; ".join(reasons) if reasons else "equal"


def run(lathe: str, base: pathlib.Path, calib: pathlib.Path, family: str, preset: str, cache: str,
        folder: pathlib.Path) -> list[str]:
    try:
        peer_export(base, preset, cache, load_file(calib)["input_ids"], folder / "peer")
    except Exception as error:  # the peer cannot do all pairs: say so, and go on
        return [f"the peer fails: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:200]]
    command = [lathe, "quantize", base, "-o", folder / "lathe", "--format", preset, "--calib", calib, "--no-fuse-scales",
               "--quiet"] + (["--kv-cache", cache] if cache else [])
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    if done.returncode != 0:
        return [f"lathe: exit code {done.returncode}: {done.stderr.strip()[:300]}"]
    return compare(folder / "lathe", folder / "peer", family, preset, "affine" in cache)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lathe")
    parser.add_argument("--families", default=",".join(FAMILIES))
    parser.add_argument("--presets", default=",".join(PRESETS))
    parser.add_argument("--caches", default=",".join(CACHES))
    parser.add_argument("--seeds", default="1")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        rounding = TensorQuantizer._fake_quantize
        TensorQuantizer._fake_quantize = lambda self, x: x if self.block_sizes else rounding(self, x)
    jobs = [(preset, "") for preset in arguments.presets.split(",") if preset]
    jobs += [("fp8", cache) for cache in arguments.caches.split(",") if cache]
    different = 0
    for family in arguments.families.split(","):
        for seed in map(int, arguments.seeds.split(",")):
            with tempfile.TemporaryDirectory() as scratch:
                root = pathlib.Path(scratch)
                make_base(family, seed, root / "base")
                save_file({"input_ids": torch.randint(0, 256, (16, 64))}, root / "calib.safetensors")
                for preset, cache in jobs:
                    name = preset + ("+" + cache if cache else "")
                    found = run(arguments.lathe, root / "base", root / "calib.safetensors", family, preset, cache, root / name)
                    found, reasons = without_intended(found, family, preset)
                    different += bool(found) and not found[0].startswith("the peer fails")
                    print(f"{family:12} seed {seed} {name:30} {outcome(found, reasons)}", flush=True)
                    for text in found[1:8]:
                        print(f"{'':50}{text}", flush=True)
    print(f"{different} pairs differ")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
