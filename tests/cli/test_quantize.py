"""What `quantize` and `plan` print and write."""

import html.parser
import json
import unittest

import safetensors_file
import tiny_models
from program import DATA_ERROR, USER_ERROR, ProgramTest, digests, lathe

LAYERS = 2
LINEARS = 7 * LAYERS


class PageReader(html.parser.HTMLParser):
    """Collects tags and what a browser would fetch; fails on tags that are not closed."""

    VOID = {"meta", "br", "line"}

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.links, self.text = [], [], [], ""

    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> after {self.open}"
        self.open.pop()

    def handle_data(self, data):
        self.text += data


class Quantize(ProgramTest):
    def setUp(self):
        super().setUp()
        self.model = tiny_models.write_llama(self.folder / "model", layers=LAYERS)
        self.ids = tiny_models.write_ids(self.folder / "ids.safetensors")
        self.out = self.folder / "out"
        self.fp8 = ("quantize", self.model, "-o", self.out, "--format", "fp8", "--calib", self.ids, "--seq-len", 32)

    def test_files(self):
        finished = self.succeed(*self.fp8)
        self.assertIn(f"{LINEARS} tensors quantized", finished.stdout)
        tensors = safetensors_file.read(self.out / "model.safetensors")
        for layer in range(LAYERS):
            name = f"model.layers.{layer}.mlp.down_proj."
            self.assertEqual(tensors[name + "weight"].dtype, "F8_E4M3")
            self.assertEqual(tensors[name + "weight"].shape, [64, 128])
            self.assertGreater(safetensors_file.floats(tensors[name + "weight_scale"])[0], 0)
            self.assertGreater(safetensors_file.floats(tensors[name + "input_scale"])[0], 0)
        config = json.loads((self.out / "config.json").read_text())
        self.assertEqual(config["quantization_config"]["quant_algo"], "FP8")
        self.assertEqual(json.loads((self.out / "hf_quant_config.json").read_text())["quantization"]["quant_algo"],
                         "FP8")
        self.assertEqual((self.out / "tokenizer.json").read_bytes(), (self.model / "tokenizer.json").read_bytes())
        self.assert_untouched("model", "ids.safetensors", "out")

    def test_json_alone_on_stdout(self):
        report = self.succeed(*self.fp8, "--json").json()
        self.assertEqual(report["written"]["folder"], str(self.out))
        self.assertEqual(report["written"]["quantized_tensors"], LINEARS)
        self.assertEqual(report["plan"]["quant_algo"], "FP8")
        self.assertEqual(report["plan"]["problems"], [])
        self.assertGreater(report["peak_memory_bytes"], 0)

    def test_quiet(self):
        finished = self.succeed(*self.fp8, "--quiet")
        self.assertEqual(finished.stdout + finished.stderr, "")

    def test_preset_names_and_friendly_names_are_the_same(self):
        for name in ("w4a16_nvfp4", "W4A16_NVFP4_CFG"):
            self.succeed("quantize", self.model, "-o", self.folder / name, "--format", name)
        first, second = (digests(self.folder / name) for name in ("w4a16_nvfp4", "W4A16_NVFP4_CFG"))
        self.assertEqual(first, second)

    def test_unknown_format(self):
        self.fail_with(USER_ERROR, "quantize", self.model, "-o", self.out, "--format", "nvpf4",
                       says=['"nvpf4"', "nvfp4"])

    def test_kv_cache(self):
        self.succeed(*self.fp8, "--kv-cache", "fp8")
        tensors = safetensors_file.read(self.out / "model.safetensors")
        for name in ("k_proj.k_scale", "v_proj.v_scale"):
            self.assertIn(f"model.layers.1.self_attn.{name}", tensors)
        quantization = json.loads((self.out / "hf_quant_config.json").read_text())["quantization"]
        self.assertEqual(quantization["kv_cache_quant_algo"], "FP8")

    def test_shared_scales(self):
        def scales(folder):
            tensors = safetensors_file.read(folder / "model.safetensors")
            return [tensors[f"model.layers.0.self_attn.{name}_proj.weight_scale"].data for name in "qkv"]

        self.succeed(*self.fp8)
        self.assertEqual(len(set(scales(self.out))), 1)
        apart = self.folder / "apart"
        self.succeed("quantize", self.model, "-o", apart, "--format", "fp8", "--calib", self.ids, "--seq-len", 32,
                     "--no-fuse-scales")
        self.assertGreater(len(set(scales(apart))), 1)

    def test_constant_amax_of_inputs_needs_no_calibration(self):
        for form, constant in (("nvfp4", 6 * 448), ("fp8", 448)):
            recipe = self.folder / "recipe.yaml"
            recipe.write_text("quant_cfg:\n  - {quantizer_name: '*', enable: false}\n"
                              f"  - {{quantizer_name: '*mlp*weight_quantizer', cfg: {{format: {form}}}}}\n"
                              f"  - {{quantizer_name: '*mlp*input_quantizer', cfg: {{format: {form}, constant_amax: "
                              f"{constant}}}}}\nalgorithm: max\n")
            with self.subTest(form):
                self.succeed("quantize", self.model, "-o", self.out, "--recipe", recipe, "--force")
                tensors = safetensors_file.read(self.out / "model.safetensors")
                for name in ("gate", "up", "down"):
                    scale = tensors[f"model.layers.1.mlp.{name}_proj.input_scale"]
                    self.assertEqual(safetensors_file.floats(scale), [1.0])
                self.succeed("inspect", self.out)

    def test_shards(self):
        self.succeed(*self.fp8, "--max-shard-size", "40kB")
        index = json.loads((self.out / "model.safetensors.index.json").read_text())
        files = set(index["weight_map"].values())
        self.assertGreater(len(files), 2)
        for file in files:
            self.assertTrue((self.out / file).exists(), file)

    def test_text_and_builtin_calibrate(self):
        text = self.folder / "text.txt"
        text.write_text("The quick brown fox jumps over the lazy dog. " * 50)
        messages = self.folder / "chat.jsonl"
        line = json.dumps({"messages": [{"role": "user", "content": "Hello! " * 40}]})
        messages.write_text(f"{line}\n{line}\n")
        for data in (text, messages, "builtin"):
            with self.subTest(str(data)):
                self.succeed("quantize", self.model, "-o", self.out, "--format", "fp8", "--calib", data, "--samples", 2,
                             "--seq-len", 64, "--force")

    def test_evaluation_of_what_is_shipped(self):
        text = self.folder / "text.txt"
        text.write_text("The quick brown fox jumps over the lazy dog. " * 50)
        report = self.succeed(*self.fp8, "--eval-text", text, "--eval-samples", 3, "--json").json()
        loaded = self.succeed("eval", self.out, "--text", text, "--samples", 3, "--seq-len", 32, "--json").json()
        self.assertEqual(report["evaluation"]["tokens"], 3 * 31)
        self.assertEqual(report["evaluation"]["tokens"], loaded["tokens"])
        self.assertAlmostEqual(report["evaluation"]["loss"], loaded["loss"], places=6)

    def test_html_report(self):
        page = self.folder / "report.html"
        self.succeed(*self.fp8, "--report", page)
        reader = PageReader()
        reader.feed(page.read_text())
        self.assertEqual(reader.open, [])
        self.assertEqual(reader.links, [], "the page must need no other file")
        self.assertEqual(reader.seen.count("rect"), LINEARS)
        for text in ("bits per weight", "model.layers.[0-1].mlp.up_proj.weight", str(self.model)):
            self.assertIn(text, reader.text)
        self.assert_untouched("model", "ids.safetensors", "out", "report.html")

    def test_report_is_not_overwritten(self):
        page = self.folder / "report.html"
        page.write_text("mine")
        self.fail_with(USER_ERROR, *self.fp8, "--report", page, says=["report.html", "--force"])
        self.assertEqual(page.read_text(), "mine")
        self.assertFalse(self.out.exists())


class Recipes(ProgramTest):
    """The same quantizers, written in three ways, give the same bytes."""

    ORDERED = """
quant_cfg:
  - {quantizer_name: '*', enable: false}
  - {quantizer_name: '*mlp*weight_quantizer', cfg: {num_bits: 8, axis: 0}}
algorithm: max
"""
    WILDCARDS = {"quant_cfg": {"*mlp*weight_quantizer": {"num_bits": 8, "axis": 0}, "default": {"enable": False}},
                 "algorithm": "max"}

    def test_forms(self):
        model = tiny_models.write_llama(self.folder / "model")
        (self.folder / "ordered.yaml").write_text(self.ORDERED)
        (self.folder / "wildcards.json").write_text(json.dumps(self.WILDCARDS))
        results = []
        for recipe in ("ordered.yaml", "wildcards.json"):
            out = self.folder / (recipe + ".out")
            self.succeed("quantize", model, "-o", out, "--recipe", self.folder / recipe)
            results.append(digests(out))
        self.assertEqual(results[0], results[1])
        tensors = safetensors_file.read(out / "model.safetensors")
        self.assertEqual(tensors["model.layers.0.mlp.up_proj.weight"].dtype, "I8")
        self.assertEqual(tensors["model.layers.0.self_attn.q_proj.weight"].dtype, "BF16")

    def test_bad_recipe(self):
        model = tiny_models.write_llama(self.folder / "model")
        recipe = self.folder / "recipe.yaml"
        recipe.write_text("quant_cfg:\n  - {quantizer_nam: '*', enable: false}\n")
        finished = lathe("quantize", model, "-o", self.folder / "out", "--recipe", recipe)
        self.assertIn(finished.code, (USER_ERROR, DATA_ERROR), str(finished))
        self.assertIn("recipe.yaml", finished.stderr)
        self.assertIn("quantizer_nam", finished.stderr)
        self.assert_untouched("model", "recipe.yaml")


class Plan(ProgramTest):
    def setUp(self):
        super().setUp()
        self.model = tiny_models.write_llama(self.folder / "model", layers=3)

    def test_folds_layers(self):
        finished = self.succeed("plan", self.model, "--format", "w4a16_nvfp4")
        self.assertIn("model.layers.[0-2].mlp.down_proj.weight", finished.stdout)
        self.assertLess(len(finished.stdout.splitlines()), 25)
        self.assert_untouched("model")

    def test_promises_what_quantize_does(self):
        ids = tiny_models.write_ids(self.folder / "ids.safetensors")
        arguments = (self.model, "-o", self.folder / "out", "--format", "nvfp4", "--calib", ids, "--seq-len", 32, "--json")
        plan = self.succeed("plan", *arguments).json()
        report = self.succeed("quantize", *arguments).json()
        self.assertEqual(plan, report["plan"])
        self.assertEqual(plan["bytes_written"], report["written"]["bytes"])
        self.assertIn([f"model.layers.1.self_attn.{name}_proj" for name in "qkv"], plan["groups"])
        total = sum(row["bytes_out"] for row in plan["tensors"])
        self.assertEqual(total, plan["bytes_written"])

    def test_report(self):
        page = self.folder / "plan.html"
        self.succeed("plan", self.model, "--format", "int8_wo", "--report", page)
        reader = PageReader()
        reader.feed(page.read_text())
        self.assertEqual(reader.open, [])
        self.assertIn("model.layers.[0-2].mlp.down_proj.weight", reader.text)


if __name__ == "__main__":
    unittest.main()
