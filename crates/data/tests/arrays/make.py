"""Writes small arrays of every kind into files/, and what NumPy says of them into expected.json: python3 make.py, with NumPy 2.

All hold the same 12 images of 4 by 5 bytes and their classes, so that expected.json is one list of levels and one of classes.
"""

import gzip
import io
import json
import pathlib
import struct

import numpy as np

HERE = pathlib.Path(__file__).parent
FILES = HERE / "files"
NUM, H, W = 12, 4, 5

LEVELS = (np.arange(NUM * H * W).reshape(NUM, H, W) * 37 % 256).astype(np.uint8)
CLASSES = (np.arange(NUM) * 5 % 4).astype(np.int64)


def idx(array):
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim) + b"".join(struct.pack(">I", n) for n in array.shape)
    return header + array.astype(np.uint8).tobytes()


def safetensors(**arrays):
    names = {"uint8": "U8", "int64": "I64", "float32": "F32"}
    described, data = {"__metadata__": {"format": "np"}}, b""
    for name, array in arrays.items():
        offsets = [len(data), len(data) + array.nbytes]
        described[name] = {"dtype": names[array.dtype.name], "shape": array.shape, "data_offsets": offsets}
        data += array.tobytes()
    header = json.dumps(described).encode()
    return struct.pack("<Q", len(header)) + header + data


def packed(data):
    out = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=out, mode="wb", mtime=0) as file:
        file.write(data)
    return out.getvalue()


if __name__ == "__main__":
    FILES.mkdir(exist_ok=True)
    np.save(FILES / "grey.npy", LEVELS)
    np.savez(FILES / "plain.npz", x=LEVELS, y=CLASSES)
    np.savez_compressed(FILES / "packed.npz", images=LEVELS[:, None], labels=CLASSES, mean=LEVELS.mean(0))
    np.savez(FILES / "unnamed.npz", LEVELS)
    np.savez(FILES / "floats.npz", data=(LEVELS / np.float32(255)).astype(np.float32), y=CLASSES[:, None])
    np.savez(FILES / "strange.npz", a=LEVELS, b=CLASSES)
    (FILES / "set.safetensors").write_bytes(safetensors(images=LEVELS[:, None], labels=CLASSES))
    (FILES / "one.safetensors").write_bytes(safetensors(pixels=LEVELS))
    (FILES / "train-images-idx3-ubyte").write_bytes(idx(LEVELS))
    (FILES / "train-labels-idx1-ubyte").write_bytes(idx(CLASSES))
    (FILES / "t10k-images-idx3-ubyte.gz").write_bytes(packed(idx(LEVELS)))
    (FILES / "t10k-labels-idx1-ubyte.gz").write_bytes(packed(idx(CLASSES)))
    (FILES / "alone.idx").write_bytes(idx(LEVELS))
    for name in ["grey.npy", "plain.npz", "packed.npz"]:
        read = np.load(FILES / name)
        read = read if name == "grey.npy" else read["x" if name == "plain.npz" else "images"]
        assert (read.reshape(LEVELS.shape) == LEVELS).all()
    expected = {"levels": LEVELS.ravel().tolist(), "classes": CLASSES.tolist()}
    (HERE / "expected.json").write_text(json.dumps(expected) + "\n")
