"""JPEG and PNG whose headers say in every way how they stand."""

import io
import struct
import zlib

from PIL import Image

from keras_vtr.data.pictures.exif_orientation import ORIENTATION_TAG
from keras_vtr.data.pictures.exif_orientation import VALUE_BYTES
from tests.data import picture_files as pictures

SHORT, LONG, RATIONAL = 3, 4, 5
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><Description %s/></x:xmpmeta>'


def pillow_orientation(image_bytes):
    """What Pillow reads, 1 where that is nothing or no orientation."""
    with Image.open(io.BytesIO(image_bytes)) as image:
        try:
            found = image.getexif().get(ORIENTATION_TAG, 1)
        except (SyntaxError, struct.error):  # no TIFF header
            return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def tiff(entries, *, big=False, directory=8, start=None):
    """A TIFF header and a directory of (tag, type, count, value).

    A value is an integer or bytes, which are put behind the directory if they
    are more than four.
    """
    order = ">" if big else "<"
    start = start or (b"MM\0*" if big else b"II*\0")
    head = start + struct.pack(order + "I", directory)
    head = head.ljust(directory, b"\xff") + struct.pack(
        order + "H", len(entries)
    )
    end = len(head) + 12 * len(entries) + 4
    rows, behind = b"", b""
    for tag, kind, count, value in entries:
        if isinstance(value, int):
            size = VALUE_BYTES[kind] if kind < len(VALUE_BYTES) else 0
            value = value.to_bytes(size or 4, "big" if big else "little")
            value *= max(count, 1)
        if len(value) > 4:
            behind, value = (
                behind + value,
                struct.pack(order + "I", end + len(behind)),
            )
        rows += struct.pack(order + "HHI", tag, kind, count)
        rows += value.ljust(4, b"\0")
    return head + rows + bytes(4) + behind


def segment(code, content, fill=0):
    """A JPEG's segment, with fill bytes before it (ITU-T T.81, B.1.1.2)."""
    mark = b"\xff" * (1 + fill) + bytes([code])
    return mark + struct.pack(">H", len(content) + 2) + content


def exif_segment(content, fill=0):
    return segment(0xE1, b"Exif\0\0" + content, fill)


def xmp_segment(text, fill=0):
    return segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP % text, fill)


def jpeg(*segments):
    """A picture of 37 x 23 with these segments first."""
    whole = pictures.encode(pictures.picture(), "JPEG")
    return whole[:2] + b"".join(segments) + whole[2:]


def png(*chunks, at_end=False):
    """A picture of 37 x 23 with these (name, content) as chunks."""
    whole = pictures.encode(pictures.picture())
    place = len(whole) - 12 if at_end else 33
    added = b"".join(
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )
    return whole[:place] + added + whole[place:]


def mpo(orientation):
    """Two pictures in one file, as phones and drones write them."""
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    image = pictures.picture()
    return pictures.encode(
        image, "MPO", exif=exif, save_all=True, append_images=[image]
    )


def random_jpeg(rng):
    """One of all combinations of what cameras and programs write."""

    def one_of(*choices):
        return choices[rng.integers(len(choices))]

    def random_exif():
        entry = (
            ORIENTATION_TAG,
            one_of(SHORT, SHORT, LONG, *range(14), 16, 99),
            one_of(1, 1, 1, 0, 2, 3),
            int(rng.integers(0, 10)),
        )
        others = [
            (0x10E, 2, 9, b"a camera\0"),
            (0x10F, 2, 3, b"us\0"),
            (0x100, one_of(SHORT, 14, 77), 1, 37),
        ]
        after = [(0x11A, RATIONAL, 1, struct.pack("<II", 72, 1))]
        entries = [x for x in others if one_of(True, False)]
        entries += [entry] * one_of(1, 1, 1, 0)
        entries += [(*entry[:3], 3)] * one_of(0, 0, 0, 1) + after
        content = tiff(
            entries,
            big=one_of(True, False),
            directory=one_of(8, 8, 11, 300),
            start=one_of(None, None, None, b"II\0*", b"MM*\0", b"Eh?!"),
        )
        if one_of(True, False, False, False):
            content = content[: rng.integers(1, len(content))]
        return one_of(b"", b"", b"Exif\0\0") + content

    def random_segment():
        fill = one_of(0, 0, 1, 3)
        kind = one_of("exif", "exif", "xmp", "icc", "comments", "junk")
        if kind == "exif":
            return exif_segment(random_exif(), fill)
        if kind == "xmp":
            form = one_of(
                b'tiff:Orientation="%d"',
                b"<tiff:Orientation>%d</tiff:Orientation>",
                b"tiff:Orientation='%d'",
                b'tiff:Orientation="" tiff:Orientation="%d"',
                b"%d",
            )
            return xmp_segment(form % rng.integers(0, 10), fill)
        if kind == "icc":
            return 3 * segment(0xE2, b"ICC_PROFILE\0\1\3".ljust(65500, b"x"))
        if kind == "comments":
            return 40 * segment(0xFE, b"a comment", fill)
        junk = bytes(rng.integers(0, 255, 5, dtype="uint8"))
        return segment(0xFE, b"") + junk

    return jpeg(*(random_segment() for _ in range(rng.integers(1, 5))))
