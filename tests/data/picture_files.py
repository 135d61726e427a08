"""Encoded images of every kind, good and bad, and what they hold."""

import functools
import io
import struct
import zlib

import numpy as np
from PIL import Image

ORIENTATION_TAG = 0x0112


def picture(height=23, width=37, seed=0):
    """A smooth color picture, so that JPEG keeps its values nearly."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, size=(3, 4, 3), dtype="uint8")
    return Image.fromarray(small).resize((width, height), Image.BICUBIC)


def encode(image, kind="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def turned_jpeg(orientation, **size):
    """A JPEG with an Exif orientation."""
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    return encode(picture(**size), "JPEG", exif=exif)


def decoded(image_bytes):
    """What Pillow makes of it: (height, width, 3), upright."""
    from PIL import ImageOps

    image = Image.open(io.BytesIO(image_bytes))
    return np.array(ImageOps.exif_transpose(image).convert("RGB"))


@functools.cache
def kinds():
    """Name to bytes of JPEG and PNG in all their color modes."""
    image = picture()
    gray = image.convert("L")
    transparent = image.convert("RGBA")
    transparent.putalpha(gray)
    deep = Image.fromarray(np.array(gray).astype("uint16") * 257)
    return {
        "jpeg": encode(image, "JPEG"),
        "progressive jpeg": encode(image, "JPEG", progressive=True),
        "gray jpeg": encode(gray, "JPEG"),
        "cmyk jpeg": encode(image.convert("CMYK"), "JPEG"),
        "png": encode(image),
        "gray png": encode(gray),
        "palette png": encode(image.convert("P")),
        "one-bit png": encode(image.convert("1")),
        "rgba png": encode(transparent),
        "gray and alpha png": encode(transparent.convert("LA")),
        "16-bit png": encode(deep),
        "animated png": encode(
            image, save_all=True, append_images=[picture(seed=1)]
        ),
        "1 x 1": encode(picture(1, 1)),
        "1 x 5000": encode(picture(1, 5000)),
        "5000 x 1": encode(picture(5000, 1), "JPEG"),
    }


def truncated(kind):
    """A file cut at each sixteenth of its length."""
    whole = encode(picture(), kind)
    return [whole[: len(whole) * i // 16] for i in range(16)]


@functools.cache
def bomb(side=14000):
    """A small PNG of many pixels: black, gray, one byte each."""
    rows = zlib.compressobj(9)
    row = bytes(1 + side)
    content = b"".join(rows.compress(row) for _ in range(side)) + rows.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", content), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*x) for x in chunks)


def _chunk(name, content):
    checksum = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + checksum


@functools.cache
def bad():
    """Name to bytes that are no picture, or none of ours."""
    jpeg, png = encode(picture(), "JPEG"), encode(picture())
    return {
        "empty": b"",
        "garbage": np.random.default_rng(0).bytes(1000),
        "a JPEG's start alone": jpeg[:3],
        "a PNG's start alone": png[:8],
        "text": b"<html>not found</html>",
        "gif": encode(picture(), "GIF"),
        "bmp": encode(picture(), "BMP"),
        "webp": encode(picture(), "WEBP"),
        "tiff": encode(picture(), "TIFF"),
        "a PNG without pixels": png[:16] + bytes(8) + png[24:],
        "a PNG of negative size": png[:16] + b"\xff" * 8 + png[24:],
        "a bomb": bomb(),
    }
