"""Programs of torch.export: quantized into programs, with data for their inputs by name."""

import struct
import zipfile

import safetensors_file
from program import DATA_ERROR, GOLDEN, USER_ERROR, ProgramTest

PROGRAMS = GOLDEN / "torch_export" / "v2_11"


def npy(tensor):
    """A float32 tensor as NumPy writes it, version 1.0."""
    shape = "".join(f"{size}, " for size in tensor.shape)
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + tensor.data


class Programs(ProgramTest):
    def setUp(self):
        super().setUp()
        tensors = safetensors_file.read(PROGRAMS / "resnet_dynamic.safetensors")
        self.inputs = {name.removeprefix("0.input."): tensor for name, tensor in tensors.items()
                       if name.startswith("0.input.")}
        self.calib = self.folder / "calib.safetensors"
        safetensors_file.write(self.calib, self.inputs)
        self.net = PROGRAMS / "resnet_dynamic.pt2"
        self.out = self.folder / "out.pt2"

    def quantize(self, *arguments):
        return self.succeed("quantize", self.net, "-o", self.out, "--format", "int8", *arguments)

    def test_npz_is_as_safetensors(self):
        npz = self.folder / "calib.npz"
        with zipfile.ZipFile(npz, "w") as archive:
            for name, tensor in self.inputs.items():
                archive.writestr(f"{name}.npy", npy(tensor))
        self.quantize("--calib", self.calib)
        expected = self.out.read_bytes()
        self.quantize("--calib", npz, "--force")
        self.assertEqual(self.out.read_bytes(), expected)

    def test_output_runs_and_is_near_the_original(self):
        finished = self.quantize("--calib", self.calib, "--json").json()
        self.assertGreater(finished["written"]["quantized_tensors"], 0)
        before, after = self.folder / "before.safetensors", self.folder / "after.safetensors"
        for model, out in (self.net, before), (self.out, after):
            self.succeed("run", model, "--inputs", self.calib, "-o", out)
        for name, tensor in safetensors_file.read(before).items():
            values = [value for value, in struct.iter_unpack("<f", tensor.data)]
            changed = [value for value, in struct.iter_unpack("<f", safetensors_file.read(after)[name].data)]
            error = sum((a - b) ** 2 for a, b in zip(values, changed, strict=True))
            self.assertGreater(error, 0)
            self.assertLess(error, 0.01 * sum(a * a for a in values))

    def test_state_names_quantizers(self):
        self.quantize("--calib", self.calib)
        state = safetensors_file.read(self.folder / "out.state.safetensors")
        self.assertIn("conv1.input_quantizer._amax", state)

    def test_nothing_is_overwritten(self):
        self.quantize("--calib", self.calib)
        self.fail_with(USER_ERROR, "quantize", self.net, "-o", self.out, "--format", "int8", "--calib", self.calib,
                       says=["out.pt2", "--force"])

    def test_an_input_that_is_missing_is_named(self):
        name, tensor = next(iter(self.inputs.items()))
        safetensors_file.write(self.calib, {"other": tensor})
        self.fail_with(DATA_ERROR, "quantize", self.net, "-o", self.out, "--format", "int8", "--calib", self.calib,
                       says=[f'"{name}"', "the program takes"])
        self.assert_untouched("calib.safetensors")
