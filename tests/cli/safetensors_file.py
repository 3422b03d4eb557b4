"""Reads and writes .safetensors files with the standard library alone."""

import json
import struct


class Tensor:
    """A name's dtype ("BF16"), shape and bytes."""

    def __init__(self, dtype, shape, data):
        self.dtype = dtype
        self.shape = list(shape)
        self.data = bytes(data)


def write(path, tensors):
    header, offset = {}, 0
    for name, tensor in tensors.items():
        end = offset + len(tensor.data)
        header[name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(tensor.data)


def read(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    header.pop("__metadata__", None)
    return {
        name: Tensor(entry["dtype"], entry["shape"], data[slice(*entry["data_offsets"])])
        for name, entry in header.items()
    }


def ids(rows):
    """int64 [N, L] of lists of token ids."""
    flat = [token for row in rows for token in row]
    return Tensor("I64", [len(rows), len(rows[0]) if rows else 0], struct.pack(f"<{len(flat)}q", *flat))


def floats(tensor):
    """The values of a float32 tensor."""
    assert tensor.dtype == "F32", tensor.dtype
    return list(struct.unpack(f"<{len(tensor.data) // 4}f", tensor.data))
