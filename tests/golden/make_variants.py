#!/usr/bin/env python3
"""Makes variants/: tiny models, each with options of its architecture that the models of hf/ do not have.

    make_variants.py [NAME...]

writes variants/NAME/{config.json, model.safetensors, expected.safetensors} beside this file: random weights in
bfloat16; inputs, and the outputs that transformers gives for the model loaded as float32, with eager attention (which
alone applies soft caps). Without names all of them.

Needs torch 2.11, transformers 5.14 and safetensors.
"""

import inspect
import json
import pathlib
import sys

import torch
import transformers
from safetensors.torch import load_file, save_file

OUT = pathlib.Path(__file__).parent / "variants"
TOKENS = 20
SIZES = dict(
    vocab_size=64,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
)
SMALL_EXPERTS = dict(SIZES, intermediate_size=16)
MHA = {**SIZES, "num_key_value_heads": 4}
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 16}
DYNAMIC = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}


def longrope(count):
    return {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0 + 0.1 * i for i in range(count)],
        "long_factor": [2.0 + 0.5 * i for i in range(count)],
    }


def edit_config(folder, edit):
    config = json.loads((folder / "config.json").read_text())
    edit(config)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def edit_tensors(folder, edit):
    path = folder / "model.safetensors"
    save_file(edit(load_file(path)), path, metadata={"format": "pt"})


def with_old_rope(folder):
    """rope_theta and rope_scaling, as transformers 4 wrote them."""

    def edit(config):
        rope = config.pop("rope_parameters")
        config["rope_theta"] = rope.pop("rope_theta")
        config["rope_scaling"] = {"type": rope.pop("rope_type"), **rope}

    edit_config(folder, edit)


def not_tied(folder):
    edit_config(folder, lambda config: config.update(tie_word_embeddings=False))


def without_prefix(folder):
    """The tensors' names are those of the bare model."""
    edit_tensors(folder, lambda tensors: {name.removeprefix("transformer."): t for name, t in tensors.items()})


def with_old_norms(folder):
    """gamma and beta, and a head that the model does not use, as the first BERT has them."""

    def edit(tensors):
        renamed = {}
        for name, tensor in tensors.items():
            if "LayerNorm" in name:
                name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
            renamed[name] = tensor
        renamed["cls.seq_relationship.weight"] = torch.zeros(2, 32)
        renamed["cls.seq_relationship.bias"] = torch.zeros(2)
        renamed["bert.pooler.dense.weight"] = torch.zeros(32, 32)
        renamed["bert.pooler.dense.bias"] = torch.zeros(32)
        return renamed

    edit_tensors(folder, edit)


def fused(gate, up, down, block="mlp"):
    """The experts as transformers has them in memory: one tensor for all of a layer."""

    def change(folder):
        def edit(tensors):
            layers = {name[: name.index(".experts.")] for name in tensors if ".experts." in name}
            for layer in sorted(layers):
                take = lambda expert, name: tensors.pop(f"{layer}.experts.{expert}.{name}.weight")
                count = sum(name.startswith(f"{layer}.experts.") and f".{down}." in name for name in tensors)
                pairs = [torch.cat([take(e, gate), take(e, up)]) for e in range(count)]
                tensors[f"{layer}.experts.gate_up_proj"] = torch.stack(pairs)
                tensors[f"{layer}.experts.down_proj"] = torch.stack([take(e, down) for e in range(count)])
            return {name.replace(f".{block}.", ".mlp."): tensor for name, tensor in tensors.items()}

        edit_tensors(folder, edit)

    return change


def with_prediction_layer(folder):
    """Tensors of a layer behind the last (multi-token prediction)."""

    def edit(tensors):
        more = {"eh_proj.weight": torch.randn(32, 64), "mlp.experts.0.up_proj.weight": torch.randn(16, 32)}
        return {**tensors, **{f"model.layers.2.{name}": t.to(torch.bfloat16) for name, t in more.items()}}

    edit_tensors(folder, edit)


PACKED = {}  # blocks and scales of the last call of with_mxfp4_values


def with_mxfp4_values(folder):
    """Experts whose values MXFP4 holds."""
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors

    def edit(tensors):
        PACKED.clear()
        for name in [n for n in tensors if n.endswith(("experts.gate_up_proj", "experts.down_proj"))]:
            experts, inner, outer = tensors[name].shape
            blocks = torch.randint(0, 256, (experts, outer, inner // 32, 16), dtype=torch.uint8)
            scales = torch.randint(122, 126, (experts, outer, inner // 32), dtype=torch.uint8)
            PACKED[name] = {"_blocks": blocks, "_scales": scales}
            decoded = convert_moe_packed_tensors(blocks, scales)
            assert decoded.shape == tensors[name].shape
            tensors[name] = decoded.to(torch.bfloat16).contiguous()
        return tensors

    edit_tensors(folder, edit)


def pack_experts(folder):
    def edit(tensors):
        for name, parts in PACKED.items():
            tensors.pop(name)
            tensors.update({name + ending: part for ending, part in parts.items()})
        return tensors

    edit_tensors(folder, edit)
    config = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]}
    edit_config(folder, lambda json_config: json_config.update(quantization_config=config))


DEEPSEEK = dict(
    SIZES,
    num_key_value_heads=4,
    kv_lora_rank=8,
    qk_rope_head_dim=4,
    qk_nope_head_dim=8,
    v_head_dim=8,
    moe_intermediate_size=16,
    n_routed_experts=4,
    num_experts_per_tok=2,
    n_group=2,
    topk_group=1,
    first_k_dense_replace=1,
)
QWEN3_MOE = dict(
    SMALL_EXPERTS, head_dim=8, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16
)

SPECIAL = dict(pad_token_id=0, bos_token_id=1, eos_token_id=2)
GPT2 = dict(vocab_size=64, n_positions=32, n_embd=32, n_layer=2, n_head=4, **SPECIAL)
NEOX = dict(
    vocab_size=64,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=40,
    max_position_embeddings=32,
    **SPECIAL,
)
OPT = dict(
    vocab_size=64,
    hidden_size=32,
    num_hidden_layers=2,
    ffn_dim=40,
    num_attention_heads=4,
    max_position_embeddings=32,
    **SPECIAL,
)
BERT = dict(
    vocab_size=64,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=40,
    max_position_embeddings=32,
    **SPECIAL,
)
ROBERTA = {**BERT, "pad_token_id": 1, "bos_token_id": 0}
VIT = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=40)
WHISPER = dict(
    vocab_size=64,
    num_mel_bins=8,
    d_model=32,
    encoder_attention_heads=4,
    decoder_attention_heads=2,
    encoder_ffn_dim=40,
    decoder_ffn_dim=24,
    max_source_positions=10,
    max_target_positions=24,
    decoder_start_token_id=1,
    begin_suppress_tokens=None,
    **SPECIAL,
)
T5 = dict(
    vocab_size=64, d_model=32, d_kv=6, d_ff=24, num_layers=2, num_heads=4, decoder_start_token_id=0, pad_token_id=0
)

# name: (class of the model, config, change of the folder)
VARIANTS = {
    "llama_yarn": ("LlamaForCausalLM", transformers.LlamaConfig(**SIZES, rope_parameters=dict(YARN)), None),
    "llama_dynamic": (
        "LlamaForCausalLM",
        transformers.LlamaConfig(**{**SIZES, "max_position_embeddings": 8}, rope_parameters=dict(DYNAMIC)),
        None,
    ),
    "llama_linear_old": (
        "LlamaForCausalLM",
        transformers.LlamaConfig(
            **SIZES, rope_parameters={"rope_type": "linear", "rope_theta": 500.0, "factor": 3.0}, hidden_act="relu2"
        ),
        with_old_rope,
    ),
    "mistral_head_dim": (
        "MistralForCausalLM",
        transformers.MistralConfig(**SIZES, head_dim=6, sliding_window=None, hidden_act="quick_gelu"),
        None,
    ),
    "qwen2_tied_window": (
        "Qwen2ForCausalLM",
        transformers.Qwen2Config(
            **SIZES,
            tie_word_embeddings=True,
            use_sliding_window=True,
            sliding_window=6,
            layer_types=["sliding_attention", "full_attention"],
        ),
        None,
    ),
    "qwen3_bias": (
        "Qwen3ForCausalLM",
        transformers.Qwen3Config(**SIZES, head_dim=16, attention_bias=True, tie_word_embeddings=True),
        None,
    ),
    "phi3_long": (
        "Phi3ForCausalLM",
        transformers.Phi3Config(
            **SIZES, sliding_window=7, original_max_position_embeddings=8, rope_parameters=longrope(4)
        ),
        None,
    ),
    "phi3_short_partial": (
        "Phi3ForCausalLM",
        transformers.Phi3Config(
            **SIZES,
            original_max_position_embeddings=32,
            rope_parameters={**longrope(2), "partial_rotary_factor": 0.5},
            tie_word_embeddings=True,
        ),
        None,
    ),
    "gemma2_caps": (
        "Gemma2ForCausalLM",
        transformers.Gemma2Config(
            **SIZES,
            head_dim=12,
            query_pre_attn_scalar=20,
            attn_logit_softcapping=1.5,
            final_logit_softcapping=2.0,
            sliding_window=5,
            attention_bias=True,
        ),
        None,
    ),
    "gemma2_no_caps": (
        "Gemma2ForCausalLM",
        transformers.Gemma2Config(
            **SIZES,
            head_dim=8,
            attn_logit_softcapping=None,
            final_logit_softcapping=None,
            layer_types=["full_attention", "sliding_attention"],
            sliding_window=4,
            tie_word_embeddings=False,
            hidden_activation="gelu",
        ),
        None,
    ),
    "gemma3_rope": (
        "Gemma3ForCausalLM",
        transformers.Gemma3TextConfig(
            **SIZES,
            head_dim=8,
            query_pre_attn_scalar=9,
            sliding_window=5,
            layer_types=["sliding_attention", "full_attention"],
            rope_parameters={
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 5000.0},
                "sliding_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 100.0},
            },
            final_logit_softcapping=3.0,
        ),
        None,
    ),
    "olmo2_bias": (
        "Olmo2ForCausalLM",
        transformers.Olmo2Config(**SIZES, attention_bias=True, tie_word_embeddings=True, rope_parameters=dict(YARN)),
        None,
    ),
    "granite_bias": (
        "GraniteForCausalLM",
        transformers.GraniteConfig(
            **SIZES,
            attention_bias=True,
            mlp_bias=True,
            attention_multiplier=0.2,
            embedding_multiplier=3.0,
            residual_multiplier=0.3,
            logits_scaling=4.0,
            tie_word_embeddings=True,
        ),
        None,
    ),
    "starcoder2_window": (
        "Starcoder2ForCausalLM",
        transformers.Starcoder2Config(**SIZES, sliding_window=6, use_bias=False, tie_word_embeddings=False),
        None,
    ),
    "mixtral_fused": (
        "MixtralForCausalLM",
        transformers.MixtralConfig(**SMALL_EXPERTS, num_local_experts=4, num_experts_per_tok=2),
        fused("w1", "w3", "w2", "block_sparse_moe"),
    ),
    "mixtral_window": (
        "MixtralForCausalLM",
        transformers.MixtralConfig(
            **SMALL_EXPERTS, num_local_experts=5, num_experts_per_tok=3, sliding_window=6, head_dim=4
        ),
        None,
    ),
    "qwen3_moe_dense_layer": (
        "Qwen3MoeForCausalLM",
        transformers.Qwen3MoeConfig(**QWEN3_MOE, mlp_only_layers=[0], norm_topk_prob=True, attention_bias=True),
        None,
    ),
    "qwen3_moe_step": (
        "Qwen3MoeForCausalLM",
        transformers.Qwen3MoeConfig(
            **QWEN3_MOE, decoder_sparse_step=2, use_sliding_window=True, sliding_window=5, tie_word_embeddings=True
        ),
        None,
    ),
    "qwen3_moe_fused": ("Qwen3MoeForCausalLM", transformers.Qwen3MoeConfig(**QWEN3_MOE), fused("gate_proj", "up_proj", "down_proj")),
    "deepseek_v3_yarn": (
        "DeepseekV3ForCausalLM",
        transformers.DeepseekV3Config(
            **DEEPSEEK,
            q_lora_rank=None,
            rope_parameters={**YARN, "mscale": 1.0, "mscale_all_dim": 0.8},
            rope_interleave=False,
            norm_topk_prob=False,
            routed_scaling_factor=1.5,
            n_shared_experts=2,
        ),
        None,
    ),
    "deepseek_v3_bias": (
        "DeepseekV3ForCausalLM",
        transformers.DeepseekV3Config(
            **{**DEEPSEEK, "n_group": 1, "first_k_dense_replace": 0}, q_lora_rank=8, attention_bias=True, rms_norm_eps=0.05
        ),
        with_prediction_layer,
    ),
    "gpt_oss_mxfp4": (
        "GptOssForCausalLM",
        transformers.GptOssConfig(
            **{**SIZES, "intermediate_size": 32, "num_hidden_layers": 1},
            head_dim=8,
            num_local_experts=2,
            num_experts_per_tok=1,
        ),
        with_mxfp4_values,
    ),
    "gpt2_untied": (
        "GPT2LMHeadModel",
        transformers.GPT2Config(
            **GPT2, n_inner=40, scale_attn_by_inverse_layer_idx=True, activation_function="relu", tie_word_embeddings=False
        ),
        None,
    ),
    "gpt2_unscaled": ("GPT2LMHeadModel", transformers.GPT2Config(**GPT2, scale_attn_weights=False), without_prefix),
    "gpt_neox_serial": (
        "GPTNeoXForCausalLM",
        transformers.GPTNeoXConfig(
            **NEOX, use_parallel_residual=False, attention_bias=False, hidden_act="gelu_fast", tie_word_embeddings=True
        ),
        None,
    ),
    "gpt_neox_rope": (
        "GPTNeoXForCausalLM",
        transformers.GPTNeoXConfig(
            **NEOX,
            rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 500.0, "partial_rotary_factor": 1.0},
        ),
        None,
    ),
    "opt_projection": (
        "OPTForCausalLM",
        transformers.OPTConfig(**OPT, word_embed_proj_dim=16, do_layer_norm_before=False),
        None,
    ),
    "opt_no_bias": (
        "OPTForCausalLM",
        transformers.OPTConfig(
            **OPT, enable_bias=False, activation_function="gelu", _remove_final_layer_norm=True, tie_word_embeddings=False
        ),
        None,
    ),
    "bert_masked_lm": ("BertForMaskedLM", transformers.BertConfig(**BERT, type_vocab_size=3), None),
    "bert_untied": ("BertForMaskedLM", transformers.BertConfig(**BERT, tie_word_embeddings=False), None),
    "bert_old_norms": ("BertForMaskedLM", transformers.BertConfig(**BERT), with_old_norms),
    "bert_classifier": ("BertForSequenceClassification", transformers.BertConfig(**BERT, num_labels=5), None),
    "bert_causal": ("BertModel", transformers.BertConfig(**BERT, is_decoder=True, hidden_act="relu"), None),
    "roberta_untied": ("RobertaForMaskedLM", transformers.RobertaConfig(**ROBERTA, tie_word_embeddings=False), None),
    "roberta_masked_lm": ("RobertaForMaskedLM", transformers.RobertaConfig(**ROBERTA), None),
    "roberta_classifier": (
        "RobertaForSequenceClassification",
        transformers.RobertaConfig(**ROBERTA, num_labels=3, type_vocab_size=1),
        None,
    ),
    "vit_classifier": (
        "ViTForImageClassification",
        transformers.ViTConfig(**VIT, image_size=(8, 12), patch_size=4, num_labels=4, qkv_bias=False),
        None,
    ),
    "vit_pooler": (
        "ViTModel",
        transformers.ViTConfig(
            **VIT, image_size=8, patch_size=4, num_channels=1, pooler_output_size=20, pooler_act="relu"
        ),
        None,
    ),
    "whisper_generation": (
        "WhisperForConditionalGeneration",
        transformers.WhisperConfig(**WHISPER, decoder_layers=1, encoder_layers=1, activation_function="relu"),
        None,
    ),
    "t5_gated": (
        "T5ForConditionalGeneration",
        transformers.T5Config(
            **T5, feed_forward_proj="gated-gelu", relative_attention_num_buckets=8, relative_attention_max_distance=10
        ),
        None,
    ),
    "t5_unscaled": (
        "T5ForConditionalGeneration",
        transformers.T5Config(**T5, num_decoder_layers=1, tie_word_embeddings=False),
        not_tied,
    ),
    "t5_saved_again": (
        "T5ForConditionalGeneration",
        transformers.T5Config(
            **T5, num_decoder_layers=1, scale_decoder_outputs=False, feed_forward_proj="relu", dense_act_fn="silu"
        ),
        None,
    ),
    "t5_bare": ("T5Model", transformers.T5Config(**T5, feed_forward_proj="gated-silu"), None),
    "t5_encoder": ("T5EncoderModel", transformers.T5Config(**T5), None),
    "gpt_oss_options": (
        "GptOssForCausalLM",
        transformers.GptOssConfig(
            **SMALL_EXPERTS,
            head_dim=8,
            num_local_experts=3,
            num_experts_per_tok=2,
            sliding_window=4,
            layer_types=["full_attention", "sliding_attention"],
            rope_parameters={"rope_type": "default", "rope_theta": 1000.0},
            tie_word_embeddings=True,
        ),
        None,
    ),
}


def randomize(model):
    """Norms away from one and biases from zero, so that a forgotten one is seen."""
    with torch.no_grad():
        for name, value in [*model.named_parameters(), *model.named_buffers()]:
            if not value.is_floating_point() or "inv_freq" in name or "embed_scale" in name:
                continue
            noise = torch.randn_like(value) * 0.2
            is_norm = value.dim() == 1 and name.endswith("weight")
            value.copy_(1 + noise if is_norm else noise)


def inputs_of(model):
    config = model.config
    names = inspect.signature(model.forward).parameters
    if "pixel_values" in names:
        size = config.image_size if isinstance(config.image_size, (list, tuple)) else [config.image_size] * 2
        return {"pixel_values": torch.randn(2, config.num_channels, *size)}
    ids = torch.randint(3, config.vocab_size, (2, TOKENS))
    if "input_features" in names:
        features = torch.randn(2, config.num_mel_bins, 2 * config.max_source_positions)
        return {"input_features": features, "decoder_input_ids": ids}
    batch = {"input_ids": ids}
    if config.model_type in ("bert", "roberta", "t5", "opt"):  # others: the tests of padding
        batch["attention_mask"] = torch.ones_like(ids)
        batch["attention_mask"][1, -6:] = 0
        batch["input_ids"][1, -6:] = config.pad_token_id
    if config.model_type == "bert":
        batch["token_type_ids"] = torch.randint(0, config.type_vocab_size, ids.shape)
    if "decoder_input_ids" in names:
        batch["decoder_input_ids"] = torch.randint(3, config.vocab_size, (2, 9))
    return batch


def make(name, architecture, config, change):
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(sum(name.encode()))
    model_class = getattr(transformers, architecture)
    model = model_class(config).eval()
    randomize(model)
    model.to(torch.bfloat16).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if change is not None:
        change(folder)
    loaded = model_class.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    batch = inputs_of(loaded)
    with torch.no_grad():
        outputs = loaded(**batch)
    keys = ("logits", "last_hidden_state", "pooler_output", "encoder_last_hidden_state")
    names = [key for key in keys if outputs.get(key) is not None]
    expected = {key: outputs[key].float().contiguous() for key in names}
    save_file({**batch, **expected}, folder / "expected.safetensors")
    if name.endswith("_mxfp4"):
        pack_experts(folder)


def main():
    torch.set_num_threads(1)
    for name in sys.argv[1:] or VARIANTS:
        make(name, *VARIANTS[name])


if __name__ == "__main__":
    main()
