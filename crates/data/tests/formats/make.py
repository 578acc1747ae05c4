"""Writes image files of every kind into files/, and what Pillow and NumPy read in them into expected.json.

python3 make.py, with Pillow 13 and NumPy 2. Each file stands in expected.json with the shape [C, H, W] of its image, upright and
laid on white, its levels in that order, the level of white, and by how many levels a decoder may be off: 0 where the format is
exact, more where a JPEG or lossy WebP leaves the rounding open. Refused files have the words that must stand in the refusal.
"""

import json
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

HERE = pathlib.Path(__file__).parent
FILES = HERE / "files"
EXPECTED = {}
H, W = 5, 7

# Smooth, so that a lossy format keeps it, and unlike its mirror images.
ROW, COLUMN = np.mgrid[0:H, 0:W]
GREY = (20 + 30 * ROW + 12 * COLUMN).astype(np.uint8)
RGB = np.stack([GREY, 255 - GREY, (10 + 25 * COLUMN + 3 * ROW).astype(np.uint8)], -1)
ALPHA = (255 - 9 * (ROW * W + COLUMN) % 256).astype(np.uint8)
GREY16 = (1000 + 9001 * ROW + 1237 * COLUMN).astype(np.uint16)
RGB16 = np.stack([GREY16, 65535 - GREY16, GREY16 // 3], -1)


def on_white(colour, alpha):
    """Exact arithmetic, rounded half up to a level."""
    alpha = alpha[..., None].astype(int)
    return (2 * (colour.astype(int) * alpha + 255 * (255 - alpha)) + 255) // 510


def note(name, levels, white=255, tolerance=0):
    levels = np.asarray(levels)
    if levels.ndim == 2:
        levels = levels[..., None]
    levels = levels.transpose(2, 0, 1)
    EXPECTED[name] = {
        "shape": list(levels.shape),
        "levels": levels.ravel().astype(int).tolist(),
        "white": white,
        "tolerance": tolerance,
    }


def save(name, image, mode="RGB", tolerance=0, **options):
    """Saves with Pillow and notes what Pillow reads back, as `mode`."""
    image.save(FILES / name, **options)
    with Image.open(FILES / name) as read:
        read = ImageOps.exif_transpose(read)
        if mode in ("RGBA", "LA"):
            levels = np.asarray(read.convert(mode))
            note(name, on_white(levels[..., :-1], levels[..., -1]), tolerance=tolerance)
        else:
            note(name, np.asarray(read.convert(mode)), tolerance=tolerance)


def png(name, levels, colour, bits):
    """A PNG file by hand: Pillow writes no colour of 16 bits."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = levels.shape[:2]
    lines = b"".join(b"\0" + line.astype(f">u{bits // 8}").tobytes() for line in levels)
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND", b"")]
    (FILES / name).write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def exact():
    grey, rgb = Image.fromarray(GREY), Image.fromarray(RGB)
    rgba = Image.fromarray(np.dstack([RGB, ALPHA]))
    opaque = Image.fromarray(np.dstack([RGB, np.full_like(ALPHA, 255)]))
    palette = rgb.quantize(16)
    for ending, options in [("png", {}), ("bmp", {}), ("tif", {"compression": "tiff_lzw"})]:
        save(f"grey.{ending}", grey, "L", **options)
        save(f"rgb.{ending}", rgb, **options)
    save("bits.png", Image.fromarray(GREY > 110), "L")
    save("palette.png", palette)
    save("palette_transparent.png", palette, "RGBA", transparency=3)
    save("grey_alpha.png", Image.fromarray(np.dstack([GREY, ALPHA])), "LA")
    save("rgba.png", rgba, "RGBA")
    save("rgba_opaque.png", opaque)
    save("rgba.tif", rgba, "RGBA", compression="tiff_adobe_deflate")
    save("rgb_plain.tiff", rgb)
    save("palette.bmp", palette)
    save("rgb.webp", rgb, lossless=True)
    save("rgba.webp", rgba, "RGBA", lossless=True, exact=True)
    for orientation in range(2, 9):
        save(f"exif_{orientation}.png", rgb, exif=turned(orientation))
    save("exif_6.webp", rgb, lossless=True, exif=turned(6))
    save("exif_8.tif", rgb, exif=turned(8))
    Image.fromarray(GREY16).save(FILES / "grey_16.tif")
    png("grey_16.png", GREY16, 0, 16)
    png("rgb_16.png", RGB16, 2, 16)
    for name in ["grey_16.tif", "grey_16.png"]:
        with Image.open(FILES / name) as read:
            note(name, np.asarray(read), white=65535)
    note("rgb_16.png", RGB16, white=65535)


def lossy():
    grey, rgb = Image.fromarray(GREY), Image.fromarray(RGB)
    save("grey.jpg", grey, "L", tolerance=1, quality=95)
    save("RGB.JPEG", rgb, tolerance=3, quality=95, subsampling=0)
    save("progressive.jpg", rgb, tolerance=3, quality=95, subsampling=0, progressive=True)
    save("exif_6.jpg", rgb, tolerance=3, quality=95, subsampling=0, exif=turned(6))
    save("exif_7.jpg", rgb, tolerance=3, quality=95, subsampling=0, exif=turned(7))
    save("lossy.webp", rgb, tolerance=6, quality=95)


def refused():
    rgb, other = Image.fromarray(RGB), Image.fromarray(RGB[:, ::-1].copy())
    cases = {
        "cmyk.jpg": ("CMYK", lambda path: rgb.convert("CMYK").save(path)),
        "cmyk.tif": ("CMYK", lambda path: rgb.convert("CMYK").save(path)),
        "animated.png": ("is animated", lambda path: rgb.save(path, save_all=True, append_images=[other])),
        "animated.webp": ("is animated", lambda path: rgb.save(path, save_all=True, append_images=[other])),
        "pages.tif": ("has several pages", lambda path: rgb.save(path, save_all=True, append_images=[other])),
        "float.tif": ("of a kind that is not read", lambda path: Image.fromarray(GREY / np.float32(255)).save(path)),
        "gif.png": ("a GIF image", lambda path: rgb.save(path, format="GIF")),
    }
    for name, (words, write) in cases.items():
        write(FILES / name)
        EXPECTED[name] = {"refused": words}


def packed():
    """A photograph of 30 by 20 pixels, and what Pillow makes of its middle at 8 by 6."""
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    photo = Image.fromarray(noise)
    photo.save(FILES / "photo.png")
    # 27 columns are those of 8 to 6 for 20 rows.
    middle = photo.crop((1, 0, 28, 20))
    filters = {"box": Image.Resampling.BOX, "lanczos": Image.Resampling.LANCZOS}
    levels = {name: np.asarray(middle.resize((8, 6), filter)).ravel().tolist() for name, filter in filters.items()}
    (HERE / "packed.json").write_text(json.dumps(levels) + "\n")


if __name__ == "__main__":
    packed()
    exact()
    lossy()
    refused()
    lines = [f"  {json.dumps(name)}: {json.dumps(EXPECTED[name])}" for name in sorted(EXPECTED)]
    (HERE / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
