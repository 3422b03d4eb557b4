"""Checkpoints of unknown architectures: tensor by tensor, rules by name and shape."""

import json
import random
import struct

import safetensors_file
from program import GOLDEN, ProgramTest
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
        folder.mkdir()
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

    def test_many_small_tensors(self):
        source = random.Random(4)
        blocks = [f"units.{i}.{name}.weight" for i in range(2000) for name in ("a", "b")]
        shared = random_weight(source, 16, 32)
        finished, made = self.quantize(self.write({name: shared for name in blocks}), "int8_wo")
        self.assertEqual(len(made), 2 * len(blocks))
        self.assertIn(f"{len(blocks)} tensors quantized", finished.stdout)
