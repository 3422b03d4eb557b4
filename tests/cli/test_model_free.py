"""Checkpoints of unknown architectures: tensor by tensor, rules by name and shape."""

import json
import random
import shutil
import struct

import safetensors_file
from program import DATA_ERROR, GOLDEN, USER_ERROR, ProgramTest
from safetensors_file import Tensor
from tiny_models import ones, random_weight

CONFIG = {"architectures": ["NovelForCausalLM"], "model_type": "novel"}


def zeros(dtype, size, *shape):
    count = 1
    for extent in shape:
        count *= extent
    return Tensor(dtype, shape, bytes(size * count))


class ModelFree(ProgramTest):
    def write(self, tensors):
        folder = self.folder / "model"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps(CONFIG))
        safetensors_file.write(folder / "model.safetensors", tensors)
        return folder

    def quantize(self, folder, name, *arguments):
        out = self.folder / "out"
        finished = self.succeed("quantize", folder, "-o", out, "--format", name, "--force", *arguments)
        return finished, safetensors_file.read(out / "model.safetensors")

    def test_rules(self):
        source = random.Random(0)
        weight = lambda *shape: random_weight(source, *shape)
        quantized = {"blocks.0.attn.wqkv.weight": weight(96, 32), "blocks.0.ffn.odd.weight": weight(48, 33),
                     "f16.weight": zeros("F16", 2, 16, 32), "deep.a.b.c.d.e.f.proj.weight": weight(32, 32)}
        kept = {"token_embedding.weight": weight(64, 32), "wte.weight": weight(64, 32), "lm_head.weight": weight(64, 32),
                "embed_tokens.weight": weight(64, 32), "patch_embed.conv.weight": weight(8, 3, 4, 4),
                "blocks.0.attn.wqkv.bias": ones(96), "blocks.0.norm.weight": ones(32),
                "blocks.0.mixer.A_log": weight(4, 16), "blocks.0.mixer.conv1d.weight": weight(32, 1, 4),
                "blocks.0.mlp.gate.weight": weight(16, 32), "blocks.0.mlp.router.weight": weight(16, 32),
                "relative_attention_bias.weight": weight(32, 4), "mtp.0.proj.weight": weight(32, 32),
                "vision_tower.layers.0.proj.weight": weight(32, 32), "visual.blocks.0.qkv.weight": weight(96, 32),
                "logit_scale": Tensor("F32", [], struct.pack("<f", 1.0)), "steps": zeros("I64", 8, 1),
                "mask": zeros("BOOL", 1, 4), "position_ids": zeros("I32", 4, 1, 16), "u16": zeros("U16", 2, 2),
                "ints.weight": zeros("I8", 1, 16, 32), "f64.weight": zeros("F64", 8, 16, 32),
                "f8.weight": zeros("F8_E4M3", 1, 16, 32), "f8b.weight": zeros("F8_E5M2", 1, 16, 32),
                "empty.weight": zeros("BF16", 2, 0, 32)}
        finished, made = self.quantize(self.write({**quantized, **kept}), "fp8_pc_pt", "--json")
        actions = {row["name"]: row["action"] for row in finished.json()["plan"]["tensors"]}
        for name in quantized:
            self.assertEqual(actions[name], "quantize", name)
            self.assertEqual(made[name].dtype, "F8_E4M3", name)
        for name, tensor in kept.items():
            self.assertEqual(actions[name], "copy", name)
            self.assertEqual((made[name].dtype, made[name].data), (tensor.dtype, tensor.data), name)

    def test_fused_experts(self):
        source = random.Random(1)
        experts = {"blocks.0.mlp.experts.gate_up_proj": random_weight(source, 3, 64, 48),
                   "blocks.0.mlp.experts.down_proj": random_weight(source, 3, 48, 32),
                   "blocks.1.mlp.experts.w1": random_weight(source, 3, 48, 32)}
        finished, made = self.quantize(self.write(experts), "int8_wo")
        for expert in range(3):
            path = f"blocks.0.mlp.experts.{expert}"
            self.assertEqual(made[f"{path}.gate_proj.weight"].shape, [32, 48])
            self.assertEqual(made[f"{path}.up_proj.weight"].shape, [32, 48])
            self.assertEqual(made[f"{path}.down_proj.weight"].dtype, "I8")
        self.assertIn("blocks.1.mlp.experts.w1: experts fused in one tensor", finished.stderr)

    def test_transposed_linears(self):
        """GPT-2 keeps its weights as [K, N]; quantized ones are [N, K], and Lathe reads them back."""
        source = GOLDEN / "hf" / "gpt2"
        out = self.folder / "out"
        self.succeed("quantize", source, "-o", out, "--format", "int8_wo")
        before, after = (safetensors_file.read(path / "model.safetensors") for path in (source, out))
        name = "transformer.h.0.mlp.c_fc.weight"
        rows, columns = before[name].shape
        self.assertEqual((after[name].dtype, after[name].shape), ("I8", [columns, rows]))
        scales = safetensors_file.floats(after["transformer.h.0.mlp.c_fc.weight_scale"])
        values = struct.unpack(f"<{rows * columns}H", before[name].data)
        number = lambda bits: struct.unpack("<f", struct.pack("<I", bits << 16))[0]
        for n in (0, 1, columns - 1):
            for k in range(rows):
                code = struct.unpack("<b", after[name].data[n * rows + k : n * rows + k + 1])[0]
                self.assertLessEqual(abs(code * scales[n] - number(values[k * columns + n])), 0.51 * scales[n])
        ids = self.folder / "ids.safetensors"
        safetensors_file.write(ids, {"input_ids": safetensors_file.ids([[5, 9, 3, 7, 1, 2, 8, 4]])})
        logits = []
        for model in (source, out):
            self.succeed("run", model, "--inputs", ids, "-o", self.folder / "y.safetensors", "--dtype", "float32",
                         "--force")
            logits.append(safetensors_file.floats(safetensors_file.read(self.folder / "y.safetensors")["logits"]))
        self.assertLess(max(abs(a - b) for a, b in zip(*logits)), 0.05 * max(map(abs, logits[0])))

    def test_scales_while_packing_are_those_of_a_calibration(self):
        folder = self.write({"layers.0.proj.weight": random_weight(random.Random(2), 2944, 512),
                             "layers.1.proj.weight": random_weight(random.Random(3), 256, 128)})
        for name in ("int4", "int8_wo", "fp8_pc_pt", "fp8_pb_wo", "w4a16_nvfp4", "mxfp8"):
            _, streamed = self.quantize(folder, name)
            # A report measures each layer, for which scales are computed before.
            _, calibrated = self.quantize(folder, name, "--report", self.folder / "report.html")
            self.assertEqual(set(streamed), set(calibrated))
            for tensor in streamed:
                self.assertEqual(streamed[tensor].data, calibrated[tensor].data, f"{name} {tensor}")

    def test_odd_names_and_shapes(self):
        source = random.Random(5)
        weight = lambda *shape: random_weight(source, *shape)
        quantized = {name + ".weight": weight(16, 32) for name in [
            "блок.0.вес", "with space. and more ", "smile🙂", 'quote"d', "back\\slash", "line\nbreak", "tab\t", "e\u0301",
            "long" * 3000, ".".join(["deep"] * 63), "0.1.2", "x.weight", "weight", "__metadata__.x", "a-b/c:d",
            "p", "p.weight_quantizer_"]}
        kept = {"weight": weight(16, 32), "scalar": Tensor("BF16", [], ones(1).data), "vector": ones(7),
                "none": zeros("F32", 4, 0), "n.weight": zeros("BF16", 2, 0, 32), "k.weight": zeros("BF16", 2, 32, 0),
                "all.weight": zeros("BF16", 2, 0, 0), "cube.weight": zeros("F16", 2, 2, 0, 3), "one.weight": ones(1),
                "p.weight_quantizer._amax": ones(1), "very.0.deep.norm.weight": ones(3)}
        for name in ("fp8_pc_pt", "w4a16_nvfp4"):
            _, made = self.quantize(self.write({**quantized, **kept}), name)
            self.assertEqual({tensor for tensor in made if "_scale" not in tensor}, {*quantized, *kept})
            for tensor in quantized:
                self.assertNotEqual(made[tensor].dtype, "BF16", tensor)
                self.assertIn(tensor + "_scale", made)
            for tensor, expected in kept.items():
                found = made[tensor]
                self.assertEqual((found.dtype, found.shape, found.data), (expected.dtype, expected.shape, expected.data))

    def test_names_that_cannot_be(self):
        for name in ("a..b", ".a", "a.", "", ".".join(["deep"] * 65)):
            self.fail_with(DATA_ERROR, "inspect", self.write({name: ones(1)}), says=["1 to 64 non-empty parts"])
        # A weight whose scale has its name taken already.
        folder = self.write({"a.weight": random_weight(random.Random(6), 16, 32), "a.weight_scale": ones(16)})
        self.fail_with(USER_ERROR, "quantize", folder, "-o", self.folder / "out", "--format", "fp8_pc_pt",
                       says=["a: the model has a weight_scale of its own"])

    def test_one_tensor_under_two_names(self):
        shared = random_weight(random.Random(7), 64, 32)
        folder = self.write({"first.proj.weight": shared, "second.proj.weight": shared, "lm_head.weight": shared,
                             "embed_tokens.weight": shared})
        _, made = self.quantize(folder, "int8_wo")
        for part in ("weight", "weight_scale"):
            self.assertEqual(made[f"first.proj.{part}"].data, made[f"second.proj.{part}"].data)
        for name in ("lm_head", "embed_tokens"):
            self.assertEqual(made[f"{name}.weight"].data, shared.data)

    def write_shards(self, shards, weight_map=None):
        """`shards`: file name -> tensors; the index is of these, or `weight_map`."""
        folder = self.folder / "sharded"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(CONFIG))
        for name, tensors in shards.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            safetensors_file.write(folder / name, tensors)
        found = {tensor: name for name, tensors in shards.items() for tensor in tensors}
        index = {"metadata": {}, "weight_map": weight_map or found}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        return folder

    def test_shards_in_folders_below(self):
        source = random.Random(8)
        tensors = {f"layers.{i}.proj.weight": random_weight(source, 32, 32) for i in range(3)}
        names = list(tensors)
        folder = self.write_shards({"x/1.safetensors": {names[0]: tensors[names[0]]},
                                    "x/y/1.safetensors": {names[1]: tensors[names[1]]},
                                    "2.safetensors": {names[2]: tensors[names[2]]}})
        _, nested = self.quantize(folder, "int8_wo")
        _, flat = self.quantize(self.write(tensors), "int8_wo")
        self.assertEqual({name: tensor.data for name, tensor in nested.items()},
                         {name: tensor.data for name, tensor in flat.items()})
        # A pipeline of models has its tensors in folders, and no index above them.
        (folder / "model.safetensors.index.json").unlink()
        (folder / "2.safetensors").unlink()
        self.fail_with(USER_ERROR, "inspect", folder, says=["x has some, give the path of one such folder"])

    def test_shards_and_index_that_disagree(self):
        a, b, c = {"a": ones(4)}, {"a": ones(4), "b": ones(4)}, {"a": ones(4), "c": ones(4)}
        cases = [(DATA_ERROR, {"1.safetensors": c, "2.safetensors": b}, None, 'tensor "a" is in both'),
                 (USER_ERROR, {"1.safetensors": a}, {"a": "1.safetensors", "b": "2.safetensors"}, "2.safetensors"),
                 (DATA_ERROR, {"1.safetensors": a}, {"a": "1.safetensors", "b": "1.safetensors"}, 'tensor "b" is not in'),
                 (DATA_ERROR, {"1.safetensors": b}, {"b": "1.safetensors"}, 'tensor "a" is not in weight_map'),
                 (DATA_ERROR, {"1.safetensors": a}, {"a": "../1.safetensors"}, "no plain file name")]
        for code, shards, weight_map, message in cases:
            folder = self.write_shards(shards, weight_map)
            for command in (["inspect", folder], ["quantize", folder, "-o", self.folder / "out", "--format", "int8_wo"]):
                self.fail_with(code, *command, says=[message])

    def test_many_small_tensors(self):
        source = random.Random(4)
        blocks = [f"units.{i}.{name}.weight" for i in range(2000) for name in ("a", "b")]
        shared = random_weight(source, 16, 32)
        finished, made = self.quantize(self.write({name: shared for name in blocks}), "int8_wo")
        self.assertEqual(len(made), 2 * len(blocks))
        self.assertIn(f"{len(blocks)} tensors quantized", finished.stdout)
