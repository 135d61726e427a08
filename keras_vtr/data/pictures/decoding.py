"""From an encoded image to pixels, the same way in training and in serving."""

import tensorflow as tf

from keras_vtr.data.pictures.exif_orientation import read_orientation
from keras_vtr.data.pictures.exif_orientation import turn_upright

# A picture of a present camera fits; a bomb does not: a PNG of 558 KiB can
# hold 14000 x 14000 pixels, which take gigabytes to decode.
MAX_BYTES = 32 * 2**20
MAX_PIXELS = 64 * 2**20
JPEG_START = b"\xff\xd8\xff"
PNG_START = b"\x89PNG\r\n\x1a\n"


def decode_image(
    image_bytes, num_channels=3, *, max_bytes=MAX_BYTES, max_pixels=MAX_PIXELS
):
    """Decodes a JPEG or PNG, upright as its Exif orientation says.

    The size is read from the header and judged before anything is decoded. An
    image stands as viewers show it, and boxes are in pixels of that: the Exif
    orientation (CIPA DC-008, tag 0x0112), or XMP's, is applied, as Pillow's
    `exif_transpose` does. Of an MPO the first picture is taken. Transparency is
    dropped, 16 bits become 8, of an animated PNG the first picture is taken.

    Args:
        image_bytes: Scalar string, the content of the file.
        num_channels: C, 3 for color or 1 for gray; others are converted.
        max_bytes: The most that `image_bytes` may have.
        max_pixels: The most that height x width may be.

    Returns:
        (height, width, C) uint8.

    Raises:
        ValueError: If `num_channels` is neither 1 nor 3.
        tf.errors.InvalidArgumentError: When it runs, if the bytes are no whole
            JPEG or PNG or exceed a limit.

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
    # The method is named, or it would be the platform's.
    image = tf.cond(
        is_jpeg,
        lambda: tf.image.decode_jpeg(
            image_bytes, num_channels, dct_method="INTEGER_ACCURATE"
        ),
        lambda: tf.image.decode_png(image_bytes, channels=num_channels),
    )
    image = turn_upright(image, read_orientation(image_bytes, is_jpeg))
    return tf.ensure_shape(image, (None, None, num_channels))


@tf.function(input_signature=[tf.TensorSpec((), tf.string)])
def read_shape(path):
    """(height, width) of what `decode_image` makes of a file, by its header."""
    image_bytes, is_jpeg, shape = _check_header(
        tf.io.read_file(path), MAX_BYTES, MAX_PIXELS
    )
    is_turned = read_orientation(image_bytes, is_jpeg) >= 5
    return tf.where(is_turned, shape[::-1], shape)


def read_or_blank(read, key, num_channels=3):
    """What `read` makes of `key`, or a black pixel where it fails.

    Args:
        read: From a scalar to an image (height, width, C) uint8, in the graph.
        key: The scalar: encoded bytes, a path, a number.
        num_channels: C.

    Returns:
        The image, and a bool, whether it could be read.
    """
    # A failing element is the one error that a graph can catch.
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
    """The bytes, once they are judged; if a JPEG; (height, width) as stored."""
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
            ["Neither a JPEG nor a PNG; bytes:", size],
        ),
    ]


def _png_shape(image_bytes):
    """(height, width) as the header says; negative from 2^31 on."""
    check = tf.debugging.Assert(
        tf.strings.length(image_bytes) >= 24, ["A PNG without its header"]
    )
    with tf.control_dependencies([check]):
        sides = tf.strings.substr(image_bytes, 16, 8)
    return tf.io.decode_raw(sides, "int32", little_endian=False)[::-1]
