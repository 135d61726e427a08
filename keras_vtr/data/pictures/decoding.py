"""Decoding of images, the same in training and in serving."""

import tensorflow as tf

from keras_vtr.data.pictures.exif_orientation import read_orientation
from keras_vtr.data.pictures.exif_orientation import rotate_upright

# For pictures of today's cameras, against decompression bombs: a PNG of 558 KiB
# can contain 14000 x 14000 pixels, which take gigabytes to decode.
MAX_BYTES = 32 * 2**20
MAX_PIXELS = 64 * 2**20
JPEG_START = b"\xff\xd8\xff"
PNG_START = b"\x89PNG\r\n\x1a\n"


def decode_image(
    image_bytes, num_channels=3, *, max_bytes=MAX_BYTES, max_pixels=MAX_PIXELS
):
    """Decodes a JPEG or PNG, rotated upright by its Exif orientation.

    The size in the header is checked before decoding. Boxes are in pixels of
    the upright image: the Exif orientation (CIPA DC-008, tag 0x0112), or XMP's,
    is applied, as in Pillow's `exif_transpose`. Transparency is dropped, 16
    bits become 8, and only the first picture of an MPO or an animated PNG is
    read.

    Args:
        image_bytes: Scalar string, the content of the file.
        num_channels: C, 3 for color or 1 for gray, to which it is converted.
        max_bytes: Limit of the length of `image_bytes`.
        max_pixels: Limit of height x width.

    Returns:
        (height, width, C) uint8.

    Raises:
        ValueError: If `num_channels` is neither 1 nor 3.
        tf.errors.InvalidArgumentError: At run time, if the bytes are not a
            complete JPEG or PNG, or exceed a limit.

    Example:

    >>> picture = np.full((4, 6, 3), 128, "uint8")
    >>> import tensorflow as tf
    >>> image_bytes = tf.io.encode_png(picture)
    >>> print(keras_vtr.data.decode_image(image_bytes).shape)
    (4, 6, 3)
    """
    if num_channels not in (1, 3):
        raise ValueError(
            "`num_channels` must be 1 or 3. Received: "
            f"num_channels={num_channels}"
        )
    image_bytes, is_jpeg, _ = _check_header(image_bytes, max_bytes, max_pixels)
    # The default DCT method depends on the platform.
    image = tf.cond(
        is_jpeg,
        lambda: tf.image.decode_jpeg(
            image_bytes, num_channels, dct_method="INTEGER_ACCURATE"
        ),
        lambda: tf.image.decode_png(image_bytes, channels=num_channels),
    )
    image = rotate_upright(image, read_orientation(image_bytes, is_jpeg))
    return tf.ensure_shape(image, (None, None, num_channels))


@tf.function(input_signature=[tf.TensorSpec((), tf.string)])
def read_shape(path):
    """(height, width) of the decoded file, from its header."""
    image_bytes, is_jpeg, shape = _check_header(
        tf.io.read_file(path), MAX_BYTES, MAX_PIXELS
    )
    is_rotated = read_orientation(image_bytes, is_jpeg) >= 5
    return tf.where(is_rotated, shape[::-1], shape)


def read_or_blank(read, key, num_channels=3):
    """`read(key)`, or a black pixel if it fails.

    Args:
        read: A graph function of a scalar; returns (height, width, C) uint8.
        key: The scalar: encoded bytes, a path or an index.
        num_channels: C.

    Returns:
        The image, and a bool, True if it could be read.
    """
    # A graph can catch errors only as failing elements of a data set.
    blank = tf.zeros((1, 1, num_channels), "uint8")
    images = (
        tf.data.Dataset.from_tensors(key)
        .map(lambda key: (read(key), True))
        .ignore_errors()
        .concatenate(tf.data.Dataset.from_tensors((blank, False)))
    )
    image, ok = images.take(1).get_single_element()
    return tf.ensure_shape(image, (None, None, num_channels)), ok


def _check_header(image_bytes, max_bytes, max_pixels):
    """The checked bytes; whether a JPEG; (height, width) before rotation."""
    is_jpeg = tf.strings.substr(image_bytes, 0, 3) == JPEG_START
    checks = _check_type(image_bytes, is_jpeg, max_bytes)
    with tf.control_dependencies(checks):
        image_bytes = tf.identity(image_bytes)
    shape = tf.cond(
        is_jpeg,
        lambda: tf.image.extract_jpeg_shape(image_bytes)[:2],
        lambda: _png_shape(image_bytes),
    )
    pixels = tf.reduce_prod(tf.cast(shape, "int64"))
    check = tf.debugging.Assert(
        (pixels > 0) & (pixels <= max_pixels),
        ["An image has more pixels than the limit:", shape, max_pixels],
    )
    with tf.control_dependencies([check]):
        return tf.identity(image_bytes), is_jpeg, shape


def _check_type(image_bytes, is_jpeg, max_bytes):
    size = tf.strings.length(image_bytes)
    is_png = tf.strings.substr(image_bytes, 0, 8) == PNG_START
    return [
        tf.debugging.Assert(
            size <= max_bytes,
            ["An image has more bytes than the limit:", size, max_bytes],
        ),
        tf.debugging.Assert(
            is_jpeg | is_png,
            ["Neither a JPEG nor a PNG; number of bytes:", size],
        ),
    ]


def _png_shape(image_bytes):
    """(height, width) from the header; negative from 2^31 on."""
    check = tf.debugging.Assert(
        tf.strings.length(image_bytes) >= 24,
        ["A PNG without a complete header"],
    )
    with tf.control_dependencies([check]):
        sides = tf.strings.substr(image_bytes, 16, 8)
    return tf.io.decode_raw(sides, "int32", little_endian=False)[::-1]
