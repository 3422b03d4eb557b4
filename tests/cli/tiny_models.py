"""Tiny models and data that the tests start from, made with the standard library alone."""

import json
import random
import struct

import safetensors_file
from safetensors_file import Tensor

VOCABULARY = 256
ONE = struct.pack("<H", 0x3F80)  # 1.0 in bfloat16
NAN = struct.pack("<H", 0x7FC0)

# High bytes of bfloat16 numbers between 0.008 and 0.12, of either sign.
HIGH_BYTES = bytes((0x3C, 0x3D, 0xBC, 0xBD)[i % 4] for i in range(256))
SMALL_HIGH_BYTES = bytes((0x3B, 0x3C, 0xBB, 0xBC)[i % 4] for i in range(256))


def random_weight(source, *shape, high_bytes=HIGH_BYTES):
    count = 1
    for size in shape:
        count *= size
    data = bytearray(2 * count)
    data[0::2] = source.randbytes(count)
    data[1::2] = source.randbytes(count).translate(high_bytes)
    return Tensor("BF16", shape, data)


def ones(size):
    return Tensor("BF16", [size], ONE * size)


def llama_config(hidden=64, inner=128, layers=2):
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "bfloat16",
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": hidden // 4,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"},
        "max_position_embeddings": 512,
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "vocab_size": VOCABULARY,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }


def llama_tensors(config, seed=0):
    source = random.Random(seed)
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    kv = config["num_key_value_heads"] * config["head_dim"]
    tensors = {"model.embed_tokens.weight": random_weight(source, VOCABULARY, hidden)}
    for layer in range(config["num_hidden_layers"]):
        block = f"model.layers.{layer}."
        for name, rows, columns in (
            ("self_attn.q_proj", hidden, hidden), ("self_attn.k_proj", kv, hidden), ("self_attn.v_proj", kv, hidden),
            ("self_attn.o_proj", hidden, hidden), ("mlp.gate_proj", inner, hidden), ("mlp.up_proj", inner, hidden),
            ("mlp.down_proj", hidden, inner)):
            # Smaller ones among those that may share a scale.
            high_bytes = SMALL_HIGH_BYTES if name.endswith(("k_proj", "up_proj")) else HIGH_BYTES
            tensors[f"{block}{name}.weight"] = random_weight(source, rows, columns, high_bytes=high_bytes)
        tensors[f"{block}input_layernorm.weight"] = ones(hidden)
        tensors[f"{block}post_attention_layernorm.weight"] = ones(hidden)
    tensors["model.norm.weight"] = ones(hidden)
    return tensors


def write_model(folder, config, tensors, tokenizer=True):
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    safetensors_file.write(folder / "model.safetensors", tensors)
    if tokenizer:
        (folder / "tokenizer.json").write_text(json.dumps(byte_tokenizer()))
    return folder


def write_llama(folder, seed=0, **sizes):
    config = llama_config(**sizes)
    return write_model(folder, config, llama_tensors(config, seed))


def byte_alphabet():
    """The printable character that stands for each byte in byte-level BPE, as GPT-2 defined it."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = (byte for byte in range(256) if byte not in plain)
    table = {byte: chr(byte) for byte in plain}
    table.update({byte: chr(256 + index) for index, byte in enumerate(others)})
    return [table[byte] for byte in range(256)]


def byte_tokenizer():
    """A tokenizer.json whose tokens are the bytes."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {character: byte for byte, character in enumerate(byte_alphabet())},
            "merges": [],
        },
    }


def write_ids(path, samples=8, seq_len=32, seed=1):
    source = random.Random(seed)
    rows = [[source.randrange(VOCABULARY) for _ in range(seq_len)] for _ in range(samples)]
    safetensors_file.write(path, {"input_ids": safetensors_file.ids(rows)})
    return path
