#!/usr/bin/env python3
"""Every field of every architecture's configuration, changed alone: what `lathe run` gives beside transformers.

    config_fields.py --lathe build/release/bin/lathe [ARCHITECTURE...]

takes the tiny models of the reference folder one after the other. Each field of config.json, and each that the
configuration class has besides, gets other values; transformers makes a random model of it and runs it; Lathe must
give the same outputs, or refuse with a message that names the field. Anything else is a failure, and printed.
Changes that transformers refuses, and those of fields that say nothing about the forward pass, are left out.

Needs torch 2.11, transformers 5.14 and safetensors.
"""

import argparse
import copy
import inspect
import pathlib
import subprocess
import sys
import tempfile
import warnings

import torch
import transformers
from safetensors.torch import load_file, save_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = [ROOT.parent / "shared/reference/hf", ROOT / "tests/golden/hf"]

# Fields about generation, training, bookkeeping and what callers want to be given.
SILENT = """architectures model_type transformers_version torch_dtype dtype _name_or_path name_or_path use_cache
output_attentions output_hidden_states return_dict id2label label2id num_labels problem_type bos_token_id eos_token_id
sep_token_id decoder_start_token_id is_encoder_decoder chunk_size_feed_forward keys_to_ignore_at_inference
task_specific_params tokenizer_class prefix finetuning_task output_router_logits router_aux_loss_coef begin_suppress_tokens
suppress_tokens max_source_positions max_target_positions forced_bos_token_id forced_eos_token_id
mask_time_prob mask_time_length mask_time_min_masks mask_feature_prob mask_feature_length mask_feature_min_masks
apply_spec_augment median_filter_length use_weighted_layer_sum classifier_proj_size classifier_dropout
summary_type summary_use_proj summary_activation summary_first_dropout summary_proj_to_logits image_size
encoder_stride pooler_output_size initializer_range initializer_factor init_std pretraining_tp vocab_size
_attn_implementation attn_implementation base_model_tp_plan base_model_pp_plan word_embed_proj_dim
reorder_and_upcast_attn quantization_config""".split()
# What transformers 5.14 does not look at, and Lathe does, as newer versions and engines do.
DELIBERATE = {("gpt_oss", "swiglu_alpha"), ("gpt_oss", "swiglu_limit")}
ACTIVATIONS = ["relu", "gelu", "gelu_new", "gelu_pytorch_tanh", "silu", "gelu_fast", "quick_gelu", "relu2", "tanh",
               "mish", "sigmoid", "hardswish", "leaky_relu", "relu6", "elu", "laplace"]
ROPES = [
    {"rope_type": "default", "rope_theta": 500.0},
    {"rope_type": "linear", "rope_theta": 10000.0, "factor": 3.0},
    {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0},
    {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 16},
    {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 16,
     "mscale": 0.8, "mscale_all_dim": 0.6, "truncate": False},
    {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
     "original_max_position_embeddings": 16},
    {"rope_type": "longrope", "rope_theta": 10000.0, "factor": 4.0, "short_factor": None, "long_factor": None,
     "original_max_position_embeddings": 16},
    {"rope_type": "proportional", "rope_theta": 10000.0, "partial_rotary_factor": 0.5},
]


def rotary_width(config):
    width = getattr(config, "qk_rope_head_dim", None) or getattr(config, "head_dim", None)
    width = width or config.hidden_size // config.num_attention_heads
    return int(width * (getattr(config, "partial_rotary_factor", None) or 1.0))


def ropes(config):
    for rope in ROPES:
        rope = dict(rope)
        if rope["rope_type"] == "longrope":
            half = rotary_width(config) // 2
            rope["short_factor"] = [1.0 + 0.1 * i for i in range(half)]
            rope["long_factor"] = [2.0 + 0.5 * i for i in range(half)]
        partial = (getattr(config, "rope_parameters", None) or {}).get("partial_rotary_factor")
        if partial and "partial_rotary_factor" not in rope:
            rope["partial_rotary_factor"] = partial
        yield rope


def other_values(name, value, config):
    """Plausible other values of a field."""
    if name in ("rope_parameters", "rope_scaling"):
        nested = isinstance(value, dict) and any(isinstance(v, dict) for v in value.values())
        for rope in ropes(config):
            if not nested:
                yield rope
                continue
            for kind in value:
                yield {**copy.deepcopy(value), kind: rope}
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, str) and ("act" in name or "ff" in name):
        yield from (a for a in ACTIVATIONS if a != value)
        if name == "feed_forward_proj":
            yield from ("gated-gelu", "gated-silu", "gelu")
    elif isinstance(value, int):
        yield from {max(value // 2, 1), value * 2, value + 1, value + 2} - {value}
    elif isinstance(value, float):
        yield from {value * 2 + 0.1, value * 0.5} - {value}
    elif isinstance(value, list) and name == "layer_types":
        kinds = sorted(set(value) | {"full_attention", "sliding_attention"})
        yield [kinds[0]] * len(value)
        yield [kinds[-1]] * len(value)
        yield [kinds[i % len(kinds)] for i in range(len(value))]
    elif isinstance(value, list) and name == "mlp_layer_types":
        yield ["dense"] * len(value)
        yield ["sparse"] * len(value)
    elif isinstance(value, list) and all(isinstance(v, int) for v in value):
        yield [0]
        yield [1]
    elif value is None:
        yield from ([1], [0]) if name.endswith("layers") else (4, 0.5, True)


def defaults(kind):
    """What the configuration class takes beside what is in config.json."""
    fields = {}
    for cls in reversed(kind.__mro__):
        for name in getattr(cls, "__annotations__", {}):
            if hasattr(kind, name) and not name.startswith("_"):
                fields[name] = getattr(kind, name, None)
    for name, parameter in inspect.signature(kind.__init__).parameters.items():
        if parameter.default is not inspect.Parameter.empty:
            fields.setdefault(name, parameter.default)
    return {n: v for n, v in fields.items() if isinstance(v, (bool, int, float, str, list, dict, type(None)))}


def build(config, seed):
    """A random model with weights that bfloat16 holds; norms and biases far from 1 and 0."""
    torch.manual_seed(seed)
    model = getattr(transformers, config.architectures[0])._from_config(config, attn_implementation="eager").eval()
    for parameter in model.parameters():
        noise = torch.randn_like(parameter) * (0.3 if parameter.dim() == 1 else 0.1)
        parameter.data = (parameter.data.nan_to_num(0, 0, 0) + noise).bfloat16().float()
    return model


def outputs_of(model, inputs):
    with torch.no_grad():
        result = model(**inputs)
    name = "logits" if "logits" in result else "last_hidden_state"
    return name, result[name]


def inputs_of(folder, kind):
    takes = inspect.signature(kind.forward).parameters
    return {n: t for n, t in load_file(folder / "expected.safetensors").items() if n in takes}


def lathe_run(program, folder, inputs):
    save_file({n: t.contiguous() for n, t in inputs.items()}, folder / "in.safetensors")
    command = [program, "run", folder, "--inputs", folder / "in.safetensors", "-o", folder / "out.safetensors",
               "--dtype", "float32", "--quiet", "--force"]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True)


def names_field(message, field, value):
    words = [field, field.replace("_", " ")] + (list(value) + [str(v) for v in value.values()] if isinstance(value, dict) else [])
    words += [str(v) for v in value] if isinstance(value, list) else [str(value)] if isinstance(value, str) else []
    return any(word in message for word in words)


def try_change(program, base, inputs, field, value):
    """('same' | 'refused' | 'left out' | 'WRONG' | 'UNNAMED', details)."""
    config = copy.deepcopy(base)
    try:
        setattr(config, field, copy.deepcopy(value))
        fields = {k: v for k, v in config.to_dict().items() if k != "model_type"}
        config = type(config)(**fields)
        model = build(config, seed=len(field))
        name, expected = outputs_of(model, inputs)
        if not expected.isfinite().all():
            return "left out", "transformers gives NaN"
    except Exception as error:  # what transformers cannot do is not asked for
        return "left out", f"transformers: {type(error).__name__} {str(error)[:80]}"
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        try:
            model.bfloat16().save_pretrained(folder)
        except Exception as error:
            return "left out", f"save_pretrained: {type(error).__name__} {str(error)[:80]}"
        finished = lathe_run(program, folder, inputs)
        if finished.returncode != 0:
            message = finished.stderr.strip().replace(str(folder), "MODEL")
            return ("refused" if names_field(message, field, value) else "UNNAMED"), message[:400]
        found = load_file(folder / "out.safetensors")[name].float()
    if found.shape != expected.shape:
        return "WRONG", f"shape {list(found.shape)}, not {list(expected.shape)}"
    error = ((found - expected).abs().max() / expected.abs().max()).item()
    return ("same" if error < 2e-4 else "WRONG"), f"{error:.1e}"


def fields_of(config):
    fields = {**defaults(type(config)), **config.to_dict()}
    return {n: v for n, v in fields.items() if n not in SILENT and not n.endswith(("dropout", "drop", "pdrop", "layerdrop"))}


def check(architecture, arguments):
    folder = next(f / architecture for f in FOLDERS if (f / architecture / "config.json").exists())
    base = transformers.AutoConfig.from_pretrained(folder)
    inputs = inputs_of(folder, getattr(transformers, base.architectures[0]))
    counts = {}
    for field, value in sorted(fields_of(base).items()):
        if (arguments.field and field not in arguments.field) or (architecture, field) in DELIBERATE:
            continue
        for other in other_values(field, value, base):
            result, details = try_change(arguments.lathe, base, inputs, field, other)
            counts[result] = counts.get(result, 0) + 1
            if result.isupper() or arguments.verbose:
                print(f"{result:8} {architecture} {field}: {value!r} -> {other!r}: {details}", flush=True)
    print(f"{architecture}: " + ", ".join(f"{n} {r}" for r, n in sorted(counts.items())), flush=True)
    return not any(result.isupper() for result in counts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lathe", default="build/release/bin/lathe")
    parser.add_argument("--field", action="append", help="this field alone")
    parser.add_argument("--verbose", action="store_true", help="print each change, and what came of it")
    parser.add_argument("architectures", nargs="*")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    everything = sorted({p.parent.name for f in FOLDERS for p in f.glob("*/config.json")})
    results = [check(name, arguments) for name in arguments.architectures or everything]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
