"""Which layers of a checkpoint have one scale between them, as engines that fuse these layers need it."""

import shutil
import struct
import unittest

import safetensors_file
from program import GOLDEN, ProgramTest
from safetensors_file import Tensor

LAYER = "model.layers.1."
ATTENTION = [LAYER + f"self_attn.{name}_proj." for name in "qkv"]
MLP = [LAYER + f"mlp.{name}_proj." for name in ("gate", "up")]
EXPERTS = 4

# Of each format: what is shared in any case, and what --no-fuse-scales leaves to each layer. All that a layer has beside
# is its own.
FORMATS = {
    "fp8": (["input_scale"], ["weight_scale"]),
    "fp8_pc_pt": ([], []),
    "int8": (["input_scale"], []),
    "int8_wo": ([], []),
    "nvfp4": (["weight_scale_2", "input_scale"], []),
    "w4a16_nvfp4": (["weight_scale_2"], []),
    "w4a8_nvfp4_fp8": (["weight_scale_2", "input_scale"], []),
    "mxfp8": ([], []),
    "mxfp4": ([], []),
}
PARTS = ["weight_scale", "weight_scale_2", "input_scale"]
GLOBAL_PARTS = {"weight_global_scale": "weight_scale_2", "input_global_scale": "input_scale"}


def expert(index, name):
    return LAYER + f"mlp.experts.{index}.{name}_proj."


def with_distinct_weights(source, folder):
    """A copy of a bfloat16 model in which every projection has a largest weight of its own."""
    folder.mkdir()
    shutil.copy(source / "config.json", folder)
    tensors = safetensors_file.read(source / "model.safetensors")
    projections = sorted(name for name in tensors if name.endswith("_proj.weight"))
    for index, name in enumerate(projections):
        largest = struct.pack("<H", 0x3f80 + index)  # 1 + index / 128
        tensors[name] = Tensor("BF16", tensors[name].shape, largest + tensors[name].data[2:])
    safetensors_file.write(folder / "model.safetensors", tensors)
    return folder


class SharedScales(ProgramTest):
    def setUp(self):
        super().setUp()
        self.llama = with_distinct_weights(GOLDEN / "modelopt" / "llama" / "base", self.folder / "llama")
        self.moe = with_distinct_weights(GOLDEN / "modelopt" / "qwen3_moe" / "base", self.folder / "moe")
        self.ids = self.folder / "ids.safetensors"
        safetensors_file.write(self.ids, {"input_ids": safetensors_file.ids(
            [[(7 * row + 3 * column + row * column) % 200 for column in range(32)] for row in range(4)])})

    def quantize(self, model, form, *more):
        out = self.folder / "out"
        self.succeed("quantize", model, "-o", out, "--format", form, "--calib", self.ids, "--force", "--quiet", *more)
        return safetensors_file.read(out / "model.safetensors")

    def shared_parts(self, tensors, paths):
        """The parts that all `paths` have with the same bytes. Fails where only some share them, or have them."""
        shared = []
        for part in PARTS + list(GLOBAL_PARTS):
            found = {tensors[path + part].data for path in paths if path + part in tensors}
            count = sum(path + part in tensors for path in paths)
            self.assertIn(count, (0, len(paths)), part)
            if count and len(found) == 1:
                shared.append(GLOBAL_PARTS.get(part, part))
        return shared

    def assert_shared(self, tensors, paths, expected):
        self.assertEqual(self.shared_parts(tensors, paths), sorted(expected, key=PARTS.index), paths[0])

    def test_queries_keys_values_and_gate_up(self):
        for form, (always, fused) in FORMATS.items():
            for more, expected in (([], always + fused), (["--no-fuse-scales"], always)):
                with self.subTest(f"{form} {more}"):
                    tensors = self.quantize(self.llama, form, *more)
                    self.assert_shared(tensors, ATTENTION, expected)
                    self.assert_shared(tensors, MLP, expected)

    def test_layers_of_their_own_share_nothing(self):
        for form in FORMATS:
            with self.subTest(form):
                tensors = self.quantize(self.llama, form)
                self.assert_shared(tensors, [LAYER + "self_attn.o_proj.", LAYER + "mlp.down_proj."], [])
                self.assert_shared(tensors, [ATTENTION[0], ATTENTION[0].replace(".1.", ".0.")], [])

    def test_experts(self):
        """Gate and up of an expert are one weight to engines, whatever is asked; inputs have one scale a projection for
        all experts of a layer; their weights have each their own."""
        for form, (always, fused) in FORMATS.items():
            for more in ([], ["--no-fuse-scales"]):
                with self.subTest(f"{form} {more}"):
                    tensors = self.quantize(self.moe, form, *more)
                    for index in range(EXPERTS):
                        pair = [expert(index, name) for name in ("gate", "up")]
                        self.assert_shared(tensors, pair, always + fused)
                    inputs = [part for part in always if part == "input_scale"]
                    for name in ("gate", "up", "down"):
                        self.assert_shared(tensors, [expert(index, name) for index in range(EXPERTS)], inputs)
                    self.assert_shared(tensors, ATTENTION, always + ([] if more else fused))

    def test_experts_without_tokens_have_the_scale_of_the_others(self):
        """Of one token few experts see anything."""
        safetensors_file.write(self.ids, {"input_ids": safetensors_file.ids([[5, 5]])})
        for form in ("fp8", "int8", "nvfp4", "w4a8_nvfp4_fp8"):
            with self.subTest(form):
                tensors = self.quantize(self.moe, form)
                for name in ("gate", "up", "down"):
                    self.assertIn("input_scale", self.shared_parts(
                        tensors, [expert(index, name) for index in range(EXPERTS)]))
                    scale = safetensors_file.floats(tensors[expert(0, name) + "input_scale"])[0]
                    self.assertTrue(1e-6 < scale < 1e6, name)

    def test_weights_of_one_block(self):
        """Of 128 x 128: q, k and v of the tiny model are one block each, and gate and up two."""
        for more in ([], ["--no-fuse-scales"]):
            tensors = self.quantize(self.llama, "fp8_pb_wo", *more)
            self.assert_shared(tensors, ATTENTION, ["weight_scale"])
            self.assert_shared(tensors, MLP, [])
            self.assert_shared(tensors, [ATTENTION[0], LAYER + "self_attn.o_proj."], [])

    def test_of_each_dialect_and_target(self):
        """What one target asks of fused layers is written for all of them, also where scales are asked to stay apart."""
        for dialect, forms in (("modelopt", {"fp8": ["vllm", "sglang", "trtllm"], "nvfp4": ["vllm", "sglang", "trtllm"]}),
                               ("compressed-tensors", {"nvfp4": ["vllm", "sglang", "transformers"],
                                                       "fp8": ["vllm", "sglang", "transformers"]})):
            for form, targets in forms.items():
                for target in targets:
                    for more in ([], ["--no-fuse-scales"]):
                        with self.subTest(f"{form} {dialect} {target} {more}"):
                            tensors = self.quantize(self.llama, form, "--dialect", dialect, "--target", target, *more)
                            always, fused = FORMATS[form]
                            expected = sorted(always + ([] if more else fused), key=PARTS.index)
                            for paths in (ATTENTION, MLP):
                                self.assertEqual(sorted(self.shared_parts(tensors, paths), key=PARTS.index), expected)


if __name__ == "__main__":
    unittest.main()
