"""Scenes of handwritten digits: detection data without a download."""

import functools

import numpy as np
import tensorflow as tf

CANVAS = 64  # pixels, height and width of a scene
MAX_DIGITS = 5  # M
NUM_TRAIN = 1347  # of the 1,797 digits, in the order of the data set
HEIGHT_RANGE = (14.0, 30.0)  # pixels
ASPECT_RANGE = (0.75, 1.33)  # stretch of the width
NUM_TRIES = 24  # random positions of a digit; the least overlap is taken
MAX_OVERLAP = 0.1  # of the smaller box's area; else it is left out


def digit_scenes(split, *, batch_size=32, num_scenes=None, seed=0):
    """Makes scenes of one to five handwritten digits, with their boxes.

    The digits are scikit-learn's `load_digits`: 1,797 images of 8 x 8 pixels,
    from 13 writers (Alpaydin and Kaynak 1998), in the order of the writers'
    forms. The first 1,347 are for training and the last 450 are held out: no
    digit image is in both splits, and most held-out writers are unseen. Each
    digit is cropped to its ink, resized, stretched and placed with little
    overlap on a dark, slightly noisy canvas.

    A scene depends only on `seed`, `split` and the number of its batch. A few
    tensor operations draw a complete batch, in parallel with training.

    Args:
        split: `"train"` or `"held_out"`.
        batch_size: B.
        num_scenes: Number of scenes; the last batch may be smaller. Default:
            infinite, so that `fit` needs `steps_per_epoch`.
        seed: An integer.

    Returns:
        A `tf.data.Dataset` of `(images, y_true)`: images (B, 64, 64, 1)
        float32 in [0, 255], and `y_true` with `"boxes"` (B, 5, 4) float32
        `rel_center_xywh` and `"labels"` (B, 5) int32, the digit, -1 for
        padding.

    Raises:
        ImportError: If scikit-learn is not installed.
        ValueError: If an argument is out of its range.

    Example:

    >>> scenes = keras_vtr.data.digit_scenes("train", batch_size=8)
    >>> images, y_true = next(iter(scenes))
    >>> print(images.shape, y_true["boxes"].shape)
    (8, 64, 64, 1) (8, 5, 4)
    """
    if split not in ("train", "held_out"):
        raise ValueError(
            f"`split` must be 'train' or 'held_out'. Received: split={split!r}"
        )
    for name, value in (("batch_size", batch_size), ("num_scenes", num_scenes)):
        if value is not None and value < 1:
            raise ValueError(
                f"`{name}` must be 1 or more. Received: {name}={value}"
            )
    digits = tuple(tf.constant(part) for part in load_digits(split))
    stream = 0 if split == "train" else 1

    def draw(index):
        index = tf.cast(index, tf.int32)
        scenes = _draw_batch(digits, batch_size, [seed, 2 * index + stream])
        if num_scenes is None:
            return scenes
        rest = tf.minimum(batch_size, num_scenes - index * batch_size)
        return tf.nest.map_structure(lambda x: x[:rest], scenes)

    dataset = tf.data.Dataset.counter()
    if num_scenes is not None:
        dataset = dataset.take(-(-num_scenes // batch_size))
    dataset = dataset.map(draw, num_parallel_calls=2, deterministic=True)
    return dataset.prefetch(4)


@functools.cache
def load_digits(split):
    """The handwritten digits of `digit_scenes`.

    Args:
        split: `"train"`, 1,347 digits, or `"held_out"`, 450.

    Returns:
        `images` (n, 8, 8) float32 in [0, 255], `labels` (n,) int32, and `ink`
        (n, 4) float32, the smallest `xyxy` box around all pixels above 0.

    Raises:
        ImportError: If scikit-learn is not installed.

    Example:

    >>> images, labels, ink = keras_vtr.data.load_digits("held_out")
    >>> print(images.shape, labels[:3])
    (450, 8, 8) [3 7 3]
    """
    try:
        from sklearn import datasets
    except ImportError as error:
        raise ImportError(
            "The handwritten digits come with scikit-learn. Install it: "
            "pip install scikit-learn"
        ) from error
    data = datasets.load_digits()
    part = slice(NUM_TRAIN) if split == "train" else slice(NUM_TRAIN, None)
    images = (data.images[part] * (255 / 16)).astype("float32")
    ink = []
    for image in images:
        rows = np.flatnonzero(image.any(axis=1))
        columns = np.flatnonzero(image.any(axis=0))
        ink.append((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    labels = data.target[part].astype("int32")
    return images, labels, np.array(ink, "float32")


def _draw_batch(digits, batch_size, seed):
    images, labels, ink = digits
    seeds = tf.random.split(seed, num=5)
    shape = (batch_size, MAX_DIGITS)
    indexes = tf.random.stateless_uniform(
        shape, seeds[0], 0, len(images), dtype=tf.int32
    )
    ink = tf.gather(ink, indexes)  # (B, M, 4)
    boxes, is_placed = _place_digits(ink, seeds[1:3])
    number = tf.random.stateless_uniform(
        (batch_size, 1), seeds[3], 1, MAX_DIGITS + 1, dtype=tf.int32
    )
    is_drawn = is_placed & (tf.range(MAX_DIGITS) < number)  # (B, M)
    canvas = _render(tf.gather(images, indexes), ink, boxes, is_drawn)
    noise = tf.random.stateless_uniform(canvas.shape, seeds[4], 0.0, 24.0)
    canvas = tf.clip_by_value(canvas + noise, 0.0, 255.0)
    center = (boxes[..., :2] + boxes[..., 2:]) / 2
    size = boxes[..., 2:] - boxes[..., :2]
    relative = tf.concat([center, size], axis=-1) / CANVAS
    return canvas[..., None], {
        "boxes": tf.where(is_drawn[..., None], relative, 0.0),
        "labels": tf.where(is_drawn, tf.gather(labels, indexes), -1),
    }


def _place_digits(ink, seeds):
    """Random sizes, and of some random positions those of least overlap.

    Returns:
        `xyxy` boxes (B, M, 4) in pixels, and whether each overlaps the ones
        before it by `MAX_OVERLAP` at most.
    """
    batch_size = ink.shape[0]
    shape = (batch_size, MAX_DIGITS)
    draws = tf.random.stateless_uniform((2, *shape), seeds[0])
    height = HEIGHT_RANGE[0] + draws[0] * (HEIGHT_RANGE[1] - HEIGHT_RANGE[0])
    stretch = ASPECT_RANGE[0] + draws[1] * (ASPECT_RANGE[1] - ASPECT_RANGE[0])
    written = ink[..., 2:] - ink[..., :2]
    width = height * stretch * written[..., 0] / written[..., 1]
    size = tf.stack([tf.minimum(width, HEIGHT_RANGE[1]), height], axis=-1)
    free = tf.random.stateless_uniform((*shape, NUM_TRIES, 2), seeds[1])
    corner = free * (CANVAS - size)[:, :, None]  # (B, M, tries, 2)
    tries = tf.concat([corner, corner + size[:, :, None]], axis=-1)
    boxes, is_placed = [], []
    for m in range(MAX_DIGITS):
        overlap = tf.zeros((batch_size, NUM_TRIES))
        for box, placed in zip(boxes, is_placed, strict=True):
            with_box = _overlap(tries[:, m], box[:, None])
            with_box = tf.where(placed[:, None], with_box, 0.0)
            overlap = tf.maximum(overlap, with_box)
        best = tf.argmin(overlap, axis=1)
        boxes.append(tf.gather(tries[:, m], best, batch_dims=1))
        is_placed.append(tf.reduce_min(overlap, axis=1) <= MAX_OVERLAP)
    return tf.stack(boxes, axis=1), tf.stack(is_placed, axis=1)


def _overlap(boxes1, boxes2):
    """Intersection over the smaller area of `xyxy` boxes that broadcast."""
    upper_left = tf.maximum(boxes1[..., :2], boxes2[..., :2])
    lower_right = tf.minimum(boxes1[..., 2:], boxes2[..., 2:])
    shared = tf.reduce_prod(tf.maximum(lower_right - upper_left, 0.0), axis=-1)
    area1 = tf.reduce_prod(boxes1[..., 2:] - boxes1[..., :2], axis=-1)
    area2 = tf.reduce_prod(boxes2[..., 2:] - boxes2[..., :2], axis=-1)
    return shared / tf.minimum(area1, area2)


def _render(images, ink, boxes, is_drawn):
    """Resizes each digit's ink to its box; the brighter pixel is kept.

    Bilinear interpolation is separable: one matrix for the rows, one for the
    columns.
    """
    rows = _interpolation_weights(ink[..., 1::2], boxes[..., 1::2])
    columns = _interpolation_weights(ink[..., 0::2], boxes[..., 0::2])
    drawn = rows @ images @ tf.linalg.matrix_transpose(columns)
    drawn = tf.where(is_drawn[..., None, None], drawn, 0.0)
    return tf.reduce_max(drawn, axis=1)  # (B, height, width)


def _interpolation_weights(ink, box):
    """(B, M, canvas, 8) weights from spans (B, M, 2) of ink and box."""
    pixel = tf.range(CANVAS, dtype=tf.float32) + 0.5
    begin, end = box[..., :1], box[..., 1:]
    share = (pixel - begin) / (end - begin)  # of the box's length
    x = ink[..., :1] + share * (ink[..., 1:] - ink[..., :1])
    x = tf.clip_by_value(x - 0.5, ink[..., :1], ink[..., 1:] - 1)
    distance = tf.abs(x[..., None] - tf.range(8, dtype=tf.float32))
    weights = tf.maximum(1.0 - distance, 0.0)
    is_inside = (pixel > begin) & (pixel < end)
    return tf.where(is_inside[..., None], weights, 0.0)
