#!/usr/bin/env python3
"""Exports small nets with torch.export, and writes what torch computes with them.

    python make_golden.py FOLDER [NAME ...]

writes FOLDER/NAME.pt2 and FOLDER/NAME.safetensors. The tensors are called "0.input.NAME" and "0.output.NAME", "1." for
a second call and so on. Needs torch 2.6 or later, safetensors, and transformers for the nets of huggingface.py (5.14
was used). The folders beside this file were made with torch 2.6.0 (v2_6), 2.11.0 (v2_11) and 2.15.0 (v2_15).
"""

import copy
import pathlib
import sys
import zipfile

import safetensors.torch
import torch
from torch.utils import _pytree as pytree

from nets import attention, cnn, features, huggingface, quantized, recurrent

VERSION = ".".join(torch.__version__.split(".")[:2])
NETS = {**cnn.CASES, **attention.CASES, **recurrent.CASES, **features.CASES, **huggingface.CASES,
        **quantized.CASES}
# Of other torch versions than 2.11, which LibTorch is, a choice.
ELSEWHERE = """resnet resnet_dynamic vgg_strict unet wavenet inception swin vit masked_attention gpt_dynamic moe lstm gru
lstm_state structures named_tuple counter counter_decomposed shared unused in_place constants number lengths nonzero
no_grad dtypes hooked bert pt2e pt2e_dynamic""".split()
DEFLATE_ABOVE = 12_000


def randomize(net):
    """Statistics and affine parameters other than 0 and 1, so that it shows if one is left out."""
    for name, tensor in net.state_dict().items():
        if name.endswith(("running_mean", "bias")):
            tensor.uniform_(-0.3, 0.3)
        elif name.endswith("running_var") or (tensor.dim() == 1 and name.endswith("weight")):
            tensor.uniform_(0.5, 1.5)


def key_text(key):
    for field in ("key", "idx", "name"):
        if hasattr(key, field):
            return str(getattr(key, field))
    raise TypeError(key)


def output_names(value):
    """The tensors and numbers of a value by the way to each."""
    named = {}
    for path, leaf in pytree.tree_flatten_with_path(value)[0]:
        parts = [key_text(key) for key in path]
        if not path or isinstance(path[0], pytree.SequenceKey):
            parts.insert(0, "output")
        if leaf is not None:
            named["_".join(parts)] = torch.as_tensor(leaf)
    return named


def input_names(program, args, kwargs):
    """The tensors and numbers that a call gives, by the program's names."""
    spec = program.call_spec.in_spec
    order = (spec.child(1) if hasattr(spec, "child") else spec.children_specs[1]).context
    kwargs = {key: kwargs[key] for key in order}
    leaves = pytree.tree_leaves((args, kwargs))
    specs = [spec for spec in program.graph_signature.input_specs if spec.kind.name == "USER_INPUT"]
    assert len(leaves) == len(specs)
    constant = [isinstance(spec.arg, torch.export.graph_signature.ConstantArgument) for spec in specs]
    return {spec.arg.name: torch.as_tensor(leaf) for spec, leaf, skip in zip(specs, leaves, constant)
            if not skip and leaf is not None}


def export(case, net, args, kwargs):
    program = torch.export.export(net, args, kwargs, dynamic_shapes=case.dynamic, strict=case.strict)
    if case.decompose:
        program = program.run_decompositions()
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)  # most of the file, and the paths of this machine
    return program


def deflate(path):
    """Packs large entries: the archive stays the same otherwise."""
    with zipfile.ZipFile(path) as archive:
        entries = [(info.filename, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED if name.endswith((".json", "model.pt")) else zipfile.ZIP_STORED
            archive.writestr(info, data)


def make(name, case, folder):
    torch.manual_seed(sum(map(ord, name)))
    net = case.build()
    net.train(case.train)
    with torch.no_grad():
        randomize(net)
    args, kwargs = case.args(), case.kwargs()
    program = export(case, copy.deepcopy(net), copy.deepcopy(args), copy.deepcopy(kwargs))
    path = folder / f"{name}.pt2"
    torch.export.save(program, str(path))
    tensors = {}
    for index, (args, kwargs) in enumerate([(args, kwargs)] + [(make_args(), {}) for make_args in case.others]):
        inputs = input_names(program, args, kwargs)
        tensors.update({f"{index}.input.{key}": value.clone() for key, value in inputs.items()})
        with torch.no_grad():
            outputs = output_names(copy.deepcopy(net)(*copy.deepcopy(args), **copy.deepcopy(kwargs)))
        tensors.update({f"{index}.output.{key}": value for key, value in outputs.items()})
    tensors = {key: value.detach().contiguous().clone() for key, value in tensors.items()}
    safetensors.torch.save_file(tensors, str(folder / f"{name}.safetensors"))
    if path.stat().st_size > DEFLATE_ABOVE:
        deflate(path)


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    names = sys.argv[2:] or [name for name in NETS if VERSION == "2.11" or name in ELSEWHERE]
    failed = []
    for name in names:
        case = NETS[name]
        if case.only and VERSION not in case.only:
            continue
        try:
            make(name, case, folder)
            print(f"{name}: {(folder / (name + '.pt2')).stat().st_size} bytes", flush=True)
        except Exception as error:  # all that fail at once
            failed.append(name)
            print(f"{name}: {type(error).__name__}: {str(error)[:1500]}", flush=True)
    sys.exit(f"failed: {failed}" if failed else 0)


if __name__ == "__main__":
    main()
