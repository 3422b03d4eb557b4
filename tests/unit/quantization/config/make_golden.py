#!/usr/bin/env python3
"""Makes golden.json: what nvidia-modelopt 0.47 sets on quantizers, and what Python's fnmatch matches.

    make_golden.py [OUT]      (with the packages of bench/compare.py --setup)

golden.json holds
  names       [[full quantizer name, parent class], ...]
  states      the different results: enabled, and the attributes of each stage that are not the default
  presets     preset name -> index into states for each name
  algorithms  preset name -> its algorithm (absent for KV presets that have none)
  configs     [{config, states}]: hand-written configurations in every form
  fnmatch     [[pattern, name, matches], ...]
"""

import fnmatch
import json
import pathlib
import random
import sys
import warnings

import torch
from torch import nn

import modelopt.torch.quantization as mtq
import modelopt.torch.quantization.config as mtq_config
from modelopt.torch.quantization.conversion import set_quantizer_by_cfg
from modelopt.torch.quantization.nn import SequentialQuantizer, TensorQuantizer

LINEARS = [
    "model.layers.0.self_attn.q_proj",
    "model.layers.0.self_attn.k_proj",
    "model.layers.0.self_attn.o_proj",
    "model.layers.0.mlp.gate_proj",
    "model.layers.0.mlp.down_proj",
    "lm_head",
    "model.layers.1.mlp.gate",
    "model.layers.1.mlp.experts.0.up_proj",
    "model.layers.1.mlp.shared_expert_gate",
    "model.layers.1.mlp.shared_expert.gate_proj",
    "model.layers.2.block_sparse_moe.gate",
    "model.layers.2.block_sparse_moe.experts.7.w1",
    "model.layers.3.router.layer",
    "model.layers.3.mixer.up_proj",
    "model.layers.3.mixer.in_proj",
    "model.layers.3.mixer.fc1_latent_proj",
    "model.layers.4.linear_attn.in_proj_a",
    "model.layers.4.linear_attn.out_proj",
    "model.layers.5.self_attention.linear_qkv",
    "mtp.layers.0.proj",
    "output.dense",
    "output_layer",
    "bert.encoder.layer.0.attention.self.query",
    "bert.encoder.layer.0.intermediate.dense",
    "vision_tower.encoder.layers.0.mlp.fc1",
    "model.visual.blocks.0.attn.qkv",
    "multi_modal_projector.linear_1",
]
OTHERS = {
    "model.embed_tokens": lambda: nn.Embedding(4, 4),
    "features.conv1": lambda: nn.Conv2d(2, 2, 1),
    "features.bn1": lambda: nn.BatchNorm2d(2),
    "features.act": lambda: nn.LeakyReLU(),
    "model.layers.4.linear_attn.conv1d": lambda: nn.Conv1d(2, 2, 1),
    "model.norm": lambda: nn.LayerNorm(4),
}
ATTENTION = {
    "model.layers.0.self_attn": ["q_bmm", "k_bmm", "v_bmm", "p_bmm"],
    "vision_tower.encoder.layers.0.attn": ["k_bmm"],
    "transformer_blocks.0.attn": ["softmax", "bmm2_output"],
}
FUSED = "model.layers.6.mlp.experts"

CONFIGS = [
    {"quant_cfg": {"*weight_quantizer": {"num_bits": 4, "block_sizes": {"-1": 64}}}, "algorithm": "max"},
    {"quant_cfg": {"*": {"enable": False}, "nn.Linear": {"*input_quantizer": {"num_bits": [4, 3]}, "*lm_head*": {"enable": False}},
                   "nn.Conv2d": {"*": {"num_bits": 8, "axis": 0}}}, "algorithm": "max"},
    {"quant_cfg": [{"quantizer_name": "*", "enable": False},
                   {"quantizer_name": "*weight_quantizer", "cfg": [{"num_bits": 4, "block_sizes": {"-1": 128}}, {"num_bits": [4, 3]}]},
                   {"quantizer_name": "*q_proj*", "cfg": {"num_bits": 8}},
                   {"quantizer_name": "*o_proj*", "enable": False}], "algorithm": "max"},
    {"quant_cfg": [{"quantizer_name": "*", "cfg": {"num_bits": [4, 3], "rotate": True}},
                   {"quantizer_name": "*mlp*", "enable": False},
                   {"quantizer_name": "*mlp.experts*", "enable": True}], "algorithm": "max"},
    {"quant_cfg": [{"quantizer_name": "*_proj.weight_quantizer", "parent_class": "nn.Linear", "cfg": {"num_bits": 4, "axis": 0, "narrow_range": True}, "enable": False},
                   {"quantizer_name": "*[qk]_proj.*", "enable": True},
                   {"quantizer_name": "*output_quantizer", "enable": True},
                   {"quantizer_name": "*[!kv]_bmm_quantizer", "cfg": {}, "enable": False}], "algorithm": "max"},
]


class Holder(nn.Module):
    """A module of a model that has no quantized form of its own."""


def place(root, path, module):
    *parents, last = path.split(".")
    for part in parents:
        if not hasattr(root, part):
            root.add_module(part, Holder())
        root = getattr(root, part)
    root.add_module(last, module)


def make_model():
    root = Holder()
    for path in LINEARS:
        place(root, path, nn.Linear(4, 4))
    for path, make in OTHERS.items():
        place(root, path, make())
    mtq.replace_quant_module(root)
    for path, kinds in ATTENTION.items():
        for kind in kinds:
            place(root, f"{path}.{kind}_quantizer", TensorQuantizer())
    experts = nn.ModuleList(TensorQuantizer() for _ in range(2))
    place(root, f"{FUSED}.gate_up_proj_weight_quantizers", experts)
    place(root, f"{FUSED}.gate_up_proj_input_quantizer", TensorQuantizer())
    return root


def quantizers(model):
    """The quantizers that are not a stage of another one."""
    found = {n: m for n, m in model.named_modules() if isinstance(m, (TensorQuantizer, SequentialQuantizer))}
    return {n: m for n, m in found.items() if not isinstance(found.get(n.rpartition(".")[0]), SequentialQuantizer)}


def parent_class(model, name):
    kind = type(model.get_submodule(name.rpartition(".")[0])).__name__
    return kind.removeprefix("Quant")


def blocks_json(blocks):
    out = {str(k): v for k, v in blocks.items() if isinstance(k, int)}
    out["type"] = blocks.get("type") or "static"
    if blocks.get("scale_bits"):
        out["scale_bits"] = list(blocks["scale_bits"])
    if blocks.get("four_over_six"):
        out["four_over_six"] = True
    return out


def attributes_json(q):
    """The attributes that are not the default, spelled as in a configuration."""
    bits = q._num_bits
    out = {"num_bits": bits if isinstance(bits, int) else list(bits)}
    if getattr(q, "_effective_bits", None):
        out["effective_bits"] = q._effective_bits
    if q._axis is not None:
        out["axis"] = q._axis
    if q._block_sizes:
        out["block_sizes"] = blocks_json(q._block_sizes)
    if q._narrow_range:
        out["narrow_range"] = True
    if q._unsigned:
        out["unsigned"] = True
    if q._bias:
        axes = {str(k): None for k in sorted(k for k in q._bias if isinstance(k, int))}
        out["bias"] = {**axes, "type": q._bias.get("type", "static"), "method": q._bias.get("method", "mean")}
    if q._rotate if isinstance(q._rotate, bool) else q._rotate.enable:
        out["rotate"] = {"enable": True}
    if q._dynamic:
        out["type"] = "dynamic"
    if getattr(q, "_use_constant_amax", False):
        out["use_constant_amax"] = True
    return out


def state_json(q):
    stages = list(q) if isinstance(q, SequentialQuantizer) else [q]
    return {"enabled": not stages[0]._disabled, "stages": [attributes_json(s) for s in stages]}


def python_keys(value):
    """JSON's text keys and lists as the peer has them: integer axes, tuples of bits."""
    if isinstance(value, dict):
        return {int(k) if k.lstrip("-").isdigit() else k: python_keys(v) for k, v in value.items()}
    if isinstance(value, list):
        pair = len(value) == 2 and all(isinstance(v, int) for v in value)
        return tuple(value) if pair else [python_keys(v) for v in value]
    return value


def resolve(quant_cfg):
    model = make_model()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        set_quantizer_by_cfg(model, quant_cfg)
    return [state_json(q) for q in quantizers(model).values()]


def fnmatch_cases():
    rng = random.Random(1)
    words = ["a", "b", "ab", ".", "-", "*", "?", "[ab]", "[!a]", "[a-c]", "[!a-b]", "[]a]", "[!]]", "[", "]", "!",
             "[z-a]", "[!z-a]", "[a-]", "[-a]", "[a-b-c]", "[--b]", "[a!]", "[^a]", "[[]", "[\\]", "\u00e9", "[\u00e0-\u00ff]", "**"]
    cases = []
    while len(cases) < 400:
        pattern = "".join(rng.choices(words, k=rng.randint(0, 5)))
        name = "".join(rng.choices(["a", "b", "c", "ab", ".", "-", "[", "]", "!", "\u00e9", "^", "\\"], k=rng.randint(0, 6)))
        matches = fnmatch.fnmatchcase(name, pattern)
        if matches or rng.random() < 0.4:
            cases.append([pattern, name, matches])
    return cases


class States:
    def __init__(self):
        self.values = []

    def index(self, state):
        if state not in self.values:
            self.values.append(state)
        return self.values.index(state)


def main():
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).with_name("golden.json")
    model = make_model()
    names = [[n, parent_class(model, n)] for n in quantizers(model)]
    # The input of an embedding is hard-disabled by its module, whatever a configuration says.
    keep = [i for i, (n, p) in enumerate(names) if not (p == "Embedding" and n.endswith("input_quantizer"))]
    states = States()
    indices = lambda cfg: [states.index(s) for i, s in enumerate(resolve(cfg)) if i in keep]
    presets = {p: getattr(mtq_config, p) for p in sorted(mtq_config.choices)}
    golden = {
        "names": [names[i] for i in keep],
        "presets": {p: indices(c["quant_cfg"]) for p, c in presets.items()},
        "algorithms": {p: c["algorithm"] for p, c in presets.items() if "algorithm" in c},
        "configs": [{"config": c, "states": indices(python_keys(c)["quant_cfg"])} for c in CONFIGS],
        "fnmatch": fnmatch_cases(),
        "states": states.values,
    }
    out.write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in golden.items()) + "\n}\n")
    print(f"{out}: {len(golden['names'])} names, {len(presets)} presets, {len(states.values)} states")


if __name__ == "__main__":
    main()
