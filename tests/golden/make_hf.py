#!/usr/bin/env python3
"""Makes hf/ARCH: a tiny random model as transformers saves it, and its float32 logits.

    pip install torch transformers safetensors
    python make_hf.py OUT
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
}


def main() -> None:
    out = pathlib.Path(sys.argv[1])
    for name, config in CONFIGS.items():
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(config()).to(torch.bfloat16)
        for weight in model.parameters():  # norms away from one, so that a forgotten norm is seen
            if weight.dim() == 1:
                weight.data.add_(0.1 * torch.randn_like(weight))
        model.save_pretrained(out / name)
        ids = torch.randint(0, 256, (2, 24))
        with torch.no_grad():
            logits = model.float().eval()(ids).logits
        save_file({"input_ids": ids, "logits": logits.contiguous()}, out / name / "expected.safetensors")


if __name__ == "__main__":
    main()
