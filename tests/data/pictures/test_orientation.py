"""One opinion on how a picture stands: Pillow's, in the graph as well."""

import struct
import warnings

import numpy as np
import pytest
import tensorflow as tf

from keras_vtr.data import decode_image
from keras_vtr.data.pictures.exif_orientation import read_orientation
from keras_vtr.data.pictures.files import upright_shape
from tests.data import headers
from tests.data import picture_files as pictures
from tests.data.headers import LONG
from tests.data.headers import ORIENTATION_TAG
from tests.data.headers import SHORT
from tests.data.headers import exif_segment
from tests.data.headers import jpeg
from tests.data.headers import png
from tests.data.headers import segment
from tests.data.headers import tiff
from tests.data.headers import xmp_segment

TURNED = tiff([(ORIENTATION_TAG, SHORT, 1, 6)])
NOT_SAID = tiff([(0x100, SHORT, 1, 37)])
ATTRIBUTE = b'tiff:Orientation="6"'
PNG_XMP = b"XML:com.adobe.xmp\0\0\0\0\0" + headers.XMP % ATTRIBUTE
PICTURES = {
    "big endian": jpeg(
        exif_segment(tiff([(ORIENTATION_TAG, SHORT, 1, 6)], big=True))
    ),
    "a LONG": jpeg(exif_segment(tiff([(ORIENTATION_TAG, LONG, 1, 6)]))),
    "a LONG, big endian": jpeg(
        exif_segment(tiff([(ORIENTATION_TAG, LONG, 1, 6)], big=True))
    ),
    "fill bytes before the segment": jpeg(exif_segment(TURNED, fill=2)),
    "behind 128 KiB": jpeg(
        3 * segment(0xE2, bytes(65000)), exif_segment(TURNED)
    ),
    "behind 40 segments": jpeg(
        40 * segment(0xFE, b"a comment"), exif_segment(TURNED)
    ),
    "XMP before it": jpeg(xmp_segment(b"nothing"), exif_segment(TURNED)),
    "XMP alone": jpeg(xmp_segment(ATTRIBUTE)),
    "XMP, as an element": jpeg(
        xmp_segment(b"><tiff:Orientation>6</tiff:Orientation>")
    ),
    "XMP, where Exif says nothing": jpeg(
        exif_segment(NOT_SAID), xmp_segment(ATTRIBUTE)
    ),
    "MPO": headers.mpo(6),
    "PNG": png((b"eXIf", TURNED)),
    "PNG, behind the pixels": png((b"eXIf", TURNED), at_end=True),
    "PNG, XMP": png((b"iTXt", PNG_XMP)),
}


@tf.function(input_signature=[tf.TensorSpec((), tf.string)])
def decode(image_bytes):
    return decode_image(image_bytes)


def orientation(image_bytes):
    return int(read_orientation(image_bytes, image_bytes[:1] == b"\xff"))


@pytest.mark.parametrize("kind", PICTURES)
def test_a_turned_picture_is_turned_for_readers_and_in_the_graph(
    kind, tmp_path
):
    path = tmp_path / "picture"
    path.write_bytes(PICTURES[kind])
    expected = pictures.decoded(PICTURES[kind])
    assert expected.shape == (37, 23, 3)
    np.testing.assert_array_equal(decode(PICTURES[kind]), expected)
    assert upright_shape(path) == (37, 23)


@pytest.mark.parametrize(
    "image_bytes",
    [
        jpeg(exif_segment(b"no TIFF"), xmp_segment(ATTRIBUTE)),
        jpeg(exif_segment(tiff([(ORIENTATION_TAG, 1, 1, 6)]))),  # a BYTE
        jpeg(exif_segment(TURNED[:15])),
        jpeg(xmp_segment(b'tiff:Orientation="9"')),
        jpeg(xmp_segment(b"tiff:Orientation")),
        png((b"eXIf", b"no TIFF"), (b"iTXt", PNG_XMP)),
    ],
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_what_says_nothing_that_counts_leaves_it(image_bytes):
    assert headers.pillow_orientation(image_bytes) == 1
    assert decode(image_bytes).shape == (23, 37, 3)


def test_any_header_is_read_as_pillow_reads_it(rng):
    images = [headers.random_jpeg(rng) for _ in range(200)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of broken ones
        expected = [headers.pillow_orientation(x) for x in images]
    assert set(expected) == set(range(1, 9))
    found = [orientation(x) for x in images]
    wrong = [
        f"{a}, not {b}: {x[:120]}"
        for a, b, x in zip(found, expected, images, strict=True)
        if a != b
    ]
    assert not wrong, f"{len(wrong)} of {len(images)}: {wrong[0]}"


def test_a_png_of_several_chunks_is_read_as_pillow_reads_it():
    other = tiff([(ORIENTATION_TAG, SHORT, 1, 8)])
    for chunks in (
        [(b"eXIf", TURNED), (b"eXIf", other)],
        [(b"iTXt", PNG_XMP), (b"eXIf", other)],
        [(b"iTXt", PNG_XMP), (b"eXIf", NOT_SAID)],
        [(b"eXIf", struct.pack(">I", 0)), (b"iTXt", PNG_XMP)],
    ):
        image_bytes = png(*chunks)
        expected = headers.pillow_orientation(image_bytes)
        assert orientation(image_bytes) == expected
