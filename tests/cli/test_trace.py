"""`trace`: symbols of exported nets, views of language models, drawings."""

import json
import unittest
import xml.etree.ElementTree

from program import GOLDEN, USER_ERROR, ProgramTest, lathe

NETS = GOLDEN / "trace"
LLAMA = GOLDEN / "hf" / "llama"
KEYS = ["searchable", "links", "unsortable", "skippable"]


class Symbols(ProgramTest):
    def test_are_the_peers_by_its_rules(self):
        expected = json.loads((NETS / "expected.json").read_text())
        for name in ["ExampleModel1", "ConcatModel8", "LinearModel7", "DepthModel3"]:
            finished = self.succeed("trace", NETS / f"{name}.pt2", "--rules", "modelopt", "--json")
            found = json.loads(finished.stdout)
            self.assertEqual({key: found[key] for key in KEYS}, {key: expected[name][key] for key in KEYS}, name)

    def test_of_attention(self):
        found = json.loads(self.succeed("trace", LLAMA, "--json").stdout)
        attention = "model.layers.0.self_attn."
        self.assertIn(attention + "k_proj.out_features.kv_heads", found["links"][attention + "q_proj.out_features.kv_heads"])
        width = "model.embed_tokens.embedding_dim"
        self.assertIn("lm_head.in_features", found["links"][width])
        self.assertTrue(found["units"][width]["has_statistics"])


class Views(ProgramTest):
    def test_language_model(self):
        text = self.succeed("trace", LLAMA).stdout
        for part in ["[0-", "LlamaDecoderLayer x", "feeds them alone", "qkv x", "gate-up x", "kv_heads"]:
            self.assertIn(part, text)

    def test_all_lists_each_layer(self):
        text = self.succeed("trace", LLAMA, "--all").stdout
        self.assertIn("model.layers.1.self_attn.q_proj ", text)

    def test_one_module_in_text_form(self):
        text = self.succeed("trace", NETS / "LinearModel7.pt2", "--module", "model.0").stdout
        self.assertIn("call_op aten::add.Tensor", text)
        finished = lathe("trace", NETS / "LinearModel7.pt2", "--module", "nowhere")
        self.assertEqual(finished.code, USER_ERROR)
        self.assertIn("nowhere", finished.stderr)


class Drawings(ProgramTest):
    def test_svg_has_every_kind_of_module(self):
        out = self.folder / "net.svg"
        self.succeed("trace", LLAMA, "--graph", out)
        words = [element.text or "" for element in xml.etree.ElementTree.parse(out).iter()]
        self.assertTrue(any("q_proj: Linear" in word for word in words))
        self.assertTrue(any("\u00d7" in word for word in words))

    def test_page(self):
        out = self.folder / "net.html"
        self.succeed("trace", NETS / "ExampleModel1.pt2", "--graph", out)
        self.assertIn("<svg", out.read_text())
        finished = lathe("trace", NETS / "ExampleModel1.pt2", "--graph", out)
        self.assertEqual(finished.code, USER_ERROR)
        self.assertIn("--force", finished.stderr)

    def test_other_endings(self):
        finished = lathe("trace", LLAMA, "--graph", self.folder / "net.png")
        self.assertEqual(finished.code, USER_ERROR)
        self.assertIn(".svg or .html", finished.stderr)


if __name__ == "__main__":
    unittest.main()
