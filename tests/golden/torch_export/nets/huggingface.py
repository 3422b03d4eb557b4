"""Tiny models of transformers, with random weights."""

import torch

from . import Case

try:
    import transformers
except ImportError:  # the environments of the other torch versions have none
    transformers = None


def model(name, config, attention="sdpa", **sizes):
    def build():
        options = getattr(transformers, config)(**sizes)
        options._attn_implementation = attention
        return getattr(transformers, name)(options)

    return build


def ids(batch, length):
    return lambda: torch.randint(3, 30, (batch, length))


def named(**makers):
    return lambda: {name: make() for name, make in makers.items()}


SMALL = dict(vocab_size=32, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16)

CASES = {} if transformers is None else {
    "bert": Case(model("BertForSequenceClassification", "BertConfig", **SMALL, max_position_embeddings=16), tuple,
                 named(input_ids=ids(2, 6), attention_mask=lambda: torch.tensor([[1] * 6, [1] * 4 + [0] * 2]))),
    "whisper": Case(model("WhisperForConditionalGeneration", "WhisperConfig", vocab_size=32, d_model=8, encoder_layers=1,
                          decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16,
                          decoder_ffn_dim=16, num_mel_bins=4, max_source_positions=8, max_target_positions=8,
                          pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1, use_cache=False),
                    tuple, named(input_features=lambda: torch.randn(2, 4, 16), decoder_input_ids=ids(2, 5))),
    "t5": Case(model("T5ForConditionalGeneration", "T5Config", attention="eager", vocab_size=32, d_model=8, d_kv=4, d_ff=16, num_layers=1,
                     num_decoder_layers=1, num_heads=2, use_cache=False), tuple,
               named(input_ids=ids(2, 6), decoder_input_ids=ids(2, 4))),
    "llama": Case(model("LlamaForCausalLM", "LlamaConfig", **SMALL, num_key_value_heads=1, use_cache=False,
                        max_position_embeddings=64), tuple, named(input_ids=ids(2, 6))),
    "gpt2": Case(model("GPT2LMHeadModel", "GPT2Config", vocab_size=32, n_positions=16, n_embd=8, n_layer=1, n_head=2,
                       use_cache=False), tuple, named(input_ids=ids(2, 6))),
    "vit_hf": Case(model("ViTForImageClassification", "ViTConfig", hidden_size=8, num_hidden_layers=1,
                         num_attention_heads=2, intermediate_size=16, image_size=8, patch_size=4),
                   tuple, named(pixel_values=lambda: torch.randn(2, 3, 8, 8))),
}
