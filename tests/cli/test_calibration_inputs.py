"""`--calib` for models that take more than token ids: pictures, sounds, two sequences, masks."""

import json
import struct

import safetensors_file
import tiny_models
from program import DATA_ERROR, GOLDEN, USER_ERROR, ProgramTest
from safetensors_file import Tensor

DATA = GOLDEN / "calibration"
EXPECTED = json.loads((DATA / "amax.json").read_text())
LARGEST = {"fp8": 448.0, "int8": 127.0}


class CalibrationInputs(ProgramTest):
    def setUp(self):
        super().setUp()
        self.out = self.folder / "out"

    def quantize(self, name, form="fp8", *more):
        return self.succeed("quantize", GOLDEN / "hf" / name, "-o", self.out, "--format", form, "--calib",
                            DATA / f"{name}.safetensors", "--force", *more)

    def inputs(self, name, **changes):
        """The inputs of a model with other tensors, or without those that are None."""
        tensors = {**safetensors_file.read(DATA / f"{name}.safetensors"), **changes}
        path = self.folder / "inputs.safetensors"
        safetensors_file.write(path, {name: tensor for name, tensor in tensors.items() if tensor is not None})
        return path

    def refuse(self, name, calibration, *says, code=DATA_ERROR, more=()):
        arguments = [GOLDEN / "hf" / name, "--format", "fp8", "--calib", calibration, *more]
        self.fail_with(code, "quantize", *arguments, "-o", self.out, says=says)
        planned = self.fail_plan(*arguments)
        for text in says:
            self.assertIn(text, planned)

    def fail_plan(self, *arguments):
        from program import lathe
        finished = lathe("plan", *arguments)
        self.assertIn(finished.code, (USER_ERROR, DATA_ERROR), str(finished))
        return finished.stderr

    def test_scales_are_those_of_what_transformers_sees(self):
        for form, largest in LARGEST.items():
            for name, expected in EXPECTED.items():
                with self.subTest(f"{name} {form}"):
                    self.quantize(name, form)
                    found = safetensors_file.read(self.out / "model.safetensors")
                    scales = {path.removesuffix(".input_scale"): safetensors_file.floats(tensor)[0]
                              for path, tensor in found.items() if path.endswith(".input_scale")}
                    self.assertGreaterEqual(len(scales), len(expected) - 2)
                    for path, scale in scales.items():
                        self.assertAlmostEqual(scale * largest / expected[path], 1.0, delta=0.03, msg=path)

    def test_the_checkpoint_runs_again(self):
        for form in ("fp8", "int8"):
            for name in EXPECTED:
                with self.subTest(f"{name} {form}"):
                    self.quantize(name, form)
                    outputs = []
                    for model in (self.out, self.requantized(form)):
                        path = self.folder / "result.safetensors"
                        self.succeed("run", model, "--inputs", DATA / f"{name}.safetensors", "-o", path, "--force")
                        outputs.append({key: tensor.data for key, tensor in safetensors_file.read(path).items()})
                    self.assertEqual(*outputs)

    def requantized(self, form):
        """What keeps all codes and scales of the checkpoint."""
        again = self.folder / "again"
        self.succeed("quantize", self.out, "-o", again, "--format", form, "--force")
        return again

    def test_samples_are_counted(self):
        plan = self.quantize("vit", "fp8", "--samples", "4", "--json").json()["plan"]
        self.assertEqual(plan["calibration_samples"], 4)

    def test_a_mask_counts(self):
        self.quantize("bert")
        masked = (self.out / "model.safetensors").read_bytes()
        data = self.inputs("bert", attention_mask=None)
        self.succeed("quantize", GOLDEN / "hf" / "bert", "-o", self.out, "--format", "fp8", "--calib", data, "--force")
        self.assertNotEqual(masked, (self.out / "model.safetensors").read_bytes())

    def test_missing_inputs_are_named(self):
        self.refuse("whisper", self.inputs("whisper", decoder_input_ids=None), 'there is no tensor "decoder_input_ids"',
                    "the file has input_features")
        self.refuse("t5", self.inputs("t5", input_ids=None), 'there is no tensor "input_ids"',
                    "the file has decoder_input_ids")

    def test_shapes_and_kinds_are_checked(self):
        pixels = safetensors_file.read(DATA / "vit.safetensors")["pixel_values"]
        wrong = Tensor("F32", [pixels.shape[0] * pixels.shape[1], 1, *pixels.shape[2:]], pixels.data)
        self.refuse("vit", self.inputs("vit", pixel_values=wrong), '"pixel_values" is F32', "the model takes F32 [any, 3")
        whole = Tensor("I32", pixels.shape, pixels.data)
        self.refuse("vit", self.inputs("vit", pixel_values=whole), '"pixel_values" is I32')
        large = safetensors_file.ids([[3, 9_000_000]] * 6)
        self.refuse("t5", self.inputs("t5", decoder_input_ids=large), '"decoder_input_ids" holds 9000000')
        few = safetensors_file.ids([[3, 4]] * 5)
        self.refuse("t5", self.inputs("t5", decoder_input_ids=few), "holds 6 samples", "5")
        nan = Tensor("F32", pixels.shape, struct.pack("<f", float("nan")) + pixels.data[4:])
        self.refuse("vit", self.inputs("vit", pixel_values=nan), "NaN")

    def test_unknown_names_are_warned_of(self):
        labels = self.inputs("vit", labels=safetensors_file.ids([[1]] * 6))
        finished = self.succeed("quantize", GOLDEN / "hf" / "vit", "-o", self.out, "--format", "fp8", "--calib", labels)
        self.assertIn('the model takes no "labels"', finished.stderr)

    def test_text_is_refused_where_it_is_not_enough(self):
        text = self.folder / "text.txt"
        text.write_text("words " * 400)
        for name, needed in (("vit", "pixel_values"), ("whisper", "input_features and decoder_input_ids"),
                             ("t5", "input_ids and decoder_input_ids")):
            for data in (text, "builtin"):
                with self.subTest(f"{name} {data}"):
                    self.refuse(name, data, f"takes {needed}", ".npz", code=USER_ERROR)

    def test_text_does_for_an_encoder(self):
        model = self.folder / "bert"
        model.mkdir()
        for file in ("config.json", "model.safetensors"):
            (model / file).write_bytes((GOLDEN / "hf" / "bert" / file).read_bytes())
        (model / "tokenizer.json").write_text(json.dumps(tiny_models.byte_tokenizer()))
        text = self.folder / "text.txt"
        text.write_text("words " * 400)
        # As many tokens a sample as the model has positions.
        plan = self.succeed("quantize", model, "-o", self.out, "--format", "fp8", "--calib", text, "--samples", "2",
                            "--json").json()["plan"]
        positions = json.loads((model / "config.json").read_text())["max_position_embeddings"]
        self.assertEqual(plan["calibration_tokens"], 2 * min(positions, 512))

    def test_data_is_asked_for_by_name(self):
        self.fail_with(USER_ERROR, "quantize", GOLDEN / "hf" / "vit", "-o", self.out, "--format", "fp8",
                       says=[".npz) with pixel_values"])

    def test_perplexity_is_that_of_decoders(self):
        text = self.folder / "text.txt"
        text.write_text("words " * 400)
        for name in EXPECTED:
            with self.subTest(name):
                self.fail_with(USER_ERROR, "eval", GOLDEN / "hf" / name, "--text", text, says=["has a perplexity", "lathe run"])
                self.fail_with(USER_ERROR, "quantize", GOLDEN / "hf" / name, "-o", self.out, "--format", "fp8_pc_pt",
                               "--eval-text", text, says=["--eval-text", "has a perplexity"])
