"""Makes golden/ (numpy, ml_dtypes): python make_golden.py REFERENCE_FOLDER

elements.txt   what ml_dtypes says of each float element: the float32 bits of every code, and for every positive code
               the bits of the smallest float32 that rounds to it (rounding is monotone: this is the whole function)
modelopt/*.bin the down projection of layer 0 of modelopt/llama in the reference folder: its weight, and what
               nvidia-modelopt 0.47 exported for it (the first ROWS rows, where rows do not depend on each other)
"""

import json
import pathlib
import struct
import sys

import ml_dtypes
import numpy as np

GOLDEN = pathlib.Path(__file__).parent / "golden"
ROWS = 32
TENSOR = "model.layers.0.mlp.down_proj."
# dtype, bits, the code of the largest finite value
ELEMENTS = {
    "e4m3": (ml_dtypes.float8_e4m3fn, 8, 0x7E),
    "e5m2": (ml_dtypes.float8_e5m2, 8, 0x7B),
    "e2m1": (ml_dtypes.float4_e2m1fn, 4, 0x07),
    "e3m2": (ml_dtypes.float6_e3m2fn, 6, 0x1F),
    "e2m3": (ml_dtypes.float6_e2m3fn, 6, 0x1F),
}
PRESETS = {
    "nvfp4": "NVFP4_DEFAULT_CFG",
    "nvfp4_block_32": "W4A8_NVFP4_FP8_CFG",
    "mxfp8": "MXFP8_DEFAULT_CFG",
    "mxfp4": "MXFP4_DEFAULT_CFG",
    "int8_per_channel": "INT8_WEIGHT_ONLY_CFG",
    "int4_block": "INT4_BLOCKWISE_WEIGHT_ONLY_CFG",
    "fp8": "FP8_DEFAULT_CFG",
    "fp8_per_channel": "FP8_PER_CHANNEL_PER_TOKEN_CFG",
    "fp8_block_2d": "FP8_2D_BLOCKWISE_WEIGHT_ONLY_CFG",
}


def first_float_of(code, encode):
    """The bits of the smallest float32 whose code is at least `code`."""
    low, high = 0, 0x7F7FFFFF
    while low < high:
        middle = (low + high) // 2
        if encode(middle) >= code:
            high = middle
        else:
            low = middle + 1
    return low


def write_elements():
    lines = []
    for name, (dtype, width, max_code) in ELEMENTS.items():

        def encode(bits):
            return int(np.array([bits], np.uint32).view(np.float32).astype(dtype).view(np.uint8)[0])

        codes = np.arange(1 << width, dtype=np.uint16).astype(np.uint8)
        values = codes.view(dtype).astype(np.float32).view(np.uint32)
        firsts = [first_float_of(code, encode) for code in range(1, max_code + 1)]
        lines.append(" ".join([name, "decode"] + [f"{v:08x}" for v in values]))
        lines.append(" ".join([name, "first"] + [f"{v:08x}" for v in firsts]))
    (GOLDEN / "elements.txt").write_text("\n".join(lines) + "\n")


def read_tensors(path, prefix):
    """The raw bytes and shapes of the tensors whose names start with `prefix`."""
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    tensors = {}
    for name, entry in json.loads(data[8 : 8 + size]).items():
        if name.startswith(prefix):
            begin, end = entry["data_offsets"]
            tensors[name[len(prefix) :]] = (data[8 + size + begin : 8 + size + end], entry["shape"])
    return tensors


def write_modelopt(reference):
    folder = GOLDEN / "modelopt"
    folder.mkdir(parents=True, exist_ok=True)
    weight, shape = read_tensors(reference / "base/model.safetensors", TENSOR)["weight"]
    (folder / "weight.bin").write_bytes(weight)
    for name, preset in PRESETS.items():
        tensors = read_tensors(reference / preset / "export/model.safetensors", TENSOR)
        for kind in ("weight", "weight_scale", "weight_scale_2"):
            if kind not in tensors:
                continue
            data, _ = tensors[kind]
            share = 1 if name == "fp8_block_2d" or len(data) == 4 else shape[0] // ROWS
            (folder / f"{name}.{kind}.bin").write_bytes(data[: len(data) // share])


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    write_elements()
    write_modelopt(pathlib.Path(sys.argv[1]) / "modelopt/llama")
