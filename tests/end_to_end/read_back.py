"""Reads every file below the current folder that this program wrote, by the usual reader of its kind; prints how many of each."""
import collections
import csv
import html.parser
import json
import pathlib
import re
import xml.etree.ElementTree

import numpy
import yaml
from PIL import Image
from safetensors.numpy import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def numbers_are_numbers(value, where):
    """PyYAML takes a number that YAML 1.1 writes otherwise for a text."""
    if isinstance(value, dict):
        for key, inner in value.items():
            numbers_are_numbers(inner, f"{where}.{key}")
    elif isinstance(value, list):
        for inner in value:
            numbers_are_numbers(inner, where)
    else:
        assert not (isinstance(value, str) and NUMBER.fullmatch(value)), f"{where} is the text {value!r}"


def strict(text):
    def refuse(word):
        raise ValueError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def read_table(path):
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    assert len(rows) > 1 and len({len(row) for row in rows}) == 1, [len(row) for row in rows]


def read_picture(path):
    with Image.open(path) as picture:
        picture.load()


def read_arrays(path):
    arrays = numpy.load(path, allow_pickle=False)
    assert all(arrays[name].size for name in arrays.files) if hasattr(arrays, "files") else arrays.size


def read_events(path):
    scalars = EventAccumulator(str(path)).Reload().Tags()["scalars"]
    assert scalars, "no scalars"


def read_page(path):
    html.parser.HTMLParser().feed(path.read_text())


READERS = {
    ".csv": read_table,
    ".html": read_page,
    ".json": lambda path: strict(path.read_text()),
    ".jsonl": lambda path: [strict(line) for line in path.read_text().splitlines()],
    ".md": lambda path: path.read_text(),
    ".npy": read_arrays,
    ".npz": read_arrays,
    ".png": read_picture,
    ".safetensors": load_file,
    ".svg": lambda path: xml.etree.ElementTree.fromstring(path.read_text()),
    ".tex": lambda path: path.read_text(),
    ".yaml": lambda path: numbers_are_numbers(yaml.safe_load(path.read_text()), path.name),
    "events": read_events,
}

counts = collections.Counter()
own = [path for path in sorted(pathlib.Path(".").rglob("*")) if path.is_file()]
for path in own:
    if path.parts[0] in ("configs", "experiments") or path.name == ".lock":
        continue
    kind = "events" if path.name.startswith("events.out.tfevents.") else path.suffix
    try:
        READERS[kind](path)
    except Exception as error:
        raise SystemExit(f"{path}: {type(error).__name__}: {error}")
    counts[kind] += 1
print(json.dumps(counts))
