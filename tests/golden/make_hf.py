#!/usr/bin/env python3
"""Makes hf/ARCH: a tiny random model as transformers saves it, and its float32 logits.

    pip install torch transformers safetensors
    python make_hf.py OUT [NAME...]
"""

import pathlib
import sys

import torch
import transformers
from safetensors.torch import save_file

TINY = dict(vocab_size=256, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=512, rms_norm_eps=1e-6)
CONFIGS = {
    "llama": lambda: transformers.LlamaConfig(**TINY, head_dim=16, tie_word_embeddings=True),
    "mistral": lambda: transformers.MistralConfig(**TINY, head_dim=16, sliding_window=None),
    "qwen2": lambda: transformers.Qwen2Config(**TINY),
    "qwen3": lambda: transformers.Qwen3Config(**TINY, head_dim=16),
    "t5": lambda: transformers.T5Config(
        vocab_size=256, d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4, decoder_start_token_id=0
    ),
}


def main() -> None:
    out = pathlib.Path(sys.argv[1])
    for name, config in CONFIGS.items():
        if sys.argv[2:] and name not in sys.argv[2:]:
            continue
        torch.manual_seed(0)
        kind = transformers.AutoModelForSeq2SeqLM if name == "t5" else transformers.AutoModelForCausalLM
        model = kind.from_config(config()).to(torch.bfloat16)
        for weight in model.parameters():  # norms away from one, so that a forgotten norm is seen
            if weight.dim() == 1:
                weight.data.add_(0.1 * torch.randn_like(weight))
        model.save_pretrained(out / name)
        (out / name / "generation_config.json").unlink(missing_ok=True)
        batch = {"input_ids": torch.randint(0, 256, (2, 24))}
        if name == "t5":
            batch["attention_mask"] = torch.ones_like(batch["input_ids"])
            batch["attention_mask"][1, 17:] = 0
            batch["decoder_input_ids"] = torch.randint(0, 256, (2, 12))
        with torch.no_grad():
            logits = model.float().eval()(**batch).logits
        save_file({**batch, "logits": logits.contiguous()}, out / name / "expected.safetensors")


if __name__ == "__main__":
    main()
