"""Experts that a checkpoint holds in one tensor: every format, both ways of writing, and MXFP4 as gpt-oss has it."""

import json
import math
import struct

import safetensors_file
from program import GOLDEN, SUCCESS, USER_ERROR, ProgramTest, lathe
from safetensors_file import Tensor

MODEL = GOLDEN / "hf" / "gpt_oss"
EXPERTS, HIDDEN, BOTH, INNER = 4, 64, 256, 128  # gate and up have BOTH rows
LAYER = "model.layers.0.mlp.experts."

FORMATS = """fp8 fp8_pc_pt fp8_pb_wo int8 int8_wo nvfp4 w4a16_nvfp4 w4a8_nvfp4_fp8 nvfp4_experts_only mxfp4 mxfp8 mxfp6 mxint8
    w4a8_mxfp4_fp8 mxfp4_mlp_wo""".split()
COMPRESSED = "fp8 fp8_pc_pt int8 int8_wo nvfp4 w4a16_nvfp4 mxfp4 mxfp8 mxfp4_mlp_wo".split()


def bfloat16(tensor):
    codes = struct.unpack(f"<{len(tensor.data) // 2}H", tensor.data)
    return [struct.unpack("<f", struct.pack("<I", code << 16))[0] for code in codes]


def e4m3(byte):
    exponent, mantissa = byte >> 3 & 15, byte & 7
    value = mantissa / 512 if exponent == 0 else (1 + mantissa / 8) * 2.0 ** (exponent - 7)
    return -value if byte & 128 else value


def e2m1(code):
    return (0, 0.5, 1, 1.5, 2, 3, 4, 6)[code & 7] * (-1 if code & 8 else 1)


class FusedExperts(ProgramTest):
    def setUp(self):
        super().setUp()
        self.ids = self.folder / "ids.safetensors"
        safetensors_file.write(self.ids, {"input_ids": safetensors_file.ids(
            [[(7 * row + 3 * column + row * column) % 200 for column in range(24)] for row in range(4)])})

    def quantize(self, form, *more, model=MODEL):
        out = self.folder / "out"
        finished = self.succeed("quantize", model, "-o", out, "--format", form, "--calib", self.ids, "--eval-text",
                                self.ids, "--force", "--json", *more)
        return out, finished.json()

    def write_recipe(self, pattern, attributes):
        recipe = self.folder / "recipe.yaml"
        recipe.write_text("quant_cfg:\n  - {quantizer_name: '*', enable: false}\n"
                          f"  - {{quantizer_name: '{pattern}', cfg: {attributes}}}\nalgorithm: max\n")
        return recipe

    def read(self, out):
        return safetensors_file.read(out / "model.safetensors")

    def loss(self, out):
        return self.succeed("eval", out, "--ids", self.ids, "--json").json()["loss"]

    def assert_read_back(self, forms, *more):
        for form in forms:
            with self.subTest(form):
                out, report = self.quantize(form, *more)
                self.assertEqual(report["evaluation"]["loss"], self.loss(out))
                self.succeed("inspect", out)

    def test_every_format_is_read_back_as_it_was_evaluated(self):
        self.assert_read_back(FORMATS)

    def test_compressed_tensors_are_read_back_as_they_were_evaluated(self):
        self.assert_read_back(COMPRESSED, "--dialect", "compressed-tensors")

    def test_int4_with_blocks_that_divide(self):
        recipe = self.write_recipe("*mlp.experts*weight_quantizer", "{num_bits: 4, block_sizes: {-1: 32}}")
        for dialect in ("modelopt", "compressed-tensors"):
            with self.subTest(dialect):
                out = self.folder / "out"
                finished = self.succeed("quantize", MODEL, "-o", out, "--recipe", recipe, "--eval-text", self.ids,
                                        "--force", "--json", "--dialect", dialect)
                self.assertEqual(finished.json()["evaluation"]["loss"], self.loss(out))

    def test_fp8_in_one_tensor(self):
        out, _ = self.quantize("fp8")
        source, found = self.read(MODEL), self.read(out)
        for name, columns, rows in (("gate_up_proj", BOTH, HIDDEN), ("down_proj", HIDDEN, INNER)):
            codes, plain = found[LAYER + name], source[LAYER + name]
            self.assertEqual((codes.dtype, codes.shape), ("F8_E4M3", [EXPERTS, rows, columns]))
            values = bfloat16(plain)
            (scale,) = safetensors_file.floats(found[LAYER + name + "_weight_scale"])
            self.assertEqual(found[LAYER + name + "_weight_scale"].shape, [])
            self.assertEqual(found[LAYER + name + "_input_scale"].shape, [])
            self.assertAlmostEqual(scale * 448, max(map(abs, values)), delta=1e-6)
            for value, code in zip(values, codes.data):
                self.assertLessEqual(abs(e4m3(code) * scale - value), max(abs(value) / 16, scale / 512) * 1.0001)
            self.assertEqual(found[LAYER + name + "_bias"].data, source[LAYER + name + "_bias"].data)
        config = json.loads((out / "hf_quant_config.json").read_text())["quantization"]
        self.assertEqual(config["quant_algo"], "FP8")
        self.assertFalse([name for name in found if LAYER + "0" in name])

    def test_nvfp4_in_one_tensor(self):
        found = self.read(self.quantize("nvfp4_experts_only", "--target", "trtllm")[0])
        shapes = {name[len(LAYER):]: (tensor.dtype, tensor.shape) for name, tensor in found.items()
                  if name.startswith(LAYER)}
        for name, columns, rows in (("gate_up_proj", BOTH, HIDDEN), ("down_proj", HIDDEN, INNER)):
            self.assertEqual(shapes[name], ("U8", [EXPERTS, rows // 2, columns]))
            self.assertEqual(shapes[name + "_weight_scale"], ("F8_E4M3", [EXPERTS, rows // 16, columns]))
            self.assertEqual(shapes[name + "_weight_scale_2"], ("F32", []))
            self.assertEqual(shapes[name + "_input_scale"], ("F32", []))

    def largest_of(self, name, rows, columns, block):
        """The largest |w| of each `block` rows of K, [E, K / block, N], of a source's tensor [E, K, N]."""
        values = list(map(abs, bfloat16(self.read(MODEL)[LAYER + name])))
        return [max(values[(first * block + k) * columns + column] for k in range(block))
                for first in range(EXPERTS * rows // block) for column in range(columns)]

    def test_channels_in_one_tensor_are_output_channels_of_each_expert(self):
        found = self.read(self.quantize("fp8_pc_pt")[0])
        for name, columns, rows in (("gate_up_proj", BOTH, HIDDEN), ("down_proj", HIDDEN, INNER)):
            scales = found[LAYER + name + "_weight_scale"]
            self.assertEqual(scales.shape, [EXPERTS, columns])
            for scale, largest in zip(safetensors_file.floats(scales), self.largest_of(name, rows, columns, rows)):
                self.assertAlmostEqual(scale * 448, largest, delta=1e-6)

    def test_blocks_in_one_tensor_run_along_k(self):
        for form, bound in (("mxfp8", 448), ("mxfp4", 6)):
            found = self.read(self.quantize(form)[0])
            for name, columns, rows in (("gate_up_proj", BOTH, HIDDEN), ("down_proj", HIDDEN, INNER)):
                scales = found[LAYER + name + "_weight_scale"]
                self.assertEqual((scales.dtype, scales.shape), ("U8", [EXPERTS, rows // 32, columns]))
                for code, largest in zip(scales.data, self.largest_of(name, rows, columns, 32)):
                    self.assertEqual(code, math.ceil(math.log2(largest / bound)) + 127)

    def test_inputs_that_are_not_calibrated_have_no_scale(self):
        found = self.read(self.quantize("w4a8_mxfp4_fp8")[0])
        self.assertFalse([name for name in found if "input_scale" in name])

    def test_mixed_formats_name_the_module_of_the_experts(self):
        out, _ = self.quantize("nvfp4_experts_only", "--kv-cache", "fp8")
        config = json.loads((out / "config.json").read_text())["quantization_config"]
        self.assertEqual(config["quant_algo"], "NVFP4")
        recipe = self.folder / "mixed.yaml"
        recipe.write_text("quant_cfg:\n  - {quantizer_name: '*', enable: false}\n"
                          "  - {quantizer_name: '*mlp.experts*weight_quantizer', cfg: {num_bits: e2m1, block_sizes: "
                          "{-1: 16, type: dynamic, scale_bits: e4m3}}}\n"
                          "  - {quantizer_name: '*self_attn*weight_quantizer', cfg: {num_bits: 8, axis: 0}}\n"
                          "algorithm: max\n")
        out = self.folder / "mixed"
        self.succeed("quantize", MODEL, "-o", out, "--recipe", recipe)
        layers = json.loads((out / "config.json").read_text())["quantization_config"]["quantized_layers"]
        self.assertEqual(layers["model.layers.1.mlp.experts"]["quant_algo"], "W4A16_NVFP4")
        self.assertEqual(layers["model.layers.1.self_attn.k_proj"]["quant_algo"], "W8A16")
        self.loss(out)

    def test_mxfp4_as_gpt_oss_has_it(self):
        out, report = self.quantize("mxfp4_mlp_wo", "--dialect", "mxfp4", "--target", "vllm")
        self.assertEqual(report["evaluation"]["loss"], self.loss(out))
        section = json.loads((out / "config.json").read_text())["quantization_config"]
        self.assertEqual(section["quant_method"], "mxfp4")
        self.assertEqual(section["modules_to_not_convert"], [
            "lm_head", "model.embed_tokens", "model.layers.*.mlp.router", "model.layers.*.self_attn"])
        source, found = self.read(MODEL), self.read(out)
        blocks, scales = found[LAYER + "gate_up_proj_blocks"], found[LAYER + "gate_up_proj_scales"]
        self.assertEqual((blocks.dtype, blocks.shape), ("U8", [EXPERTS, BOTH, HIDDEN // 32, 16]))
        self.assertEqual((scales.dtype, scales.shape), ("U8", [EXPERTS, BOTH, HIDDEN // 32]))
        plain = bfloat16(source[LAYER + "gate_up_proj"])
        for expert, row, column in ((0, 0, 0), (1, 3, 17), (3, 255, 63), (2, 100, 32)):
            value = plain[(expert * HIDDEN + column) * BOTH + row]
            place = (expert * BOTH + row) * HIDDEN + column
            code = blocks.data[place // 2] >> 4 * (place % 2) & 15
            scale = 2.0 ** (scales.data[place // 32] - 127)
            self.assertLessEqual(abs(e2m1(code) * scale - value), scale)
        # What is MXFP4 already stays as it is.
        again = self.folder / "again"
        self.succeed("quantize", out, "-o", again, "--format", "mxfp4_mlp_wo", "--dialect", "mxfp4")
        for name, tensor in self.read(again).items():
            self.assertEqual(tensor.data, found[name].data, name)

    def test_mxfp4_holds_weights_of_experts_alone(self):
        self.fail_with(USER_ERROR, "quantize", MODEL, "-o", self.folder / "out", "--format", "fp8", "--calib", self.ids,
                       "--dialect", "mxfp4", says=["the mxfp4 dialect cannot store them"])
        self.fail_with(USER_ERROR, "quantize", GOLDEN / "hf" / "llama", "-o", self.folder / "out", "--format",
                       "mxfp4_mlp_wo", "--dialect", "mxfp4", says=["holds experts that lie in one tensor"])

    def test_experts_left_out_are_written_as_they_were(self):
        recipe = self.write_recipe("*self_attn*weight_quantizer", "{num_bits: 8, axis: 0}")
        for dialect in ("modelopt", "compressed-tensors"):
            with self.subTest(dialect):
                out = self.folder / dialect
                self.succeed("quantize", MODEL, "-o", out, "--recipe", recipe, "--dialect", dialect)
                source, found = self.read(MODEL), self.read(out)
                for name, tensor in source.items():
                    if ".experts." in name:
                        self.assertEqual((found[name].shape, found[name].data), (tensor.shape, tensor.data), name)

    def test_one_expert_cannot_differ_in_one_tensor(self):
        recipe = self.folder / "some.yaml"
        recipe.write_text("quant_cfg:\n  - {quantizer_name: '*', enable: false}\n"
                          "  - {quantizer_name: '*experts.[012].*weight_quantizer', cfg: {num_bits: 8, axis: 0}}\n"
                          "algorithm: max\n")
        self.fail_with(USER_ERROR, "quantize", MODEL, "-o", self.folder / "out", "--recipe", recipe,
                       says=["gate_up_proj: one tensor holds all 4 experts"])
        out = self.folder / "apart"
        self.succeed("quantize", MODEL, "-o", out, "--recipe", recipe, "--dialect", "compressed-tensors")
        self.loss(out)

    def test_targets(self):
        def plan(form, *more):
            return lathe("plan", MODEL, "--calib", self.ids, "--format", form, *more)

        for target in ("vllm", "sglang", "transformers"):
            refused = plan("nvfp4_experts_only", "--target", target)
            self.assertEqual(refused.code, USER_ERROR, str(refused))
            self.assertEqual(plan("mxfp4_mlp_wo", "--dialect", "mxfp4", "--target", target).code, SUCCESS)
        self.assertIn("--dialect mxfp4", plan("nvfp4_experts_only", "--target", "vllm").stderr)
        self.assertIn("beside experts", plan("nvfp4", "--target", "trtllm").stderr)
        self.assertIn("one by one", plan("fp8", "--target", "vllm", "--dialect", "compressed-tensors").stderr)
        self.assertIn("no engine reads them", plan("fp8").stderr + plan("fp8").stdout)

    def test_plan_counts_all_experts(self):
        for dialect in ("modelopt", "compressed-tensors"):
            out, report = self.quantize("fp8", "--dialect", dialect)
            plan = self.succeed("plan", MODEL, "--calib", self.ids, "--format", "fp8", "--dialect", dialect,
                                "--json").json()
            after = {row["name"]: row["bytes_out"] for row in plan["tensors"]}
            found = self.read(out)
            for name in ("gate_up_proj", "down_proj", "gate_up_proj_bias"):
                written = sum(len(tensor.data) for path, tensor in found.items() if path.startswith(LAYER) and (
                    name in path and path.endswith("bias") == name.endswith("bias")))
                if name == "gate_up_proj_bias":
                    written = sum(len(tensor.data) for path, tensor in found.items()
                                  if path.startswith(LAYER) and "gate_up" in path and path.endswith("bias"))
                self.assertEqual(after[LAYER + name], written, (dialect, name))
            self.assertEqual(sum(after.values()), sum(len(tensor.data) for tensor in found.values()))

    def test_quantized_experts_can_be_quantized_again(self):
        for first, dialect in (("fp8", "compressed-tensors"), ("fp8", "modelopt"), ("nvfp4", "modelopt")):
            with self.subTest(first + " " + dialect):
                out, _ = self.quantize(first, "--dialect", dialect)
                again = self.folder / "again"
                for form in ("fp8", "mxfp8"):
                    self.succeed("quantize", out, "-o", again, "--format", form, "--calib", self.ids, "--force")
                    self.loss(again)


class UnknownArchitecture(ProgramTest):
    """The same by names and shapes alone: gate and up side by side, [E, K, 2 N], as Llama 4 has them."""

    def setUp(self):
        super().setUp()
        source = safetensors_file.read(MODEL / "model.safetensors")
        self.tensors = {name: tensor for name, tensor in source.items() if "layers.0." in name}
        self.model = self.folder / "model"
        self.model.mkdir()
        (self.model / "config.json").write_text(json.dumps({"architectures": ["NovelForCausalLM"], "model_type": "novel"}))
        safetensors_file.write(self.model / "model.safetensors", self.tensors)

    def test_weight_only_formats(self):
        for form, dtype in (("mxfp8", "F8_E4M3"), ("int8_wo", "I8"), ("fp8_pb_wo", "F8_E4M3"), ("w4a16_nvfp4", "U8")):
            with self.subTest(form):
                out = self.folder / form
                self.succeed("quantize", self.model, "-o", out, "--format", form)
                found = safetensors_file.read(out / "model.safetensors")
                self.assertEqual(found[LAYER + "gate_up_proj"].dtype, dtype)
                self.assertEqual(found[LAYER + "gate_up_proj_bias"].data, self.tensors[LAYER + "gate_up_proj_bias"].data)
                self.succeed("inspect", out)
                self.succeed("quantize", out, "-o", self.folder / (form + "-again"), "--format", form)
                again = safetensors_file.read(self.folder / (form + "-again") / "model.safetensors")
                self.assertEqual({n: t.data for n, t in again.items()}, {n: t.data for n, t in found.items()})

    def test_mxfp4(self):
        out = self.folder / "out"
        self.succeed("quantize", self.model, "-o", out, "--format", "mxfp4_mlp_wo", "--dialect", "mxfp4")
        found = safetensors_file.read(out / "model.safetensors")
        self.assertEqual(found[LAYER + "down_proj_blocks"].shape, [EXPERTS, HIDDEN, INNER // 32, 16])
        self.succeed("inspect", out)

    def test_tensors_that_do_not_fit_are_refused(self):
        out = self.folder / "out"
        self.succeed("quantize", self.model, "-o", out, "--format", "int8_wo")
        tensors = safetensors_file.read(out / "model.safetensors")
        scale = tensors[LAYER + "gate_up_proj_weight_scale"]
        tensors[LAYER + "gate_up_proj_weight_scale"] = Tensor("F32", [3, BOTH], scale.data[:3 * BOTH * 4])
        safetensors_file.write(out / "model.safetensors", tensors)
        self.fail_with(3, "inspect", out, says=["gate_up_proj_weight_scale", "4 experts"])
