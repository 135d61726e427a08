"""The Exif orientation of a JPEG or a PNG, read in the graph."""

import tensorflow as tf

# Limit of segments or chunks, so that no file takes long.
MAX_STEPS = 4096
ORIENTATION_TAG = 0x0112
EXIF, XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
PNG_XMP = b"XML:com.adobe.xmp\0\0"  # the second zero: not compressed
# Little and big endian, and the mixtures that broken programs write.
TIFF_STARTS = b"II\x2a\0", b"MM\0\x2a", b"II\0\x2a", b"MM\x2a\0"
# Bytes of a value by its type (TIFF 6.0, section 2); 0: no such type.
VALUE_BYTES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8)
WHOLE_NUMBERS = (3, 4, 6, 8, 9, 13, 16)  # SHORT by the standard; LONG, ...


# Traced once for all data sets that read pictures.
@tf.function(
    input_signature=[tf.TensorSpec((), tf.string), tf.TensorSpec((), tf.bool)],
    autograph=False,
)
def read_orientation(image_bytes, is_jpeg):
    """The orientation of a JPEG or PNG, 1 (upright) if it has none.

    As Pillow's `getexif`: the tag 0x0112 of Exif (CIPA DC-008, Exif 2.32,
    section 4.6.4), in the segments APP1 of a JPEG and the chunk eXIf of a PNG;
    without it, `tiff:Orientation` of XMP. Invalid values count as 1. Compressed
    texts of a PNG are not read.

    Args:
        image_bytes: Scalar string, a JPEG or a PNG.
        is_jpeg: Scalar bool, whether it is a JPEG.

    Returns:
        Scalar int32, 1 to 8.
    """
    data = tf.io.decode_raw(image_bytes, "uint8")
    exif, xmp = tf.cond(
        is_jpeg,
        lambda: _find_jpeg_segments(data),
        lambda: _find_png_chunks(data),
    )
    orientation = tf.cond(
        exif[0] > 0, lambda: _read_tiff(data, *tf.unstack(exif)), _zero
    )
    orientation = tf.cond(
        (orientation == 0) & (xmp[0] > 0),
        lambda: _read_xmp(tf.strings.substr(image_bytes, *tf.unstack(xmp))),
        lambda: orientation,
    )
    is_known = (orientation >= 1) & (orientation <= 8)
    return tf.cast(tf.where(is_known, orientation, 1), "int32")


def rotate_upright(image, orientation):
    """Rotates and flips an image by its Exif orientation.

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
    for axis, flipped in enumerate(((3, 4, 7, 8), (2, 3, 6, 7))):
        image = tf.cond(
            tf.reduce_any(orientation == tf.constant(flipped)),
            lambda image=image, axis=axis: tf.reverse(image, (axis,)),
            lambda image=image: image,
        )
    return image


def _zero():
    return tf.constant(0, "int64")


def _find_jpeg_segments(data):
    """Offset and length of the TIFF header and of the XMP; 0 for none."""

    def is_before_end(at, exif, xmp, count):
        is_scan = _has_text(data, at, b"\xff\xda")
        is_inside = at + 4 <= tf.size(data, tf.int64)
        return is_inside & ~is_scan & (count < MAX_STEPS)

    def step(at, exif, xmp, count):
        mark, code = tf.unstack(_read_bytes(data, at, 2))
        is_mark = (mark == 0xFF) & (code != 0xFF)  # else fill or invalid
        is_alone = (code == 0) | ((code >= 0xD0) & (code <= 0xD9))
        length = tf.maximum(_read_number(data, at + 2, 2, False), 2)
        is_app1 = is_mark & (code == 0xE1)
        is_exif = is_app1 & (length > 8) & _has_text(data, at + 4, EXIF)
        is_xmp = is_app1 & (length > 31) & _has_text(data, at + 4, XMP)
        # A long Exif block is continued in the next segment.
        start = tf.where(exif[0] > 0, exif[0], at + 10)
        more = tf.stack([start, exif[1] + length - 8])
        exif = tf.where(is_exif, more, exif)
        xmp = tf.where(is_xmp, tf.stack([at + 33, length - 31]), xmp)
        step = tf.where(is_alone, tf.constant(2, "int64"), 2 + length)
        return at + tf.where(is_mark, step, 1), exif, xmp, count + 1

    return _scan(data, 2, is_before_end, step)


def _find_png_chunks(data):
    """As `_find_jpeg_segments`."""

    def is_before_end(at, exif, xmp, count):
        return (at + 12 <= tf.size(data, tf.int64)) & (count < MAX_STEPS)

    def step(at, exif, xmp, count):
        length = _read_number(data, at, 4, False)
        is_exif = _has_text(data, at + 4, b"eXIf")
        is_xmp = _has_text(data, at + 4, b"iTXt" + PNG_XMP)
        here = tf.stack([at + 8, length])
        exif, xmp = tf.where(is_exif, here, exif), tf.where(is_xmp, here, xmp)
        return at + 12 + length, exif, xmp, count + 1

    return _scan(data, 8, is_before_end, step)


def _scan(data, at, is_before_end, step):
    nowhere = tf.zeros(2, "int64")
    start = [tf.constant(at, "int64"), nowhere, nowhere, tf.constant(0)]
    _, exif, xmp, _ = tf.while_loop(is_before_end, step, start)
    left = tf.size(data, tf.int64) - xmp[0]
    return exif, tf.stack([xmp[0], tf.clip_by_value(xmp[1], 0, left)])


def _read_tiff(data, start, length):
    """The orientation in the first directory of tags, 0 for none."""
    end = start + length
    start = tf.where(_has_text(data, start, EXIF), start + 6, start)  # repeated
    little = _read_bytes(data, start, 1)[0] == ord("I")
    is_tiff = tf.reduce_any([_has_text(data, start, x) for x in TIFF_STARTS])
    is_tiff &= start + 8 <= end
    directory = start + _read_number(data, start + 4, 4, little)
    count = _read_number(data, directory, 2, little)
    entries = directory + 2 + 12 * tf.range(count)
    tags = _read_number(data, entries, 2, little)
    types = _read_number(data, entries + 2, 2, little)
    is_type = types < len(VALUE_BYTES)
    units = tf.gather(
        tf.constant(VALUE_BYTES, "int64"), tf.where(is_type, types, 0)
    )
    sizes = units * _read_number(data, entries + 4, 4, little)
    is_far = sizes > 4
    offsets = start + _read_number(data, entries + 8, 4, little)
    starts = tf.where(is_far, offsets, entries + 8)
    # As Pillow: a value larger than the data left is skipped alone, a value
    # beyond the end with all that follow.
    far_sizes = tf.where(is_far, sizes, 0)
    is_fitting = ~is_far | (tf.cumsum(far_sizes) <= end - start)
    is_beyond_end = is_fitting & is_far & (starts + sizes > end)
    is_beyond_end |= entries + 12 > end
    is_valid = tf.cumsum(tf.cast(is_beyond_end, "int32")) == 0
    is_valid &= is_fitting & (sizes > 0) & (tags == ORIENTATION_TAG)
    found = tf.where(is_valid)[:, 0]

    def value():  # the first one, if there are several
        unit, start = units[found[0]], starts[found[0]]
        number = _read_number(data, start, unit, little)
        is_number = tf.reduce_any(types[found[0]] == WHOLE_NUMBERS)
        return tf.where(is_number & (number > 0), number, 1)

    orientation = tf.cond(tf.size(found) > 0, value, _zero)
    return tf.where(is_tiff, orientation, 1)


def _read_xmp(text):
    """The orientation in an XMP packet, 0 for none."""
    after = tf.strings.split(text, "tiff:Orientation")[1:] + "   "
    is_element = tf.strings.substr(after, 0, 1) == ">"
    is_attribute = tf.strings.substr(after, 0, 2) == '="'
    digits = tf.where(
        is_element,
        tf.strings.substr(after, 1, 1),
        tf.strings.substr(after, 2, 1),
    )
    is_digit = tf.strings.regex_full_match(digits, "[0-9]")
    digits = digits[(is_element | is_attribute) & is_digit]
    return tf.cond(
        tf.size(digits) > 0,
        lambda: tf.strings.to_number(digits[0], "int64"),
        _zero,
    )


def _read_bytes(data, at, count):
    """`count` bytes from each offset `at`; 0 beyond the end."""
    offsets = tf.expand_dims(at, -1) + tf.range(count, dtype="int64")
    is_inside = (offsets >= 0) & (offsets < tf.size(data, tf.int64))
    found = tf.gather(data, tf.where(is_inside, offsets, 0))
    return tf.where(is_inside, tf.cast(found, "int64"), 0)


def _has_text(data, at, text):
    """Whether `data` has this text at the offset `at`."""
    found = _read_bytes(data, at, len(text))
    return tf.reduce_all(found == tf.constant(list(text), "int64"))


def _read_number(data, at, count, little):
    """The unsigned number of `count` bytes at each offset `at`."""
    digits = _read_bytes(data, at, count)
    digits = tf.where(little, digits, tf.reverse(digits, (-1,)))
    powers = tf.cast(256, "int64") ** tf.range(count, dtype="int64")
    return tf.reduce_sum(digits * powers, axis=-1)
