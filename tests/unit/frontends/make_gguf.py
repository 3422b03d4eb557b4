#!/usr/bin/env python3
"""Makes the golden data of the GGUF front end: golden/gguf/{llama,llama3,qwen2,qwen3}.gguf and expected.safetensors
(NAME.input_ids, NAME.logits: transformers on the dequantized weights, in float32).

The files are written with the `gguf` package from tiny random models; rows of Llama's q and k are permuted and
weights quantized as llama.cpp's converter does. llama has Q8_0 weights, llama3 Q4_0 with rope_freqs.weight (llama3
scaling), qwen2 biases and bfloat16, qwen3 float16 and norms of q and k.

Needs torch 2.11, transformers 5.14, safetensors and gguf 0.19.
"""

import math
import pathlib

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config

OUT = pathlib.Path(__file__).parent / "golden" / "gguf"
SIZES = dict(
    vocab_size=40,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=256,
    rms_norm_eps=1e-5,
    bos_token_id=1,
    eos_token_id=2,
)
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
PLAIN = {"rope_type": "default", "rope_theta": 20000.0}
MODELS = {
    "llama": (LlamaConfig(**SIZES, rope_parameters=PLAIN, tie_word_embeddings=True), "Q8_0"),
    "llama3": (LlamaConfig(**SIZES, head_dim=16, rope_parameters=LLAMA3, tie_word_embeddings=False), "Q4_0"),
    "qwen2": (Qwen2Config(**SIZES, rope_parameters=PLAIN, tie_word_embeddings=False), "BF16"),
    "qwen3": (Qwen3Config(**SIZES, head_dim=8, rope_parameters=PLAIN, tie_word_embeddings=True), "F16"),
}
NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_name(name):
    stem, suffix = name.rsplit(".", 1)
    if stem in NAMES:
        return f"{NAMES[stem]}.{suffix}"
    _, _, layer, rest = stem.split(".", 3)
    return f"blk.{layer}.{NAMES[rest]}.{suffix}"


def heads_of(name, config):
    if config.model_type != "llama":
        return 0
    if ".q_proj." in name:
        return config.num_attention_heads
    return config.num_key_value_heads if ".k_proj." in name else 0


def permute(array, heads):
    return array.reshape(heads, 2, -1, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)


def unpermute(array, heads):
    return array.reshape(heads, -1, 2, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)


def add_tensor(writer, name, parameter, config, kind):
    """Writes one tensor and gives the value that the file stands for."""
    heads = heads_of(name, config)
    array = parameter.detach().numpy()
    if heads:
        array = permute(array, heads)
    quant_type = gguf.GGMLQuantizationType[kind if array.ndim == 2 else "F32"]
    packed = gguf.quants.quantize(array, quant_type)
    writer.add_tensor(gguf_name(name), packed, raw_dtype=quant_type)
    value = gguf.quants.dequantize(packed, quant_type).reshape(array.shape)
    return torch.from_numpy(np.ascontiguousarray(unpermute(value, heads) if heads else value))


def rope_freqs(config):
    """The divisors of llama3 scaling, as llama.cpp's converter writes them."""
    rope = config.rope_parameters
    context = rope["original_max_position_embeddings"]
    divisors = []
    for i in range(0, config.head_dim, 2):
        wavelength = 2 * math.pi * rope["rope_theta"] ** (i / config.head_dim)
        if wavelength < context / rope["high_freq_factor"]:
            divisors.append(1.0)
        elif wavelength > context / rope["low_freq_factor"]:
            divisors.append(rope["factor"])
        else:
            smooth = (context / wavelength - rope["low_freq_factor"]) / (
                rope["high_freq_factor"] - rope["low_freq_factor"]
            )
            divisors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(divisors, dtype=np.float32)


def add_metadata(writer, config):
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    if head_dim != config.hidden_size // config.num_attention_heads:
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list([f"t{i}" for i in range(config.vocab_size)])
    writer.add_token_types([3, 3, 3] + [1] * (config.vocab_size - 3))
    writer.add_token_merges(["t 1", "t 2"])
    writer.add_bos_token_id(config.bos_token_id)
    writer.add_eos_token_id(config.eos_token_id)
    writer.add_add_bos_token(True)
    writer.add_chat_template("{{ messages }}")


def make(name, config, kind):
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    writer = gguf.GGUFWriter(OUT / f"{name}.gguf", config.model_type)
    add_metadata(writer, config)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            noise = torch.randn_like(parameter) * 0.2
            parameter.copy_(1 + noise if "norm" in key else noise)
            parameter.copy_(add_tensor(writer, key, parameter, config, kind))
        if config.rope_parameters["rope_type"] == "llama3":
            writer.add_tensor("rope_freqs.weight", rope_freqs(config))
        ids = torch.randint(0, config.vocab_size, (2, 12))
        logits = model(input_ids=ids).logits
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return {f"{name}.input_ids": ids, f"{name}.logits": logits}


def main():
    torch.manual_seed(21)
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    expected = {}
    for name, (config, kind) in MODELS.items():
        expected.update(make(name, config, kind))
    save_file(expected, OUT / "expected.safetensors")


if __name__ == "__main__":
    main()
