#!/usr/bin/env python3
"""Makes the golden data of the Hugging Face front end, beside this file in golden/.

    make_golden.py ../../golden

writes golden/NAME/{config.json, model.safetensors, expected.safetensors} for the tiny models of MODELS (random
weights in bfloat16; expected: inputs, and the logits of transformers with the weights as float32 and as bfloat16),
golden/rope.json (inverse frequencies of every rope type) and golden/bf16_errors.json (how far transformers in
bfloat16 is from float32 on the models of tests/golden/hf).

Needs torch 2.11, transformers 5.14 and safetensors.
"""

import json
import pathlib
import sys

import torch
from safetensors.torch import load_file, save_file
import transformers
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

HERE = pathlib.Path(__file__).parent / "golden"
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
SIZES = dict(vocab_size=48, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4)
MODELS = {
    # Every option that Llama has: biases, a head size of its own, grouped heads, its own output matrix.
    "llama_options": LlamaConfig(
        **SIZES,
        num_key_value_heads=2,
        head_dim=16,
        attention_bias=True,
        mlp_bias=True,
        rope_parameters=LLAMA3,
        max_position_embeddings=128,
        tie_word_embeddings=False,
    ),
    "llama_gelu": LlamaConfig(
        **SIZES,
        num_key_value_heads=4,
        hidden_act="gelu",
        rope_parameters={"rope_type": "linear", "factor": 4.0, "rope_theta": 500.0},
        tie_word_embeddings=True,
    ),
    "mistral_window": MistralConfig(**SIZES, num_key_value_heads=1, sliding_window=5, head_dim=None),
    "qwen2_window": Qwen2Config(
        **SIZES, num_key_value_heads=2, use_sliding_window=True, sliding_window=5, max_window_layers=1
    ),
}
ROPES = {
    "default": {"rope_type": "default", "rope_theta": 1000000.0},
    "linear": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.5},
    "llama3": {**LLAMA3, "rope_theta": 500000.0, "factor": 32.0, "original_max_position_embeddings": 8192},
    "yarn": {
        "rope_type": "yarn",
        "rope_theta": 1000000.0,
        "factor": 4.0,
        "original_max_position_embeddings": 32768,
    },
    "yarn_options": {
        "rope_type": "yarn",
        "rope_theta": 10000.0,
        "factor": 16.0,
        "original_max_position_embeddings": 4096,
        "beta_fast": 20.0,
        "beta_slow": 2.0,
        "mscale": 0.7,
        "mscale_all_dim": 1.0,
        "truncate": False,
    },
}


def randomize(model):
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn_like(parameter) * 0.2
            parameter.copy_(1 + noise if "norm" in name else noise)


def inputs(config):
    ids = torch.randint(0, config.vocab_size, (3, 14))
    mask = torch.ones_like(ids)
    mask[1, 9:] = 0  # padding on the right
    mask[2, :4] = 0  # padding on the left
    return {"input_ids": ids, "attention_mask": mask}


def run(folder, dtype, batch):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    with torch.no_grad():
        return model(**batch).logits.float()


def make_model(name, config):
    folder = HERE / name
    model = AutoModelForCausalLM.from_config(config).eval()
    randomize(model)
    model.to(torch.bfloat16).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    batch = inputs(config)
    whole = {"input_ids": batch["input_ids"]}
    save_file(
        {
            **batch,
            "logits": run(folder, torch.float32, whole),
            "padded_logits": run(folder, torch.float32, batch),
            "bf16_logits": run(folder, torch.bfloat16, whole),
        },
        folder / "expected.safetensors",
    )


def make_ropes():
    cases = []
    for name, rope in ROPES.items():
        config = LlamaConfig(
            hidden_size=128, num_attention_heads=2, rope_parameters=dict(rope), max_position_embeddings=131072
        )
        module = LlamaRotaryEmbedding(config)
        cases.append(
            {
                "name": name,
                "rope_parameters": rope,
                "head_dim": 64,
                "attention_scaling": module.attention_scaling,
                "inv_freq": module.inv_freq.tolist(),
            }
        )
    (HERE / "rope.json").write_text(json.dumps(cases, indent=1) + "\n")


def errors(found, expected):
    difference = (found - expected).abs()
    scale = expected.abs().max()
    return {"max": (difference.max() / scale).item(), "mean": (difference.mean() / scale).item()}


def run_reference(folder, dtype):
    """The output that expected.safetensors of `folder` has, from a model in `dtype`."""
    architecture = json.loads((folder / "config.json").read_text())["architectures"][0]
    model = getattr(transformers, architecture).from_pretrained(folder, dtype=dtype).eval()
    expected = load_file(folder / "expected.safetensors")
    output = "logits" if "logits" in expected else "last_hidden_state"
    batch = {name: value for name, value in expected.items() if name != output}
    for name, value in batch.items():
        if value.is_floating_point():
            batch[name] = value.to(dtype)
    with torch.no_grad():
        return getattr(model(**batch), output).float()


def make_errors(reference):
    table = {}
    for folder in sorted((reference / "hf").iterdir()):
        table[folder.name] = errors(run_reference(folder, torch.bfloat16), run_reference(folder, torch.float32))
    (HERE / "bf16_errors.json").write_text(json.dumps(table, indent=1) + "\n")


def main():
    torch.manual_seed(20)
    torch.set_num_threads(1)
    HERE.mkdir(exist_ok=True)
    for name, config in MODELS.items():
        make_model(name, config)
    make_ropes()
    make_errors(pathlib.Path(sys.argv[1]))


if __name__ == "__main__":
    main()
