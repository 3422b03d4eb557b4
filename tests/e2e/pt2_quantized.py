#!/usr/bin/env python3
"""Quantized torch.export archives, as PyTorch reads them: edited by Lathe's writer, loaded and run by several versions
of torch, and run by `lathe run`.

    tests/e2e/pt2_quantized.py --bin build/release/bin --python PYTHON [--python PYTHON ...] [NAME ...]

Each PYTHON has torch 2.6 or later, numpy and safetensors. For every archive of tests/golden/torch_export that the first
of them with its version can read, this calibrates with the archive's own inputs, folds batch norms, computes codes and
what the quantized program must give (both in PyTorch, from the source program), lets edit_pt2 write the archive, and
compares. Archives are loaded by the version that made them and by every later one.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/golden/torch_export"
FOLDERS = {"2.6": "v2_6", "2.11": "v2_11", "2.15": "v2_15"}
VARIANTS = ["int8", "int8_per_tensor", "uint8_outputs", "int4_groups", "fp8", "fp8_per_channel"]
NAMES = """resnet resnet_dynamic resnet_decomposed unet vgg_strict vit vit_dynamic vit_decomposed swin encoder
gpt_dynamic masked_attention mobilenet convnext wavenet inception shared lengths densenet hooked moe""".split()


def variant_fits(variant, folder):
    return not (variant.startswith("fp8") and folder == "v2_6")  # its schema has no float8


# Workers, which need torch


def load_inputs(torch, program, path):
    """(args, kwargs) of the archive's first call, from its golden file."""
    import safetensors.torch

    tensors = safetensors.torch.load_file(str(path))
    flat = []
    for spec in program.graph_signature.input_specs:
        if spec.kind.name == "USER_INPUT":
            constant = type(spec.arg).__name__ == "ConstantArgument"
            flat.append(spec.arg.value if constant else tensors[f"0.input.{spec.arg.name}"])
    return torch.utils._pytree.tree_unflatten(flat, program.call_spec.in_spec)


def scale_of(amax, top):
    return max(float(amax), 1e-6) / top


class Preparation:
    """Edits of a program, and the program's outputs with them, computed without quantized operators."""

    LINEAR = ("aten.linear.default", "aten.addmm.default", "aten.mm.default")

    def __init__(self, torch, program, variant):
        self.torch = torch
        self.program = program
        self.variant = variant
        self.edits = {key: [] for key in ("activations", "outputs", "weights", "replaced", "biases", "dropped")}
        self.tensors = {}
        self.values = {}        # of placeholders, by name
        self.quantized = {}     # (node, argument) -> scheme
        self.outputs = {}       # node -> scheme
        self.dropped = {}       # node -> node
        self.biases = {}        # node -> tensor
        self.targets = {spec.arg.name: spec.target for spec in program.graph_signature.input_specs
                        if spec.kind.name in ("PARAMETER", "BUFFER") and spec.target in program.state_dict}

    def is_layer(self, node):
        name = str(node.target)
        return node.op == "call_function" and (name.startswith("aten.conv") or name in self.LINEAR)

    def arguments(self, node):
        schema = node.target._schema.arguments
        named = {argument.name: value for argument, value in zip(schema, node.args)}
        return {**named, **node.kwargs}

    def state(self, name):
        return self.program.state_dict[self.targets[name]].detach()

    # Folding

    def fold(self, node):
        """A batch norm that alone reads a convolution: its scale goes into the weight, its shift into the bias."""
        if not str(node.target).startswith(("aten.batch_norm", "aten._native_batch_norm_legit_no_training")):
            return
        args = list(self.arguments(node).values())
        conv, weight, bias, mean, variance = args[:5]
        training = str(node.target) == "aten.batch_norm.default" and args[5]
        used = self.arguments(conv) if hasattr(conv, "op") and self.is_layer(conv) else {}
        if training or "transpose" in str(conv.target) or not used or len(conv.users) != 1 or weight is None:
            return
        if len(used["weight"].users) != 1 or (len(node.users) > 1 and "native" in str(node.target)):
            return
        if "native" in str(node.target):
            return  # its users are getitems in the graph: dropped below by name
        eps = self.arguments(node)["eps"]
        factor = self.state(weight.name) / (self.state(variance.name) + eps).sqrt()
        folded = self.state(used["weight"].name) * factor.reshape(-1, *[1] * (conv.args[1].meta["val"].dim() - 1))
        old_bias = used.get("bias")
        shift = self.state(bias.name) - self.state(mean.name) * factor
        if old_bias is not None:
            shift = shift + self.state(old_bias.name) * factor
        self.values[used["weight"].name] = folded
        self.dropped[node.name] = conv.name
        self.edits["dropped"].append({"node": node.name, "instead": conv.name})
        if old_bias is not None:
            self.values[old_bias.name] = shift
            self.edits["replaced"].append({"name": self.targets[old_bias.name]})
            self.tensors[self.targets[old_bias.name]] = shift
        else:
            name = self.targets[used["weight"].name].rsplit(".", 1)[0] + ".bias"
            self.biases[conv.name] = shift
            self.edits["biases"].append({"node": conv.name, "name": name})
            self.tensors[name] = shift

    # Codes

    def float8(self):
        return self.torch.float8_e4m3fn

    def weight_scheme(self, node, name, weight):
        torch, variant = self.torch, self.variant
        axis = 1 if "transpose" in str(node.target) else 0
        dims = [d for d in range(weight.dim()) if d != axis]
        if variant == "int4_groups" and weight.dim() == 2 and weight.shape[1] % 4 == 0:
            scales = weight.reshape(weight.shape[0], -1, 4).abs().amax(-1).clamp(min=1e-6) / 7
            return dict(scales=scales.flatten().tolist(), quant_min=-8, quant_max=7, dtype="int8", group_size=4)
        if variant == "fp8":
            return dict(scales=[scale_of(weight.abs().max(), 448)], quant_min=-448, quant_max=448,
                        dtype="float8_e4m3fn")
        if variant == "fp8_per_channel":
            scales = weight.abs().amax(dims).clamp(min=1e-6) / 448
            return dict(scales=scales.tolist(), quant_min=-448, quant_max=448, dtype="float8_e4m3fn", axis=axis)
        if variant == "int8_per_tensor":
            return dict(scales=[scale_of(weight.abs().max(), 127)], zero_points=[3], quant_min=-127, quant_max=127,
                        dtype="int8")
        if variant == "uint8_outputs":
            low, high = weight.amin(dims).clamp(max=0), weight.amax(dims).clamp(min=0)
            scales = ((high - low) / 255).clamp(min=1e-6)
            zero_points = (-low / scales).round().clamp(0, 255).long()
            return dict(scales=scales.tolist(), zero_points=zero_points.tolist(), quant_min=0, quant_max=255,
                        dtype="uint8", axis=axis)
        scales = weight.abs().amax(dims).clamp(min=1e-6) / 127
        return dict(scales=scales.tolist(), quant_min=-127, quant_max=127, dtype="int8", axis=axis)

    def spread(self, values, scheme, like):
        """Scales or zero points in a shape that is broadcast to the weight's."""
        if "axis" in scheme:
            shape = [1] * like.dim()
            shape[scheme["axis"]] = -1
            return values.reshape(shape)
        if "group_size" in scheme:
            return values.reshape(like.shape[0], -1).repeat_interleave(scheme["group_size"], 1)
        return values

    def codes_of(self, value, scheme):
        torch = self.torch
        scale = self.spread(torch.tensor(scheme["scales"]), scheme, value)
        scaled = value.float() * (1.0 / scale)
        if scheme["dtype"].startswith("float8"):
            return scaled.clamp(scheme["quant_min"], scheme["quant_max"]).to(getattr(torch, scheme["dtype"]))
        zero = self.spread(torch.tensor(scheme.get("zero_points", [0] * len(scheme["scales"]))), scheme, value)
        codes = torch.clamp(torch.round(scaled) + zero, scheme["quant_min"], scheme["quant_max"])
        return codes.to(getattr(torch, scheme["dtype"]))

    def dequantized(self, codes, scheme, dtype):
        torch = self.torch
        zero = self.spread(torch.tensor(scheme.get("zero_points", [0] * len(scheme["scales"]))), scheme, codes)
        scale = self.spread(torch.tensor(scheme["scales"]), scheme, codes)
        return ((codes.float() - zero) * scale).to(dtype)

    def activation_scheme(self, low, high):
        if self.variant.startswith("fp8"):
            return dict(scales=[scale_of(max(-low, high), 448)], quant_min=-448, quant_max=448, dtype="float8_e4m3fn")
        if self.variant == "int8_per_tensor":
            return dict(scales=[scale_of(max(-low, high), 127)], quant_min=-128, quant_max=127, dtype="int8")
        low, high = min(low, 0.0), max(high, 0.0)
        scale = scale_of(high - low, 255)
        if self.variant == "uint8_outputs":
            return dict(scales=[scale], zero_points=[min(255, round(-low / scale))], quant_min=0, quant_max=255,
                        dtype="uint8")
        return dict(scales=[scale], zero_points=[min(127, -128 + round(-low / scale))], quant_min=-128, quant_max=127,
                    dtype="int8")

    # The passes over the graph

    def interpret(self, flat, visit):
        torch, outer = self.torch, self

        class Run(torch.fx.Interpreter):
            def run_node(self, node):
                return visit(node, super().run_node, self)

        inner = Run(self.program.graph_module)
        return inner.run(*[value.clone() if isinstance(value, torch.Tensor) else value for value in flat])

    def prepare(self, flat):
        graph = self.program.graph_module.graph
        for node in graph.nodes:
            self.fold(node)
        layers = [node for node in graph.nodes if self.is_layer(node)]
        for node in layers:
            weight = self.weight_of(node)
            if weight is None or self.targets[weight.name] in self.tensors:
                continue
            value = self.values.get(weight.name, self.state(weight.name))
            scheme = self.weight_scheme(node, weight.name, value)
            codes = self.codes_of(value, scheme)
            self.values[weight.name] = self.dequantized(codes, scheme, value.dtype)
            self.tensors[self.targets[weight.name]] = codes
            self.edits["weights"].append({"name": self.targets[weight.name], "scheme": scheme})
        ranges = {}

        def observe(node, run, interpreter):
            value = self.simulate(node, run, interpreter)
            if isinstance(value, self.torch.Tensor) and value.is_floating_point() and value.numel():
                ranges[node.name] = (float(value.min()), float(value.max()))
            return value

        self.interpret(self.inputs_of(flat), observe)
        for node in layers:
            name = self.activation_argument(node)
            value = self.arguments(node)[name]
            resolved = self.dropped.get(value.name, value.name)
            if resolved not in ranges:
                continue
            scheme = self.activation_scheme(*ranges[resolved])
            self.quantized[node.name, name] = scheme
            self.edits["activations"].append({"node": node.name, "argument": name, "scheme": scheme})
        if self.variant == "uint8_outputs":
            for node in graph.nodes:
                if str(node.target) in ("aten.add.Tensor", "aten.relu.default", "aten.gelu.default") and (
                        node.name in ranges and node.name not in self.dropped):
                    scheme = self.activation_scheme(*ranges[node.name])
                    self.outputs[node.name] = scheme
                    self.edits["outputs"].append({"node": node.name, "scheme": scheme})

    def weight_of(self, node):
        """The parameter that is the layer's weight, through a transpose."""
        arguments = self.arguments(node)
        weight = arguments.get("weight", arguments.get("mat2"))
        while weight.op == "call_function" and str(weight.target) in ("aten.t.default", "aten.permute.default"):
            weight = weight.args[0]
        return weight if weight.name in self.targets and weight.meta["val"].is_floating_point() else None

    def activation_argument(self, node):
        arguments = self.arguments(node)
        return "input" if "input" in arguments else "mat1" if "mat1" in arguments else "self"

    def inputs_of(self, flat):
        names = [node.name for node in self.program.graph_module.graph.nodes if node.op == "placeholder"]
        return [self.values.get(name, value) for name, value in zip(names, flat)]

    def fake_quantized(self, value, scheme):
        return self.dequantized(self.codes_of(value, scheme), scheme, value.dtype)

    def simulate(self, node, run, interpreter):
        if node.name in self.dropped:
            return interpreter.env[node.args[0]]
        if self.is_layer(node):
            arguments = {key: self.value_of(value, interpreter) for key, value in self.arguments(node).items()}
            for (name, key), scheme in self.quantized.items():
                if name == node.name:
                    arguments[key] = self.fake_quantized(arguments[key], scheme)
            if node.name in self.biases:
                arguments["bias"] = self.biases[node.name]
            value = node.target(**arguments)
        else:
            value = run(node)
        return self.fake_quantized(value, self.outputs[node.name]) if node.name in self.outputs else value

    def value_of(self, argument, interpreter):
        return self.torch.fx.node.map_arg(argument, lambda node: interpreter.env[node])


def flat_tensors(torch, value):
    return {str(i): leaf.detach().clone().contiguous() for i, leaf in
            enumerate(torch.utils._pytree.tree_leaves(value)) if isinstance(leaf, torch.Tensor)}


def work_prepare(source, golden, variant, folder):
    import safetensors.torch
    import torch

    program = torch.export.load(source)
    args, kwargs = load_inputs(torch, program, golden)
    preparation = Preparation(torch, program, variant)
    flat = program._graph_module_flat_inputs(args, kwargs)
    with torch.no_grad():
        preparation.prepare(flat)
        outputs = preparation.interpret(
            preparation.inputs_of(flat), lambda node, run, interpreter: preparation.simulate(node, run, interpreter))
    kinds = [spec.kind.name for spec in program.graph_signature.output_specs]
    outputs = [value for kind, value in zip(kinds, outputs) if kind == "USER_OUTPUT"]
    folder = pathlib.Path(folder)
    (folder / "edits.json").write_text(json.dumps(preparation.edits))
    tensors = {key: value.contiguous() for key, value in preparation.tensors.items()}
    safetensors.torch.save_file(tensors, str(folder / "tensors.safetensors"))
    safetensors.torch.save_file(flat_tensors(torch, outputs), str(folder / "expected.safetensors"))
    return {key: len(value) for key, value in preparation.edits.items()}


def difference(torch, actual, expected):
    """The largest difference, in units of the largest value."""
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return float("inf")
    if not expected.is_floating_point():
        return 0.0 if torch.equal(actual, expected) else float("inf")
    top = expected.float().abs().max().clamp(min=1e-6) if expected.numel() else 1
    return float(((actual.float() - expected.float()).abs() / top).max()) if expected.numel() else 0.0


def work_check(archive, golden, expected):
    import safetensors.torch
    import torch
    import torch.ao.quantization.fx._decomposed  # noqa: F401  (registers the operators)

    program = torch.export.load(archive)
    program.validate() if hasattr(program, "validate") else None
    args, kwargs = load_inputs(torch, program, golden)
    with torch.no_grad():
        actual = flat_tensors(torch, program.module()(*args, **kwargs))
    wanted = safetensors.torch.load_file(expected)
    if actual.keys() != wanted.keys():
        return {"error": f"{len(actual)} outputs, expected {len(wanted)}"}
    worst = max((difference(torch, actual[key], wanted[key]) for key in wanted), default=0.0)
    again = pathlib.Path(archive).with_suffix(".again.pt2")
    torch.export.save(program, str(again))  # what torch reads it can write
    again.unlink()
    program.run_decompositions({})
    return {"difference": worst}


def work_compare(actual, expected):
    import safetensors.torch
    import torch

    left, right = (list(safetensors.torch.load_file(path).items()) for path in (actual, expected))
    if len(left) != len(right):
        return {"error": f"{len(left)} outputs, expected {len(right)}"}
    left = [value for key, value in sorted(left, key=lambda item: item[0])]
    worst = 0.0
    for key, value in right:
        worst = max(worst, min(difference(torch, candidate, value) for candidate in left))
    return {"difference": worst}


def serve():
    """Requests as lines of JSON, answers behind a mark: torch is imported once."""
    workers = {"prepare": work_prepare, "check": work_check, "compare": work_compare}
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            answer = workers[name](*arguments)
        except Exception as error:  # the driver reports it and goes on
            answer = {"error": f"{type(error).__name__}: {str(error)[-1500:]}"}
        print("\nANSWER " + json.dumps(answer), flush=True)


# The driver


class Worker:
    def __init__(self, python):
        self.process = subprocess.Popen([python, "-W", "ignore", __file__, "--serve"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def __call__(self, *request):
        self.process.stdin.write(json.dumps([str(part) for part in request]) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("ANSWER "):
                return json.loads(line[len("ANSWER "):])
        raise RuntimeError(f"the worker ended within {request[0]}")


def run(command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command[:4]))}: {done.stderr[-1500:]}")
    return done.stdout


def torch_version(python):
    text = run([python, "-c", "import torch; print(torch.__version__)"])
    return tuple(map(int, text.split(".")[:2]))


class Driver:
    def __init__(self, options):
        self.bin = pathlib.Path(options.bin)
        self.names = options.names or NAMES
        self.variants = options.variant or VARIANTS
        self.workers = sorted(((torch_version(python), Worker(python)) for python in options.python),
                              key=lambda item: item[0])
        self.tolerance = options.tolerance
        self.failed = 0
        self.checked = 0

    def report(self, what, result):
        self.checked += 1
        problem = result.get("error")
        if problem is None and not result["difference"] <= self.tolerance:
            problem = f"differs by {result['difference']:.2e}"
        if problem:
            self.failed += 1
        text = problem or f"{result['difference']:.1e}"
        print(f"{'FAILED' if problem else 'ok    '} {what}: {text}", flush=True)

    def case(self, folder, name, variant, worker, scratch):
        source, golden = GOLDEN / folder / f"{name}.pt2", GOLDEN / folder / f"{name}.safetensors"
        counts = worker("prepare", source, golden, variant, scratch)
        if "error" in counts:
            raise RuntimeError(counts["error"])
        output = scratch / "out.pt2"
        written = json.loads(run([self.bin / "edit_pt2", source, scratch / "edits.json",
                                  scratch / "tensors.safetensors", output]))
        assert written["bytes"] <= written["planned"], written
        assert written["dequantized_weights"] == counts["weights"], (written, counts)
        return counts, output, golden

    def check(self, what, counts, output, golden, scratch, version):
        what += f" ({counts['weights']} weights, {counts['activations']} inputs, {counts['dropped']} norms)"
        for reader, worker in self.workers:
            if reader >= version:
                self.report(f"{what} torch {reader[0]}.{reader[1]}",
                            worker("check", output, golden, scratch / "expected.safetensors"))
        actual = scratch / "actual.safetensors"
        inputs = scratch / "inputs.safetensors"
        self.first_call(golden, inputs)
        run([self.bin / "lathe", "run", output, "--inputs", inputs, "-o", actual, "--quiet"])
        self.report(what + " lathe run", self.workers[-1][1]("compare", actual, scratch / "expected.safetensors"))

    def first_call(self, golden, inputs):
        """The inputs of the golden file's first call under their own names, by bytes."""
        data = golden.read_bytes()
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8:8 + size])
        chosen, body, offset = {}, b"", 0
        for key, value in header.items():
            if key.startswith("0.input."):
                begin, end = value["data_offsets"]
                body += data[8 + size + begin:8 + size + end]
                chosen[key[len("0.input."):]] = {**value, "data_offsets": [offset, offset + end - begin]}
                offset += end - begin
        text = json.dumps(chosen).encode()
        inputs.write_bytes(len(text).to_bytes(8, "little") + text + body)

    def main(self):
        for version, worker in self.workers:
            folder = FOLDERS.get(".".join(map(str, version)))
            if folder is None:
                continue
            for name in self.names:
                if not (GOLDEN / folder / f"{name}.pt2").exists():
                    continue
                for variant in self.variants:
                    if not variant_fits(variant, folder):
                        continue
                    what = f"{folder}/{name} {variant}"
                    with tempfile.TemporaryDirectory() as scratch:
                        try:
                            case = self.case(folder, name, variant, worker, pathlib.Path(scratch))
                            self.check(what, *case, pathlib.Path(scratch), version)
                        except (RuntimeError, AssertionError) as error:
                            self.report(what, {"error": str(error)})
        print(f"{self.checked} checks, {self.failed} failed")
        return 1 if self.failed or not self.checked else 0


def main():
    if sys.argv[1:] == ["--serve"]:
        return serve()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=ROOT / "build/release/bin", help="folder of lathe and edit_pt2")
    parser.add_argument("--python", action="append", required=True)
    parser.add_argument("--variant", action="append", choices=VARIANTS)
    parser.add_argument("--tolerance", type=float, default=1e-5)
    parser.add_argument("names", nargs="*")
    return Driver(parser.parse_args()).main()


if __name__ == "__main__":
    sys.exit(main())
