"""How a camera was held, read from a JPEG's header in the graph."""

import tensorflow as tf

# Cameras write the Exif segment first; it has 64 KiB at most.
HEADER_BYTES = 128 * 1024
MAX_SEGMENTS = 32
START_OF_SCAN, APP1 = 0xDA, 0xE1
ORIENTATION_TAG = 0x0112


def read_orientation(jpeg_bytes):
    """The Exif orientation of a JPEG, 1 (upright) where it tells none.

    CIPA DC-008 (Exif 2.32), section 4.6.4, tag 0x0112, in a TIFF header within
    the segment APP1 (section 4.7). What is broken counts as 1.

    Args:
        jpeg_bytes: Scalar string.

    Returns:
        Scalar int32, 1 to 8.
    """
    header = tf.strings.substr(jpeg_bytes, 0, HEADER_BYTES)
    header = tf.cast(tf.io.decode_raw(header, "uint8"), "int32")
    start = _find_exif(header)
    has_exif = start >= 0
    orientation = tf.cond(
        has_exif, lambda: _read_tiff(header, start), lambda: tf.constant(1)
    )
    is_known = (orientation >= 1) & (orientation <= 8)
    return tf.where(is_known, orientation, 1)


def turn_upright(image, orientation):
    """Turns and mirrors an image as its Exif orientation says.

    Args:
        image: (height, width, C).
        orientation: Scalar int32, 1 to 8.

    Returns:
        (height, width, C), or (width, height, C) for orientations 5 to 8.
    """
    image = tf.cond(
        orientation >= 5,
        lambda: tf.transpose(image, (1, 0, 2)),
        lambda: image,
    )
    for axis, mirrored in enumerate(((3, 4, 7, 8), (2, 3, 6, 7))):
        image = tf.cond(
            tf.reduce_any(orientation == tf.constant(mirrored)),
            lambda image=image, axis=axis: tf.reverse(image, (axis,)),
            lambda image=image: image,
        )
    return image


def _find_exif(header):
    """Where the TIFF header starts, or -1. Walks from segment to segment."""

    def is_segment(at, found, count):
        code = _bytes(header, at, 2)
        return (
            (found < 0)
            & (count < MAX_SEGMENTS)
            & (code[0] == 0xFF)
            & (code[1] != START_OF_SCAN)
            & (at + 4 <= tf.size(header))
        )

    def step(at, found, count):
        code = _bytes(header, at + 1, 1)[0]
        name = _bytes(header, at + 4, 6)
        is_exif = tf.reduce_all(name == tf.constant(list(b"Exif\0\0")))
        found = tf.where((code == APP1) & is_exif, at + 10, found)
        return at + 2 + _number(header, at + 2, 2, False), found, count + 1

    _, found, _ = tf.while_loop(
        is_segment, step, [tf.constant(2), tf.constant(-1), tf.constant(0)]
    )
    return found


def _read_tiff(header, start):
    """The orientation in the first directory of tags, or 1."""
    little = _bytes(header, start, 1)[0] == ord("I")
    directory = start + _number(header, start + 4, 4, little)
    count = _number(header, directory, 2, little)
    entries = directory + 2 + 12 * tf.range(tf.minimum(count, 512))
    tags = _number(header, entries, 2, little)
    values = _number(header, entries + 8, 2, little)
    is_orientation = tf.cast(tags == ORIENTATION_TAG, "int32")
    has_one = tf.reduce_any(is_orientation == 1)
    # The largest one, if a broken file has several.
    return tf.where(has_one, tf.reduce_max(is_orientation * values), 1)


def _bytes(header, at, count):
    """`count` bytes from each place; what lies beyond the end reads as 0."""
    places = tf.expand_dims(at, -1) + tf.range(count)
    is_inside = (places >= 0) & (places < tf.size(header))
    return tf.where(
        is_inside, tf.gather(header, tf.where(is_inside, places, 0)), 0
    )


def _number(header, at, count, little):
    """An unsigned number of 2 or 4 bytes at each place."""
    digits = _bytes(header, at, count)
    digits = tf.where(little, digits, tf.reverse(digits, (-1,)))
    return tf.reduce_sum(digits * 256 ** tf.range(count), axis=-1)
