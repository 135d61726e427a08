import struct

import numpy as np
import pytest
import tensorflow as tf

from keras_vtr.data import decode_image
from tests.data import picture_files as pictures


@tf.function(input_signature=[tf.TensorSpec((), tf.string)])
def decode(image_bytes):
    return decode_image(image_bytes)


@pytest.mark.parametrize("kind", pictures.kinds())
def test_it_decodes_what_pillow_decodes_to_the_same_pixels(kind):
    image_bytes = pictures.kinds()[kind]
    expected = pictures.decoded(image_bytes)
    if kind == "16-bit png":  # Pillow cuts it off at 255
        expected = pictures.decoded(pictures.kinds()["gray png"])
    np.testing.assert_array_equal(decode(image_bytes), expected)


def test_one_channel_is_gray():
    gray = decode_image(pictures.kinds()["gray png"], 1)
    assert gray.shape == (23, 37, 1)
    np.testing.assert_array_equal(
        gray[..., 0], pictures.decoded(pictures.kinds()["gray png"])[..., 0]
    )
    of_color = decode_image(pictures.kinds()["jpeg"], 1)
    np.testing.assert_allclose(of_color, gray, atol=8)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_stands_upright(orientation):
    image_bytes = pictures.turned_jpeg(orientation)
    expected = pictures.decoded(image_bytes)
    sides = (37, 23) if orientation >= 5 else (23, 37)
    assert expected.shape[:2] == sides
    np.testing.assert_array_equal(decode(image_bytes), expected)


def test_exif_of_both_byte_orders_is_read():
    little = pictures.turned_jpeg(6)
    start = little.index(b"Exif\0\0") + 6
    assert little[start : start + 2] == b"MM"
    exif = struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x112, 3, 1, 6, 0, 0)
    other = little[:start] + exif + little[start + len(exif) :]
    np.testing.assert_array_equal(decode(other), decode(little))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_unknown_orientation_is_none(orientation):
    image_bytes = pictures.turned_jpeg(orientation)
    assert decode(image_bytes).shape == (23, 37, 3)


def test_a_broken_exif_segment_harms_nothing(rng):
    whole = bytearray(pictures.turned_jpeg(3))
    start = whole.index(b"Exif\0\0") + 6
    for _ in range(100):
        broken = whole.copy()
        place = start + rng.integers(0, 23)
        broken[place : place + 4] = rng.bytes(4)
        sides = tuple(decode(bytes(broken)).shape[:2])
        assert sides in ((23, 37), (37, 23))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_truncated_image_is_refused(kind):
    for image_bytes in pictures.truncated(kind):
        with pytest.raises(tf.errors.InvalidArgumentError):
            decode(image_bytes)


@pytest.mark.parametrize("name", pictures.bad())
def test_what_is_no_picture_is_refused(name):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(pictures.bad()[name])


def test_the_limits_are_told():
    image_bytes = pictures.encode(pictures.picture())
    with pytest.raises(tf.errors.InvalidArgumentError, match="more bytes than"):
        decode_image(image_bytes, max_bytes=len(image_bytes) - 1)
    for name in ("png", "jpeg"):
        image_bytes = pictures.kinds()[name]
        with pytest.raises(tf.errors.InvalidArgumentError, match="more pixels"):
            decode_image(image_bytes, max_pixels=23 * 37 - 1)
        decode_image(image_bytes, max_pixels=23 * 37)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Neither a JPEG"):
        decode_image(b"")
    with pytest.raises(ValueError, match=r"1 or 3. Received: num_channels=4"):
        decode_image(b"", 4)
