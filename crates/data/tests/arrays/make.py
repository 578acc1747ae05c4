"""Writes small arrays of every kind into files/, and what NumPy says of them into expected.json: python3 make.py, with NumPy 2.

All hold the same 12 images of 4 by 5 bytes and their classes, so that expected.json is one list of levels and one of classes.
The Python versions of CIFAR hold ten images a file; expected.json has the SHA-256 of their levels as pickle and NumPy read them.
"""

import gzip
import hashlib
import io
import json
import pathlib
import pickle
import struct
import tarfile

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


class Python2(pickle._Pickler):
    """Writes as Python 2 did: strings are bytes without an encoding, and arrays come from numpy.core."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_string(self, text):
        data = text if isinstance(text, bytes) else text.encode("latin1")
        short = len(data) < 256
        self.write(b"U" + bytes([len(data)]) if short else b"T" + struct.pack("<i", len(data)))
        self.write(data)
        self.memoize(text)

    def save_function(self, function):
        assert function.__name__ == "_reconstruct"
        self.write(b"cnumpy.core.multiarray\n_reconstruct\n")
        self.memoize(function)

    dispatch[bytes] = dispatch[str] = save_string
    dispatch[type(np.zeros(0).__reduce__()[0])] = save_function


def pickled(value, python2=True):
    out = io.BytesIO()
    (Python2(out, 2) if python2 else pickle.Pickler(out, 4)).dump(value)
    return out.getvalue()


def cifar_levels(file):
    image, i = np.arange(10)[:, None], np.arange(3072)[None]
    return ((file * 71 + image * 31 + i * 7 + i // 1024 * 50) % 256).astype(np.uint8)


def cifar_10():
    """The files of cifar-10-python.tar.gz by name."""
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    files = {}
    for file, name in enumerate(names):
        labels = [int((file + 3 * image) % 10) for image in range(10)]
        batch = {"batch_label": name, "labels": labels, "data": cifar_levels(file), "filenames": [f"{i}.png" for i in range(10)]}
        files[name] = pickled(batch)
    words = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    files["batches.meta"] = pickled({"num_cases_per_batch": 10, "label_names": words, "num_vis": 3072})
    files["readme.html"] = b"<p>CIFAR</p>"
    return files


def cifar_100(python2, order):
    """The files of cifar-100-python.tar.gz by name."""
    files = {}
    for file, name in enumerate(["train", "test"]):
        fine = [int((file * 40 + 9 * image) % 100) for image in range(10)]
        batch = {"fine_labels": fine, "coarse_labels": [f // 5 for f in fine], "data": np.asarray(cifar_levels(file), order=order)}
        files[name] = pickled({k if python2 else k.encode(): v for k, v in batch.items()}, python2)
    names = {"fine_label_names": [f"fine {i}" for i in range(100)], "coarse_label_names": [f"coarse {i}" for i in range(20)]}
    files["meta"] = pickled(names, python2)
    return files


def tar_gz(folder, files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        entry = tarfile.TarInfo(folder)
        entry.type = tarfile.DIRTYPE
        tar.addfile(entry)
        for name, data in files.items():
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return packed(out.getvalue())


def cifar_read(files, names, key):
    """What pickle and NumPy make of the files `names`: the SHA-256 of their levels, and their classes."""
    levels, classes = hashlib.sha256(), []
    for name in names:
        batch = pickle.loads(files[name], encoding="bytes")
        assert batch[b"data"].shape == (10, 3072) and batch[b"data"].dtype == np.uint8
        levels.update(batch[b"data"].tobytes())
        classes += batch[key]
    return {"sha256": levels.hexdigest(), "classes": classes}


def untar(path):
    with tarfile.open(path) as tar:
        return {pathlib.Path(m.name).name: tar.extractfile(m).read() for m in tar.getmembers() if m.isfile()}


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
    (FILES / "cifar-10-python.tar.gz").write_bytes(tar_gz("cifar-10-batches-py", cifar_10()))
    (FILES / "cifar-100-python.tar.gz").write_bytes(tar_gz("cifar-100-python", cifar_100(True, "C")))
    # As a program of Python 3 saves it again, by columns.
    folder = FILES / "cifar-100-python"
    folder.mkdir(exist_ok=True)
    for name, data in cifar_100(False, "F").items():
        (folder / name).write_bytes(data)
    read = untar(FILES / "cifar-10-python.tar.gz")
    cifar = {
        "cifar_10_train": cifar_read(read, [f"data_batch_{i}" for i in range(1, 6)], b"labels"),
        "cifar_10_test": cifar_read(read, ["test_batch"], b"labels"),
    }
    for read in [untar(FILES / "cifar-100-python.tar.gz"), {p.name: p.read_bytes() for p in folder.iterdir()}]:
        for part in ["train", "test"]:
            for kind in ["fine", "coarse"]:
                got = cifar_read(read, [part], f"{kind}_labels".encode())
                assert cifar.setdefault(f"cifar_100_{part}_{kind}", got) == got
    expected = {"levels": LEVELS.ravel().tolist(), "classes": CLASSES.tolist(), "cifar": cifar}
    (HERE / "expected.json").write_text(json.dumps(expected) + "\n")
