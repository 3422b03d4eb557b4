#!/usr/bin/env python3
"""Makes golden/ with the second implementations of each file format.

    pip install numpy safetensors gguf ml_dtypes
    python3 make_golden.py

The C++ tests read what these write, and compare what Lathe writes byte by byte.
"""

import json
import struct
from pathlib import Path

import gguf
import ml_dtypes
import numpy as np
from gguf.quants import dequantize, quantize
from safetensors.numpy import save_file

OUT = Path(__file__).parent / "golden"
RNG = np.random.default_rng(20240607)


def counting(count, dtype, shape):
    """0, 1, 2, ... : what the tests expect in every array."""
    return np.arange(count).astype(dtype).reshape(shape)


def make_safetensors():
    # Names in the order in which the wheel writes them: larger elements first, then by name. Lathe, given this order,
    # must write the same bytes.
    tensors = {
        "a.int64": counting(3, np.int64, (3,)),
        "b.float32": counting(6, np.float32, (2, 3)),
        "c.scalar": np.array(7, np.float32),
        "d.bfloat16": counting(5, ml_dtypes.bfloat16, (5, 1)),
        "e.\u00fc \"quoted\"": counting(4, np.uint8, (2, 2)),
        "f.empty": counting(0, np.uint8, (0, 4)),
    }
    save_file(tensors, OUT / "wheel.safetensors", metadata={"format": "pt"})


def make_all_dtypes():
    dtypes = [
        ("BOOL", np.bool_), ("U8", np.uint8), ("I8", np.int8), ("I16", np.int16), ("U16", np.uint16),
        ("I32", np.int32), ("U32", np.uint32), ("I64", np.int64), ("U64", np.uint64),
        ("F16", np.float16), ("BF16", ml_dtypes.bfloat16), ("F32", np.float32), ("F64", np.float64),
        ("F8_E4M3", ml_dtypes.float8_e4m3fn), ("F8_E5M2", ml_dtypes.float8_e5m2),
    ]
    save_file({name: counting(2, dtype, (2,)) for name, dtype in dtypes}, OUT / "dtypes.safetensors")


def finite_halves(count):
    return (RNG.standard_normal(count) * 0.1).astype(np.float16).view(np.uint16)


# Where the float16 scales of each block lie: random bytes there could be NaN or infinity.
HALF_OFFSETS = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
                "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}


def random_blocks(qtype, blocks):
    _, block_bytes = gguf.GGML_QUANT_SIZES[qtype]
    data = RNG.integers(0, 256, (blocks, block_bytes), dtype=np.uint8)
    for offset in HALF_OFFSETS[qtype.name]:
        data[:, offset:offset + 2] = finite_halves(blocks).view(np.uint8).reshape(blocks, 2)
    return data


def make_ggml_blocks():
    arrays = {}
    for name in HALF_OFFSETS:
        qtype = gguf.GGMLQuantizationType[name]
        blocks = random_blocks(qtype, 6)
        if name.endswith(("_0", "_1")):  # the wheel quantizes these: also blocks of real values
            values = RNG.standard_normal((2, 64)).astype(np.float32)
            real = quantize(values, qtype).reshape(-1, blocks.shape[1])
            blocks = np.concatenate([blocks, real])
        arrays[name + ".blocks"] = blocks
        arrays[name + ".values"] = dequantize(blocks, qtype).reshape(-1)
    halves = np.array([0, 0x8000, 1, 0x83ff, 0x0400, 0x3c00, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x3555, 0x03ff], np.uint16)
    arrays["F16.blocks"] = halves.view(np.uint8)
    arrays["F16.values"] = halves.view(np.float16).astype(np.float32)
    arrays["BF16.blocks"] = halves.view(np.uint8)
    arrays["BF16.values"] = halves.view(ml_dtypes.bfloat16).astype(np.float32)
    floats = RNG.standard_normal(5).astype(np.float32)
    arrays["F32.blocks"] = floats.view(np.uint8)
    arrays["F32.values"] = floats
    np.savez_compressed(OUT / "ggml_blocks.npz", **arrays)


def make_gguf():
    writer = gguf.GGUFWriter(OUT / "wheel.gguf", "llama")
    writer.add_block_count(2)
    writer.add_uint8("t.u8", 200)
    writer.add_int8("t.i8", -5)
    writer.add_uint16("t.u16", 60000)
    writer.add_int16("t.i16", -30000)
    writer.add_int32("t.i32", -7)
    writer.add_uint64("t.u64", 2**63 + 1)
    writer.add_int64("t.i64", -(2**40))
    writer.add_float32("t.f32", 0.5)
    writer.add_float64("t.f64", 0.1)
    writer.add_bool("t.bool", True)
    writer.add_string("t.string", "gr\u00fc\u00dfe")
    writer.add_array("t.ints", [1, 2, 3])
    writer.add_array("t.floats", [0.25, -1.0])
    writer.add_array("t.strings", ["a", "", "bc"])
    writer.add_array("t.nested", [[1, 2], [3]])
    writer.add_tensor("blk.0.weight", counting(6, np.float32, (2, 3)))
    writer.add_tensor("blk.1.weight", quantize(counting(128, np.float32, (2, 64)), gguf.GGMLQuantizationType.Q8_0),
                      raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("bias", counting(3, np.float16, (3,)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make_npy():
    np.save(OUT / "f32.npy", counting(6, np.float32, (2, 3)))
    np.save(OUT / "scalar.npy", np.int64(-4))
    np.save(OUT / "fortran.npy", np.asfortranarray(counting(6, np.float32, (2, 3))))
    np.save(OUT / "big_endian.npy", counting(3, ">i4", (3,)))
    np.save(OUT / "structured.npy", np.zeros(2, [("a", "<i4"), ("b", "<f4")]))
    names = ["bool", "int8", "uint8", "int16", "int32", "int64", "float16", "float32", "float64"]
    arrays = {name: counting(2, name, (1, 2)) for name in names}
    np.savez(OUT / "stored.npz", **arrays)
    np.savez_compressed(OUT / "deflated.npz", **arrays)


def main():
    OUT.mkdir(exist_ok=True)
    make_safetensors()
    make_all_dtypes()
    make_ggml_blocks()
    make_gguf()
    make_npy()
    header = (OUT / "wheel.safetensors").read_bytes()
    length = struct.unpack("<Q", header[:8])[0]
    print(json.dumps(json.loads(header[8:8 + length]), indent=1))


if __name__ == "__main__":
    main()
