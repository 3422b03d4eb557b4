"""Sources that are quantized already: dequantized, or kept where the target format is the same."""

import json

import safetensors_file
from program import GOLDEN, ProgramTest, USER_ERROR

SOURCES = GOLDEN / "sources"
PROJECTIONS = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj",
               "mlp.up_proj", "mlp.down_proj"]


def recipe(path, cfg):
    path.write_text(json.dumps({"quant_cfg": [{"quantizer_name": "*", "enable": False},
                                              {"quantizer_name": "*weight_quantizer", "cfg": cfg},
                                              {"quantizer_name": "*lm_head*", "enable": False}],
                                "algorithm": "max"}))
    return path


def nibbles_of_words(tensor):
    """The 4-bit numbers [K, N] of GPTQ's qweight int32 [K / 8, N]."""
    rows, columns = tensor.shape
    words = [int.from_bytes(tensor.data[4 * i : 4 * i + 4], "little") for i in range(rows * columns)]
    return [[words[k // 8 * columns + n] >> 4 * (k % 8) & 15 for n in range(columns)] for k in range(8 * rows)]


class Sources(ProgramTest):
    def quantize(self, source, *format_arguments):
        out = self.folder / "out"
        report = self.succeed("quantize", source, "-o", out, *format_arguments, "--force", "--json").json()
        return report["plan"], safetensors_file.read(out / "model.safetensors")

    def assert_kept(self, plan, count):
        self.assertEqual((plan["kept_weights"], plan["decoded_weights"]), (count, 0))
        self.assertEqual(sum(row["action"] == "keep" for row in plan["tensors"]), count)

    def test_fp8_with_static_inputs_needs_no_data(self):
        plan, made = self.quantize(SOURCES / "fp8_static", "--format", "fp8")
        self.assert_kept(plan, 7)
        self.assertFalse(plan["needs_calibration"])
        for name, tensor in safetensors_file.read(SOURCES / "fp8_static" / "model.safetensors").items():
            self.assertEqual(made[name].data, tensor.data, name)

    def test_gptq_keeps_its_integers(self):
        source = SOURCES / "gptq"
        plan, made = self.quantize(source, "--recipe", recipe(self.folder / "int4.json",
                                                              {"num_bits": 4, "block_sizes": {"-1": 32}}))
        self.assert_kept(plan, 7)
        tensors = safetensors_file.read(source / "model.safetensors")
        for projection in PROJECTIONS:
            path = f"model.layers.0.{projection}"
            codes = nibbles_of_words(tensors[path + ".qweight"])
            packed = made[path + ".weight"]
            rows, columns = packed.shape
            for i in range(rows):
                for k in range(columns):
                    byte = packed.data[i * columns + k]
                    self.assertEqual((byte & 15) ^ 8, codes[k][2 * i], path)
                    self.assertEqual((byte >> 4) ^ 8, codes[k][2 * i + 1], path)

    def test_zero_points_are_dequantized(self):
        for name in ("awq", "gptq_act_order", "gptq_v2_8_bits"):
            plan, _ = self.quantize(SOURCES / name, "--recipe",
                                    recipe(self.folder / f"{name}.json", {"num_bits": 4, "block_sizes": {"-1": 32}}))
            self.assertEqual((plan["kept_weights"], plan["decoded_weights"]), (0, 7))

    def test_another_format_is_dequantized(self):
        for name in ("fp8_blocks", "fp8_edge_blocks", "gptq", "awq"):
            plan, made = self.quantize(SOURCES / name, "--format", "w4a16_nvfp4")
            self.assertEqual((plan["kept_weights"], plan["decoded_weights"]), (0, 7), name)
            self.assertIn("model.layers.0.mlp.up_proj.weight_scale_2", made)
            self.assertNotIn("model.layers.0.mlp.up_proj.weight_scale_inv", made)

    def test_mxfp4_experts(self):
        plan, _ = self.quantize(GOLDEN / "variants" / "gpt_oss_mxfp4", "--format", "MXFP4_MLP_WEIGHT_ONLY_CFG")
        self.assertEqual((plan["kept_weights"], plan["decoded_weights"]), (4, 0))

    def test_own_exports_are_kept_to_the_byte(self):
        source = self.folder / "once"
        for name in ("fp8_pc_pt", "w4a16_nvfp4", "mxfp8", "int8_wo"):
            self.succeed("quantize", SOURCES / "awq", "-o", source, "--format", name, "--force")
            plan, made = self.quantize(source, "--format", name)
            self.assert_kept(plan, 7)
            for tensor, once in safetensors_file.read(source / "model.safetensors").items():
                self.assertEqual(made[tensor].data, once.data, f"{name} {tensor}")

    def test_the_line(self):
        finished = self.succeed("quantize", SOURCES / "awq", "-o", self.folder / "out", "--format", "int8_wo")
        self.assertIn("the source is quantized (awq 4 bits): 0 weights are kept as they are, 7 dequantized",
                      finished.stdout)

    def test_bitsandbytes_is_named(self):
        folder = self.folder / "bnb"
        folder.mkdir()
        config = json.loads((SOURCES / "awq" / "config.json").read_text())
        config["quantization_config"] = {"load_in_8bit": True}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "model.safetensors").write_bytes((SOURCES / "awq" / "model.safetensors").read_bytes())
        self.fail_with(USER_ERROR, "plan", folder, "--format", "int8_wo", says=["quantized with bitsandbytes"])
