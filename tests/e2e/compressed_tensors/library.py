"""What the compressed-tensors library makes of weights and of checkpoints."""

import json
import pathlib

import safetensors.torch
import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.compressors.nvfp4.helpers import unpack_fp4_from_uint8
from compressed_tensors.quantization import QuantizationArgs, QuantizationConfig, QuantizationScheme
from compressed_tensors.quantization.lifecycle.forward import dequantize
from compressed_tensors.quantization.utils import calculate_qparams
from compressed_tensors.utils.match import match_name

PARTS = ("weight", "weight_packed", "weight_scale", "weight_global_scale", "weight_zero_point", "weight_g_idx",
         "weight_shape", "input_scale", "input_global_scale")


def read_folder(folder):
    """config.json and all tensors of a checkpoint."""
    folder = pathlib.Path(folder)
    tensors = {}
    for file in sorted(folder.glob("model*.safetensors")):
        tensors.update(safetensors.torch.load_file(file))
    return json.loads((folder / "config.json").read_text()), tensors


def write_folder(folder, config, tensors, source=None):
    """A checkpoint; tokenizer and other files are those of `source`."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    safetensors.torch.save_file({name: tensor.contiguous() for name, tensor in tensors.items()},
                                folder / "model.safetensors", metadata={"format": "pt"})
    if source is not None:
        for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
            if (pathlib.Path(source) / name).exists():
                (folder / name).write_bytes((pathlib.Path(source) / name).read_bytes())


def format_of(scheme):
    return getattr(scheme.format, "value", scheme.format)


def parse_config(section):
    """The section as the library reads it; schemes and arguments refuse keys that they do not know."""
    config = QuantizationConfig.model_validate(section)
    known = set(QuantizationConfig.model_fields) | {"producer", "version"}
    unknown = set(section) - known
    if unknown:
        raise ValueError(f"unknown keys: {sorted(unknown)}")
    for group in config.config_groups.values():
        if not isinstance(group, QuantizationScheme) or group.format is None:
            raise ValueError("a group without a format")
    return config


def scheme_of(config, module):
    """The scheme of a Linear by the library's order: names, expressions, the class."""
    if any(match_name(module, name) for name in config.ignore):
        return None
    targets = {target: group for group in config.config_groups.values() for target in group.targets}
    for target in sorted(targets, key=lambda name: (name.startswith("re:"), name)):
        if match_name(module, target):
            return targets[target]
    return targets.get("Linear")


def modules_of(tensors):
    """The quantized modules and their tensors by their last name."""
    found = {}
    for name in tensors:
        if name.endswith(".weight_scale"):
            module = name.removesuffix(".weight_scale")
            found[module] = {part: tensors[f"{module}.{part}"] for part in PARTS if f"{module}.{part}" in tensors}
    return found


def decompress(state, scheme, dtype):
    """A module's weight, as the library's decompressor gives it, in `dtype`."""
    state = {part: tensor for part, tensor in state.items() if part not in ("input_scale", "input_global_scale")}
    compressor = BaseCompressor.get_value_from_registry(format_of(scheme))
    if scheme.weights.strategy == "tensor":
        state["weight_scale"] = state["weight_scale"].reshape(1)
    return compressor.decompress(state, scheme)["weight"].to(dtype)


def exact_fp4_weight(state, arguments):
    """A weight of FP4 codes in float32: the decompressor itself rounds it to bfloat16."""
    packed, scale = state["weight_packed"], state["weight_scale"]
    codes = unpack_fp4_from_uint8(packed, packed.shape[0], packed.shape[1] * 2, torch.float32)
    scale = scale.float() if scale.dtype != torch.uint8 else torch.exp2(scale.float() - 127)
    return dequantize(codes, scale, args=arguments, global_scale=state.get("weight_global_scale"),
                      dtype=torch.float32)


def decompressed_checkpoint(folder, dtype=torch.bfloat16):
    """config and tensors of the plain model that the library reads from the folder."""
    config, tensors = read_folder(folder)
    quantization = parse_config(config.pop("quantization_config"))
    plain = dict(tensors)
    for module, state in modules_of(tensors).items():
        scheme = scheme_of(quantization, module)
        assert scheme is not None, f"{module} has a scale, but no scheme"
        for part in state:
            del plain[f"{module}.{part}"]
        plain[f"{module}.weight"] = decompress(state, scheme, dtype)
    for name in list(plain):
        if name.endswith((".k_scale", ".v_scale")):
            del plain[name]
    return config, plain


def block_amax(weight, arguments):
    """Least and largest values of what shares a scale, in the shape of the scales."""
    rows, cols = weight.shape
    strategy = arguments.strategy
    if strategy == "tensor":
        grid = weight.reshape(1, -1)
        return grid.amin(1), grid.amax(1)
    if strategy == "channel":
        return weight.amin(1, keepdim=True), weight.amax(1, keepdim=True)
    if strategy == "block":
        height, width = arguments.block_structure
        padded = torch.nn.functional.pad(weight, (0, -cols % width, 0, -rows % height))
        grid = padded.reshape(padded.shape[0] // height, height, padded.shape[1] // width, width)
        return grid.amin((1, 3)), grid.amax((1, 3))
    grid = weight.reshape(rows, -1, arguments.group_size)
    return grid.amin(2), grid.amax(2)


def compress(weight, scheme):
    """What the library stores for a weight with min-max scales: its tensors by their last name."""
    arguments, state = scheme.weights, {"weight": weight}
    if arguments.strategy == "tensor_group":
        state["weight_global_scale"] = (448.0 * 6.0 / weight.abs().amax().float()).reshape(1)
    scale, zero_point = calculate_qparams(*block_amax(weight, arguments), arguments,
                                          global_scale=state.get("weight_global_scale"))
    state["weight_scale"] = scale
    if not arguments.symmetric:
        state["weight_zero_point"] = zero_point
    stored = BaseCompressor.get_value_from_registry(format_of(scheme)).compress(state, scheme)
    return {part: tensor.data for part, tensor in stored.items()}


def scheme(format, weights, inputs=None, targets=("Linear",)):
    return QuantizationScheme(targets=list(targets), format=format, weights=QuantizationArgs(**weights),
                              input_activations=QuantizationArgs(**inputs) if inputs else None)


def compressed_checkpoint(config, tensors, group, ignore, dtype, input_scale=0.05):
    """A checkpoint that the library made, computing in `dtype`: every projection has the scheme `group`."""
    stored, quantized = {}, set()
    for name, tensor in tensors.items():
        module = name.removesuffix(".weight")
        skip = tensor.dim() != 2 or not name.endswith("_proj.weight") or module in ignore
        if skip:
            stored[name] = tensor
            continue
        quantized.add(module)
        for part, value in compress(tensor.to(dtype), group).items():
            stored[f"{module}.{part}"] = value
        inputs = group.input_activations
        if inputs is not None and inputs.dynamic is False:
            stored[f"{module}.input_scale"] = torch.tensor([input_scale], dtype=dtype)
        if inputs is not None and inputs.dynamic == "local":
            stored[f"{module}.input_global_scale"] = torch.tensor([448.0 * 6.0 / 5.0])
    section = QuantizationConfig(config_groups={"group_0": group}, format=format_of(group), ignore=list(ignore),
                                 quantization_status="compressed").model_dump(mode="json")
    return {**config, "quantization_config": section}, stored
