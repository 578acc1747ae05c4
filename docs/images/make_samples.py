"""Draws samples.png beside this file: samples of the same seeds by the models of a sweep, one row for each D.

    pfgmpp sweep experiments/d_sweep.yaml
    for d in 1 8 128 inf; do pfgmpp sample --checkpoint "runs/d_sweep/d=$d,seed=0" --num 12 --out "samples_$d.npy"; done
    python docs/images/make_samples.py samples_1.npy samples_8.npy samples_128.npy samples_inf.npy

Needs numpy and Pillow. The name behind the last underscore is the D that a row is labelled with.
"""
import pathlib
import sys

import numpy
from PIL import Image, ImageDraw, ImageFont

SCALE, GAP, LABEL, MARGIN = 7, 8, 118, 16

files = [pathlib.Path(name) for name in sys.argv[1:]]
rows = [numpy.load(file)[:, 0] for file in files]
side = rows[0].shape[-1] * SCALE
width = LABEL + len(rows[0]) * (side + GAP) - GAP + 2 * MARGIN
height = len(rows) * (side + GAP) - GAP + 2 * MARGIN
# A page of its own colour, so that it reads the same on light and dark.
page = Image.new("RGB", (width, height), "white")
draw = ImageDraw.Draw(page)
font = ImageFont.load_default(size=26)
for i, (file, row) in enumerate(zip(files, rows)):
    y = MARGIN + i * (side + GAP)
    d = file.stem.rsplit("_", 1)[-1]
    draw.text((MARGIN, y + side / 2), f"D = {d}", fill="black", font=font, anchor="lm")
    for j, values in enumerate(row):
        # Ink on paper.
        bytes_ = (127.5 * (1 - values.clip(-1, 1))).round().astype("uint8")
        digit = Image.fromarray(bytes_).resize((side, side), Image.BICUBIC)
        x = MARGIN + LABEL + j * (side + GAP)
        page.paste(digit, (x, y))
        draw.rectangle((x, y, x + side - 1, y + side - 1), outline="#d0d0d0")
page.save(pathlib.Path(__file__).resolve().parent / "samples.png", optimize=True)
print(f"{width} by {height} pixels")
