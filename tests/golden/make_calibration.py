#!/usr/bin/env python3
"""Makes calibration/: inputs for models that take more than token ids, and what reaches their linear layers.

    make_calibration.py

writes, for the models of hf/ named below, calibration/ARCH.safetensors, inputs by the names that transformers uses, and
calibration/amax.json: for each model the largest absolute input of each nn.Linear when transformers runs them in
bfloat16, by the name of its weight in the checkpoint.

Needs torch 2.11, transformers 5.14 and safetensors.
"""

import json
import pathlib

import torch
import transformers
from safetensors.torch import load_file, save_file

HERE = pathlib.Path(__file__).parent
SAMPLES, TOKENS = 6, 12


def ids(config, low=3):
    return torch.randint(low, config.vocab_size, (SAMPLES, TOKENS))


def text_inputs(config):
    mask = torch.ones(SAMPLES, TOKENS, dtype=torch.int64)
    for row in range(SAMPLES):
        mask[row, TOKENS - row:] = 0
    types = (torch.arange(TOKENS) >= TOKENS // 2).long().repeat(SAMPLES, 1) * (config.type_vocab_size - 1)
    return {"input_ids": ids(config), "attention_mask": mask, "token_type_ids": types}


INPUTS = {
    "bert": text_inputs,
    "roberta": text_inputs,
    "vit": lambda config: {"pixel_values": torch.randn(SAMPLES, config.num_channels, config.image_size,
                                                       config.image_size)},
    "whisper": lambda config: {"input_features": torch.randn(SAMPLES, config.num_mel_bins,
                                                             2 * config.max_source_positions),
                               "decoder_input_ids": ids(config)},
    "t5": lambda config: {"input_ids": ids(config), "decoder_input_ids": ids(config)[:, :8].contiguous()},
}


def amax_of_inputs(model, inputs, checkpoint):
    """The largest absolute input of each linear layer, by the name that the checkpoint has for its weight."""
    found = {}

    def stored_path(weight):
        (name,) = (name for name, value in checkpoint.items() if value.shape == weight.shape and value.equal(weight))
        return name.removesuffix(".weight")

    def watch(path):
        def hook(_module, arguments):
            found[path] = max(found.get(path, 0.0), arguments[0].abs().max().item())
        return hook

    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_pre_hook(watch(stored_path(module.weight)))
    with torch.no_grad():
        model(**inputs)
    return found


def main():
    out = HERE / "calibration"
    out.mkdir(exist_ok=True)
    table = {}
    for name, make in INPUTS.items():
        folder = HERE / "hf" / name
        config = transformers.AutoConfig.from_pretrained(folder)
        kind = getattr(transformers, config.architectures[0])
        model = kind.from_pretrained(folder, dtype=torch.bfloat16, attn_implementation="eager").eval()
        torch.manual_seed(len(name))
        inputs = make(config)
        save_file(inputs, out / f"{name}.safetensors")
        halves = {key: value.bfloat16() if value.is_floating_point() else value for key, value in inputs.items()}
        table[name] = amax_of_inputs(model, halves, load_file(folder / "model.safetensors"))
    (out / "amax.json").write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
