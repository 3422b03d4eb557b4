"""Models that cannot be what they say: a clear error, and nothing written."""

import json
import unittest

import safetensors_file
import tiny_models
from program import DATA_ERROR, GOLDEN, USER_ERROR, ProgramTest, lathe

WEIGHT_ONLY = ("--format", "w4a16_nvfp4")


class BadModels(ProgramTest):
    def write(self, change_tensors=None, change_config=None, **sizes):
        config = tiny_models.llama_config(**sizes)
        tensors = tiny_models.llama_tensors(config)
        if change_config:
            change_config(config)
        if change_tensors:
            change_tensors(tensors)
        return tiny_models.write_model(self.folder / "model", config, tensors)

    def refuse(self, code, *says, arguments=WEIGHT_ONLY):
        finished = self.fail_with(code, "quantize", self.folder / "model", "-o", self.folder / "out", *arguments,
                                  says=says)
        self.assertFalse((self.folder / "out").exists())
        return finished

    def test_missing_tensors_are_all_named(self):
        missing = ("model.layers.0.mlp.up_proj.weight", "model.layers.1.self_attn.q_proj.weight")

        def remove(tensors):
            for name in missing:
                del tensors[name]

        self.write(remove)
        self.refuse(DATA_ERROR, *missing)
        self.assert_untouched("model")

    def test_extra_tensor(self):
        def add(tensors):
            tensors["model.layers.0.mlp.side_proj.weight"] = tiny_models.ones(64)

        self.write(add)
        self.refuse(DATA_ERROR, "model.layers.0.mlp.side_proj.weight")
        self.assert_untouched("model")

    def test_shape_against_config(self):
        def widen(config):
            config["intermediate_size"] = 160

        self.write(change_config=widen)
        self.refuse(DATA_ERROR, "mlp.up_proj.weight", "160", "128")
        self.assert_untouched("model")

    def test_truncated_file(self):
        file = self.write() / "model.safetensors"
        file.write_bytes(file.read_bytes()[:-100])
        self.refuse(DATA_ERROR, "model.safetensors")

    def test_header_that_is_no_json(self):
        file = self.write() / "model.safetensors"
        content = bytearray(file.read_bytes())
        content[8:12] = b"oops"
        file.write_bytes(content)
        self.refuse(DATA_ERROR, "model.safetensors")

    def test_config_that_is_no_json(self):
        (self.write() / "config.json").write_text('{"model_type": ')
        self.refuse(DATA_ERROR, "config.json")

    def test_nan_in_a_weight(self):
        name = "model.layers.1.mlp.down_proj.weight"

        def poison(tensors):
            tensor = tensors[name]
            tensor.data = tensor.data[:64] + tiny_models.NAN + tensor.data[66:]

        self.write(poison)
        self.refuse(DATA_ERROR, "model.layers.1.mlp.down_proj")

    def test_indivisible_layers_are_all_listed(self):
        self.write(hidden=64, inner=128)  # INT4's block is 128: down_proj alone fits
        finished = self.refuse(USER_ERROR, "128", "64", arguments=("--format", "int4"))
        for layer in range(2):
            for name in ("self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj"):
                self.assertIn(f"model.layers.{layer}.{name}", finished.stderr)
        self.assertNotIn("mlp.down_proj", finished.stderr)
        self.assert_untouched("model")


class UnknownArchitecture(ProgramTest):
    def setUp(self):
        super().setUp()
        config = tiny_models.llama_config()
        config.update(architectures=["NovelForCausalLM"], model_type="novel")
        self.model = tiny_models.write_model(self.folder / "model", config, tiny_models.llama_tensors(config))

    def test_weight_only_formats_work(self):
        for name in ("w4a16_nvfp4", "int8_wo"):
            with self.subTest(name):
                out = self.folder / name
                self.succeed("quantize", self.model, "-o", out, "--format", name)
                tensors = safetensors_file.read(out / "model.safetensors")
                self.assertIn("model.layers.0.mlp.up_proj.weight_scale", tensors)
                self.assertEqual(tensors["model.norm.weight"].data, tiny_models.ones(64).data)

    def test_others_say_what_is_missing(self):
        calibration = tiny_models.write_ids(self.folder / "ids.safetensors")
        self.fail_with(USER_ERROR, "quantize", self.model, "-o", self.folder / "out", "--format", "fp8", "--calib",
                       calibration, says=["NovelForCausalLM"])
        self.assert_untouched("model", "ids.safetensors")

    def test_inspect(self):
        found = self.succeed("inspect", self.model, "--json").json()
        names = [row["name"] for row in found["tensors"]]
        self.assertEqual(sorted(names), sorted(tiny_models.llama_tensors(tiny_models.llama_config())))


class ExportedProgram(ProgramTest):
    def test_is_not_written_as_a_checkpoint(self):
        program = GOLDEN / "trace" / "LinearModel1.pt2"
        self.fail_with(USER_ERROR, "quantize", program, "-o", self.folder / "out", "--format", "int8_wo",
                       says=["torch.export", ".pt2"])
        self.assert_untouched()

    def test_is_not_replaced(self):
        program = GOLDEN / "trace" / "LinearModel1.pt2"
        out = self.folder / "out.pt2"
        self.succeed("quantize", program, "-o", out, "--format", "int8_wo")
        self.fail_with(USER_ERROR, "quantize", program, "-o", out, "--format", "int8_wo",
                       says=["out.pt2", "--force", "out.state.safetensors"])


class Plan(ProgramTest):
    def test_lists_all_problems_at_once(self):
        model = tiny_models.write_llama(self.folder / "model")
        recipe = self.folder / "recipe.json"
        recipe.write_text(json.dumps({
            "quant_cfg": [
                {"quantizer_name": "*", "enable": False},
                {"quantizer_name": "*up_proj.weight_quantizer", "cfg": {"num_bits": 4, "block_sizes": {-1: 128}}},
                {"quantizer_name": "*up_proj.input_quantizer", "cfg": {"num_bits": [4, 3]}}],
            "algorithm": "max"}))
        arguments = ("plan", model, "-o", model, "--recipe", recipe, "--json")
        finished = lathe(*arguments)
        self.assertEqual(finished.code, USER_ERROR, str(finished))
        problems = "\n".join(finished.json()["problems"])
        self.assertIn("model.layers.0.mlp.up_proj", problems)  # K = 64 in blocks of 128
        self.assertIn("model.layers.1.mlp.up_proj", problems)
        self.assertIn("builtin", problems)  # inputs are quantized: data is needed
        self.assertIn("problem: ", finished.stderr)
        self.assert_untouched("model", "recipe.json")


if __name__ == "__main__":
    unittest.main()
