"""Digits, resized and drawn into scenes, and the backgrounds behind them."""

import math

import tensorflow as tf

# Products of 46 x 8 x 46 and more have one kernel in TensorFlow 2.21, smaller
# ones another, and their sums differ in the last bit.
MIN_PATCH = 46  # pixels
MIN_INK = 64.0  # of 255: darker pixels are no part of a mask
CROP_RANGE = (128.0, 256.0)  # height and width of a crop, a photograph's pixels
CONTRAST_RANGE = (0.2, 0.5)  # of a photograph


def draw(images, ink, boxes, size, max_height):
    """Draws n digits, each into a patch that holds the largest one.

    So the time depends on the digits, hardly on the size of the scene.

    Args:
        images: (n, 8, 8) digits.
        ink: (n, 4) `xyxy` boxes, what is drawn of a digit.
        boxes: (n, 4) `xyxy` boxes, where it is drawn.
        size: Side of the square scenes.
        max_height: No box is longer.

    Returns:
        (n, patch, patch) values, 0 outside of the box, and (n, patch, patch)
        int32, the pixel of the scene that each belongs to.
    """
    patch = max(MIN_PATCH, math.ceil(max_height) + 1)
    patch = tf.range(patch, dtype=tf.float32)
    x = tf.floor(boxes[:, :1]) + patch  # (n, patch)
    y = tf.floor(boxes[:, 1:2]) + patch
    rows = _interpolation_weights(y + 0.5, ink[:, 1::2], boxes[:, 1::2])
    columns = _interpolation_weights(x + 0.5, ink[:, 0::2], boxes[:, 0::2])
    drawn = rows @ images @ tf.linalg.matrix_transpose(columns)
    x, y = (tf.cast(tf.minimum(p, size - 1), tf.int32) for p in (x, y))
    return drawn, size * y[:, :, None] + x[:, None]


def render(drawn, pixels, scene, background):
    """Puts drawn digits into scenes; the brightest of overlapping pixels stays.

    Args:
        drawn: (n, patch, patch), from `draw`.
        pixels: Likewise.
        scene: (n,) int32 below B.
        background: (B, size, size).

    Returns:
        (B, size, size) scenes.
    """
    canvas = _brightest(drawn, pixels, scene, background.shape)
    return tf.maximum(canvas, background)


def ink_masks(drawn, pixels, scene, item, canvas, num_items):
    """The pixels of each digit that can be seen: bright, and none is brighter.

    Of equally bright digits the first one has a pixel.

    Args:
        drawn: (n, patch, patch), from `draw`.
        pixels: Likewise.
        scene: (n,) int32 below B.
        item: (n,) int32 below M, the digit's place among those of its scene.
        canvas: (B, size, size), from `render`.
        num_items: M.

    Returns:
        (B, M, size, size) bool.
    """
    batch_size, size, _ = canvas.shape

    def at_pixels(scenes):
        rows = tf.gather(tf.reshape(scenes, (batch_size, -1)), scene)
        return tf.gather(rows, pixels, batch_dims=1)  # (n, patch, patch)

    is_seen = (drawn >= at_pixels(canvas)) & (drawn > MIN_INK)
    rank = tf.cast(num_items - item, tf.float32)[:, None, None]
    rank = tf.where(is_seen, rank, 0.0)
    is_seen &= rank == at_pixels(_brightest(rank, pixels, scene, canvas.shape))
    shape = (batch_size, num_items, size, size)
    seen = tf.where(is_seen, 1.0, 0.0)
    return _brightest(seen, pixels, scene * num_items + item, shape) > 0


def _brightest(drawn, pixels, canvas, shape):
    """The largest value at each pixel of canvases of a shape."""
    pixels = canvas[:, None, None] * math.prod(shape[-2:]) + pixels
    # Thrice as fast as a scatter_nd_max.
    largest = tf.math.unsorted_segment_max(
        tf.reshape(drawn, [-1]), tf.reshape(pixels, [-1]), math.prod(shape)
    )
    return tf.reshape(largest, shape)


def _interpolation_weights(pixel, ink, box):
    """Bilinear interpolation along one axis, as a matrix.

    Args:
        pixel: (n, patch), centers of the scene's pixels.
        ink: (n, 2), where the digit begins and ends.
        box: (n, 2), where it is drawn.

    Returns:
        (n, patch, 8) weights of the digit's pixels, 0 outside of the box.
    """
    begin, end = box[..., :1], box[..., 1:]
    share = (pixel - begin) / (end - begin)  # of the box's length
    x = ink[..., :1] + share * (ink[..., 1:] - ink[..., :1])
    x = tf.clip_by_value(x - 0.5, ink[..., :1], ink[..., 1:] - 1)
    distance = tf.abs(x[..., None] - tf.range(8, dtype=tf.float32))
    weights = tf.maximum(1.0 - distance, 0.0)
    is_inside = (pixel > begin) & (pixel < end)
    return tf.where(is_inside[..., None], weights, 0.0)


def random_backgrounds(photographs, shape, seeds):
    """Random crops of photographs, resized, dark and of low contrast.

    Args:
        photographs: (n, height, width) gray pixels.
        shape: (B, size, size).
        seeds: (2, 2) integers.

    Returns:
        (B, size, size), far darker than a digit's ink.
    """
    num_photographs, height, width = photographs.shape
    batch_size, size, _ = shape
    which = tf.random.stateless_uniform(
        (batch_size,), seeds[0], 0, num_photographs, dtype=tf.int32
    )
    draws = tf.random.stateless_uniform((4, batch_size, 1), seeds[1])
    side = CROP_RANGE[0] + draws[0] * (CROP_RANGE[1] - CROP_RANGE[0])
    share = (tf.range(size, dtype=tf.float32) + 0.5) / size  # of the crop
    y = tf.cast(
        draws[1] * (height - side) + side * share, tf.int32
    )  # (B, size)
    x = tf.cast(draws[2] * (width - side) + side * share, tf.int32)
    row = which[:, None] * height + y
    pixel = row[:, :, None] * width + x[:, None]
    background = tf.gather(tf.reshape(photographs, [-1]), pixel)
    low, high = CONTRAST_RANGE
    return background * (low + draws[3] * (high - low))[..., None]
