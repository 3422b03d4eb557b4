"""`--dialect compressed-tensors` and `--target`."""

import json

import safetensors_file
import tiny_models
from program import USER_ERROR, ProgramTest


class Dialects(ProgramTest):
    def setUp(self):
        super().setUp()
        self.model = tiny_models.write_llama(self.folder / "model")
        self.ids = tiny_models.write_ids(self.folder / "ids.safetensors")
        self.out = self.folder / "out"

    def quantize(self, form, *more):
        return self.succeed("quantize", self.model, "-o", self.out, "--format", form, "--calib", self.ids, "--dialect",
                            "compressed-tensors", "--force", *more)

    def section(self):
        return json.loads((self.out / "config.json").read_text())["quantization_config"]

    def test_files(self):
        self.quantize("fp8", "--kv-cache", "fp8")
        section = self.section()
        self.assertEqual(section["quant_method"], "compressed-tensors")
        self.assertEqual(section["config_groups"]["group_0"]["format"], "float-quantized")
        self.assertEqual(section["kv_cache_scheme"]["num_bits"], 8)
        tensors = safetensors_file.read(self.out / "model.safetensors")
        self.assertIn("model.layers.1.self_attn.k_scale", tensors)
        self.assertFalse((self.out / "hf_quant_config.json").exists())

    def test_what_is_evaluated_is_what_is_read_back(self):
        text = self.folder / "text.txt"
        text.write_text("What is evaluated is what is shipped. " * 40)
        for form in ("fp8", "fp8_pc_pt", "int8", "int8_wo", "nvfp4", "w4a16_nvfp4", "mxfp4", "mxfp8"):
            with self.subTest(form):
                before = self.quantize(form, "--kv-cache", "fp8", "--eval-text", text, "--seq-len", 32,
                                       "--json").json()["evaluation"]
                after = self.succeed("eval", self.out, "--text", text, "--seq-len", 32, "--json").json()
                self.assertAlmostEqual(before["loss"], after["loss"], places=6)

    def test_int4_weights_and_fp8_inputs_by_token(self):
        recipe = self.folder / "recipe.yaml"
        recipe.write_text("""quant_cfg:
  - {quantizer_name: '*', enable: false}
  - {quantizer_name: '*weight_quantizer', cfg: {num_bits: 4, block_sizes: {-1: 16}}}
  - {quantizer_name: '*input_quantizer', cfg: {format: fp8, type: dynamic, block_sizes: {-1: null}}}
  - $import: units/default_disabled_quantizers
algorithm: max
""")
        arguments = [self.model, "-o", self.out, "--recipe", recipe, "--dialect", "compressed-tensors"]
        self.succeed("quantize", *arguments)
        group = self.section()["config_groups"]["group_0"]
        self.assertEqual(group["format"], "pack-quantized")
        self.assertEqual(group["weights"], {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group",
                                            "group_size": 16, "dynamic": False})
        self.assertEqual(group["input_activations"], {"num_bits": 8, "type": "float", "symmetric": True,
                                                      "strategy": "token", "dynamic": True})
        self.succeed("run", self.out, "--inputs", self.ids, "-o", self.folder / "logits.safetensors")
        self.fail_with(USER_ERROR, "quantize", *arguments, "--force", "--target", "vllm", says=["groups of 32, 64 or 128"])
        recipe.write_text(recipe.read_text().replace("{-1: 16}", "{-1: 16}, symmetric: false"))
        self.fail_with(USER_ERROR, "plan", *arguments, says=["cfg.symmetric: zero points", "not supported"])

    def test_the_cache_has_no_nvfp4(self):
        self.fail_with(USER_ERROR, "quantize", self.model, "-o", self.out, "--format", "fp8", "--calib", self.ids,
                       "--kv-cache", "nvfp4", "--dialect", "compressed-tensors",
                       says=["has no nvfp4 KV cache; --dialect modelopt can"])

    def test_inspect(self):
        self.quantize("nvfp4")
        described = self.succeed("inspect", self.out, "--json").json()
        self.assertEqual(described["quant_algo"], "nvfp4-pack-quantized")

    def test_the_plan_names_the_dialect_that_can(self):
        self.fail_with(USER_ERROR, "quantize", self.model, "-o", self.out, "--format", "w4a8_nvfp4_fp8", "--calib",
                       self.ids, "--dialect", "compressed-tensors", says=["cannot store them", "--dialect modelopt can"])

    def test_targets(self):
        arguments = ["-o", self.out, "--format", "int8_wo", "--target"]
        self.fail_with(USER_ERROR, "quantize", self.model, *arguments, "vllm",
                       says=["vLLM does not read W8A16", "--dialect compressed-tensors"])
        self.succeed("plan", self.model, *arguments, "vllm", "--dialect", "compressed-tensors")
        self.succeed("quantize", self.model, *arguments, "transformers", "--dialect",
                     "compressed-tensors")
        self.fail_with(USER_ERROR, "plan", self.model, *arguments, "tgi", says=["vllm"])
