"""`run`, `eval` and `inspect` on models with known answers."""

import math
import struct
import unittest

import safetensors_file
import tiny_models
from program import GOLDEN, USER_ERROR, ProgramTest, lathe


class Run(ProgramTest):
    def test_logits_of_transformers(self):
        model = GOLDEN.parent / "unit" / "frontends" / "golden" / "llama_options"
        expected = safetensors_file.read(model / "expected.safetensors")
        safetensors_file.write(self.folder / "in.safetensors", {"input_ids": expected["input_ids"]})
        out = self.folder / "out.safetensors"
        finished = self.succeed("run", model, "--inputs", self.folder / "in.safetensors", "-o", out, "--dtype", "float32")
        self.assertIn("logits", finished.stdout)
        logits = safetensors_file.read(out)["logits"]
        self.assertEqual(logits.shape, expected["logits"].shape)
        found, wanted = safetensors_file.floats(logits), safetensors_file.floats(expected["logits"])
        errors = [abs(a - b) for a, b in zip(found, wanted)]
        self.assertLess(max(errors), 1e-4 * max(map(abs, wanted)))

    def test_warns_of_names_that_are_not_taken(self):
        model = tiny_models.write_llama(self.folder / "model")
        ids = safetensors_file.ids([[1, 2, 3]])
        safetensors_file.write(self.folder / "in.safetensors", {"input_ids": ids, "pixel_values": ids})
        finished = self.succeed("run", model, "--inputs", self.folder / "in.safetensors", "-o", self.folder / "out.safetensors")
        self.assertIn('warning: the model takes no "pixel_values"', finished.stderr)
        self.assertNotIn("input_ids", finished.stderr)

    def test_missing_input(self):
        model = tiny_models.write_llama(self.folder / "model")
        safetensors_file.write(self.folder / "in.safetensors", {"ids": safetensors_file.ids([[1, 2, 3]])})
        finished = lathe("run", model, "--inputs", self.folder / "in.safetensors", "-o", self.folder / "out.safetensors")
        self.assertEqual(finished.code, USER_ERROR, str(finished))
        self.assertIn("error: ", finished.stderr)
        self.assertIn("input_ids", finished.stderr)
        self.assert_untouched("model", "in.safetensors")

    def test_output_is_not_overwritten(self):
        model = tiny_models.write_llama(self.folder / "model")
        safetensors_file.write(self.folder / "in.safetensors", {"input_ids": safetensors_file.ids([[1, 2, 3]])})
        out = self.folder / "out.safetensors"
        out.write_bytes(b"mine")
        arguments = ("run", model, "--inputs", self.folder / "in.safetensors", "-o", out)
        self.fail_with(USER_ERROR, *arguments, says=[out, "--force"])
        self.assertEqual(out.read_bytes(), b"mine")
        self.succeed(*arguments, "--force")
        self.assertIn("logits", safetensors_file.read(out))


class Eval(ProgramTest):
    def setUp(self):
        super().setUp()
        self.model = tiny_models.write_llama(self.folder / "model")
        self.rows = [[(7 * i + row) % 256 for i in range(16)] for row in range(4)]
        self.ids = self.folder / "ids.safetensors"
        safetensors_file.write(self.ids, {"input_ids": safetensors_file.ids(self.rows)})

    def loss_from_logits(self):
        """The mean negative log-likelihood by the logits that `run` gives."""
        out = self.folder / "logits.safetensors"
        self.succeed("run", self.model, "--inputs", self.ids, "-o", out, "--dtype", "float32")
        logits = safetensors_file.floats(safetensors_file.read(out)["logits"])
        losses = []
        for row, ids in enumerate(self.rows):
            for position, following in enumerate(ids[1:]):
                start = (row * len(ids) + position) * tiny_models.VOCABULARY
                values = logits[start : start + tiny_models.VOCABULARY]
                losses.append(math.log(sum(map(math.exp, values))) - values[following])
        return sum(losses) / len(losses), len(losses)

    def test_perplexity(self):
        found = self.succeed("eval", self.model, "--ids", self.ids, "--dtype", "float32", "--json").json()
        loss, tokens = self.loss_from_logits()
        self.assertEqual(found["tokens"], tokens)
        self.assertAlmostEqual(found["loss"], loss, places=4)
        self.assertAlmostEqual(found["perplexity"], math.exp(found["loss"]), places=6)
        self.assertGreater(found["perplexity_error"], 0)
        self.assertNotIn("divergence", found)

    def test_divergence_from_itself_is_zero(self):
        arguments = ("eval", self.model, "--ids", self.ids, "--reference", self.model)
        divergence = self.succeed(*arguments, "--json").json()["divergence"]
        self.assertAlmostEqual(divergence["mean"], 0, places=9)
        self.assertEqual(divergence["same_top"], 1)
        self.assertIn("KL divergence", self.succeed(*arguments).stdout)

    def test_divergence_of_a_quantized_model(self):
        out = self.folder / "out"
        self.succeed("quantize", self.model, "-o", out, "--format", "w4a16_nvfp4")
        divergence = self.succeed("eval", out, "--ids", self.ids, "--reference", self.model, "--json").json()["divergence"]
        self.assertGreater(divergence["mean"], 0)
        self.assertLess(divergence["mean"], 1)

    def test_samples_and_length(self):
        found = self.succeed("eval", self.model, "--ids", self.ids, "--samples", 2, "--seq-len", 8, "--json").json()
        self.assertEqual(found["tokens"], 2 * 7)

    def test_npy(self):
        header = str({"descr": "<i8", "fortran_order": False, "shape": (4, 16)}).ljust(117) + "\n"
        flat = [token for row in self.rows for token in row]
        path = self.folder / "ids.npy"
        path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() +
                         struct.pack(f"<{len(flat)}q", *flat))
        first = self.succeed("eval", self.model, "--ids", path, "--json").json()
        second = self.succeed("eval", self.model, "--ids", self.ids, "--json").json()
        self.assertEqual(first["loss"], second["loss"])


class Inspect(ProgramTest):
    def setUp(self):
        super().setUp()
        self.model = tiny_models.write_llama(self.folder / "model")

    def test_plain_model(self):
        found = self.succeed("inspect", self.model, "--json").json()
        self.assertEqual(found["architecture"], "LlamaForCausalLM")
        self.assertEqual(found["bits_per_weight"], 16)
        tensors = safetensors_file.read(self.model / "model.safetensors")
        self.assertEqual(found["bytes"], sum(len(tensor.data) for tensor in tensors.values()))
        self.assertEqual({row["name"]: row["shape"] for row in found["tensors"]},
                         {name: tensor.shape for name, tensor in tensors.items()})

    def test_quantized_model(self):
        self.succeed("quantize", self.model, "-o", self.folder / "out", "--format", "w4a16_nvfp4")
        found = self.succeed("inspect", self.folder / "out", "--json").json()
        self.assertEqual(found["quant_algo"], "W4A16_NVFP4")
        parameters = self.succeed("inspect", self.model, "--json").json()["parameters"]
        self.assertEqual(found["parameters"], parameters)
        self.assertLess(found["bits_per_weight"], 16)

    def test_table(self):
        folded = self.succeed("inspect", self.model).stdout
        self.assertIn("model.layers.[0-1].mlp.up_proj.weight", folded)
        every = self.succeed("inspect", self.model, "--all").stdout
        self.assertIn("model.layers.1.mlp.up_proj.weight", every)


if __name__ == "__main__":
    unittest.main()
