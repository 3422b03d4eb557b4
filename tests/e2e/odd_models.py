#!/usr/bin/env python3
"""Odd combinations of options, each a tiny random model: what `lathe run` gives beside transformers.

    odd_models.py --lathe build/release/bin/lathe [NAME...]

prints one line a model: the largest error relative to the largest output, or Lathe's refusal, which must name the
option. It fails if an output is wrong (above 1e-4) or a refusal was not expected.

Needs torch 2.11, transformers 5.14 and safetensors.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import torch
import transformers as tr
from safetensors.torch import load_file, save_file

TOKENS = 40
SIZES = dict(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2)


def rope(kind, **more):
    return {"rope_type": kind, "rope_theta": 10000.0, **more}


YARN = rope("yarn", factor=4.0, original_max_position_embeddings=16)
LLAMA3 = rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)
LONG = rope("longrope", short_factor=[1.0 + 0.1 * i for i in range(4)], long_factor=[2.0 + 0.5 * i for i in range(4)])

# Name: (configuration class, options, what a refusal names; None if it must run).
MODELS = {
    "llama_wide_heads_llama3": (tr.LlamaConfig, dict(head_dim=24, rope_parameters=LLAMA3, attention_bias=True), None),
    "llama_tied_mlp_bias_linear": (tr.LlamaConfig, dict(tie_word_embeddings=True, mlp_bias=True,
                                                        rope_parameters=rope("linear", factor=3.0)), None),
    "llama_gelu_yarn_scaled": (tr.LlamaConfig, dict(hidden_act="gelu_pytorch_tanh", rope_parameters={
        **YARN, "beta_fast": 16.0, "beta_slow": 2.0, "attention_factor": 1.3}), None),
    "llama_one_kv_head": (tr.LlamaConfig, dict(num_key_value_heads=1, rope_parameters=rope(
        "dynamic", factor=2.0), max_position_embeddings=24), None),
    "mistral_window_yarn": (tr.MistralConfig, dict(sliding_window=7, rope_parameters=YARN, head_dim=16), None),
    "mistral_no_window_relu": (tr.MistralConfig, dict(sliding_window=None, hidden_act="relu"), None),
    "qwen2_some_windows": (tr.Qwen2Config, dict(use_sliding_window=True, sliding_window=5, max_window_layers=1), None),
    "qwen3_window_tied_yarn": (tr.Qwen3Config, dict(use_sliding_window=True, sliding_window=6, max_window_layers=2,
                                                    tie_word_embeddings=True, head_dim=16, rope_parameters=YARN), None),
    "phi3_partial_window": (tr.Phi3Config, dict(partial_rotary_factor=0.5, sliding_window=9), None),
    "gemma2_scale_head_dim": (tr.Gemma2Config, dict(head_dim=12, query_pre_attn_scalar=20, sliding_window=6,
                                                    final_logit_softcapping=2.0, attn_logit_softcapping=0.5), None),
    "gemma3_bias_cap": (tr.Gemma3TextConfig, dict(head_dim=8, attention_bias=True, sliding_window=5,
                                                  final_logit_softcapping=3.0, query_pre_attn_scalar=5), None),
    "olmo2_yarn_mqa": (tr.Olmo2Config, dict(rope_parameters=YARN, num_key_value_heads=4), None),
    "granite_all_multipliers": (tr.GraniteConfig, dict(embedding_multiplier=3.0, attention_multiplier=0.2,
                                                       residual_multiplier=0.4, logits_scaling=5.0, mlp_bias=True,
                                                       tie_word_embeddings=True, rope_parameters=LLAMA3), None),
    "starcoder2_no_bias_relu": (tr.Starcoder2Config, dict(use_bias=False, hidden_act="relu", sliding_window=None),
                                None),
    "mixtral_window_top1": (tr.MixtralConfig, dict(num_local_experts=5, num_experts_per_tok=1, sliding_window=8,
                                                   head_dim=12), None),
    "qwen3_moe_raw_top3": (tr.Qwen3MoeConfig, dict(num_experts=6, num_experts_per_tok=3, norm_topk_prob=False,
                                                   moe_intermediate_size=20, mlp_only_layers=[1], head_dim=8), None),
    "gpt_neox_full_rotary_tied": (tr.GPTNeoXConfig, dict(rotary_pct=1.0, use_parallel_residual=True,
                                                         attention_bias=False, tie_word_embeddings=True), None),
    "gpt2_gelu_inverse": (tr.GPT2Config, dict(n_embd=32, n_layer=2, n_head=4, n_positions=64,
                                              activation_function="gelu", scale_attn_by_inverse_layer_idx=True), None),
    "opt_after_norm": (tr.OPTConfig, dict(do_layer_norm_before=False, ffn_dim=48, activation_function="gelu"), None),
    "phi3_long_mixed": (tr.Phi3Config, dict(rope_parameters=LONG, original_max_position_embeddings=16), None),
}


def make(name, folder):
    """The model on disk with bfloat16 weights, and what transformers gives for them in float32."""
    kind, options, _ = MODELS[name]
    sizes = {} if kind is tr.GPT2Config else SIZES
    config = kind(**{**sizes, **({"vocab_size": 64} if not sizes else {}), **options})
    torch.manual_seed(sum(map(ord, name)))
    model = tr.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    for parameter in model.parameters():
        noise = torch.randn_like(parameter) * (0.3 if parameter.dim() == 1 else 0.12)
        parameter.data = (parameter.data + noise).bfloat16().float()
    ids = torch.randint(3, 64, (2, TOKENS))
    with torch.no_grad():
        logits = model(input_ids=ids, use_cache=False).logits
    model.bfloat16().save_pretrained(folder)
    save_file({"input_ids": ids}, folder / "ids.safetensors")
    return logits


def check(name, program):
    expected_refusal = MODELS[name][2]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        expected = make(name, folder)
        command = [program, "run", folder, "--inputs", folder / "ids.safetensors", "-o", folder / "out.safetensors",
                   "--dtype", "float32", "--quiet"]
        finished = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if finished.returncode != 0:
            named = expected_refusal is not None and expected_refusal in finished.stderr
            print(f"{'ok   ' if named else 'FAIL '} {name}: {finished.stderr.strip()[:300]}")
            return named
        found = load_file(folder / "out.safetensors")["logits"].float()
        error = ((found - expected).abs().max() / expected.abs().max()).item()
        right = error < 1e-4 and expected_refusal is None
        print(f"{'ok   ' if right else 'WRONG'} {name}: {error:.1e}")
        return right


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lathe", default="build/release/bin/lathe")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    results = [check(name, arguments.lathe) for name in arguments.names or MODELS]
    print(f"{sum(results)} of {len(results)} as expected")
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
