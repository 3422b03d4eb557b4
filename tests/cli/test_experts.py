"""Mixtures of experts: who saw how many tokens, and calibration of all experts with all tokens."""

import json

import safetensors_file
from program import GOLDEN, ProgramTest

MODEL = GOLDEN / "hf" / "qwen3_moe"
TOKENS = 4 * 16


class Experts(ProgramTest):
    def setUp(self):
        super().setUp()
        self.ids = self.folder / "ids.safetensors"
        safetensors_file.write(self.ids, {"input_ids": safetensors_file.ids(
            [[(7 * row + 3 * column) % 60 for column in range(16)] for row in range(4)])})
        self.config = json.loads((MODEL / "config.json").read_text())

    def quantize(self, name, *arguments):
        out = self.folder / name
        finished = self.succeed("quantize", MODEL, "-o", out, "--format", "fp8", "--calib", self.ids, *arguments)
        return finished, safetensors_file.read(out / "model.safetensors")

    def test_table(self):
        page = self.folder / "report.html"
        finished, _ = self.quantize("out", "--report", page)
        self.assertIn("tokens by expert", finished.stdout)
        self.assertIn("model.layers.0.mlp.experts", finished.stdout)
        self.assertIn("Tokens by expert", page.read_text())

    def test_json(self):
        finished, _ = self.quantize("out", "--json")
        experts = finished.json()["experts"]
        self.assertEqual(len(experts), self.config["num_hidden_layers"])
        for block in experts:
            self.assertEqual(len(block["tokens"]), self.config["num_local_experts"])
            self.assertEqual(sum(block["tokens"]), TOKENS * self.config["num_experts_per_tok"])

    def test_unseen_experts_are_warned_of_and_have_scales(self):
        safetensors_file.write(self.ids, {"input_ids": safetensors_file.ids([[5, 5]])})
        finished, tensors = self.quantize("out")
        self.assertIn("experts saw no token", finished.stderr)
        for name, tensor in tensors.items():
            if name.endswith("_scale"):
                self.assertTrue(0 < safetensors_file.floats(tensor)[0] < 1e30, name)

    def test_all_experts(self):
        routed, few = self.quantize("routed", "--json")
        all_tokens, many = self.quantize("all", "--calib-all-experts", "--json")
        self.assertEqual(routed.json()["experts"], all_tokens.json()["experts"])
        wider = 0
        for name in few:
            if not name.endswith("input_scale"):
                self.assertEqual(few[name].data, many[name].data, name)
            elif ".experts." in name:
                before, after = safetensors_file.floats(few[name])[0], safetensors_file.floats(many[name])[0]
                self.assertGreaterEqual(after, before, name)
                wider += after > before
            else:
                self.assertEqual(few[name].data, many[name].data, name)
        self.assertGreater(wider, 0)
