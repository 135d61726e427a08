"""Scenes of handwritten digits: detection data without a download."""

import math

import numpy as np
import tensorflow as tf

from keras_vtr.data.digits.layout import find_layout
from keras_vtr.data.digits.placement import place
from keras_vtr.data.digits.placement import random_boxes
from keras_vtr.data.digits.rendering import draw
from keras_vtr.data.digits.rendering import ink_masks
from keras_vtr.data.digits.rendering import random_backgrounds
from keras_vtr.data.digits.rendering import render
from keras_vtr.data.digits.sources import load_digits
from keras_vtr.data.digits.sources import load_photographs

MAX_NOISE = 24.0  # added to every pixel


def digit_scenes(
    split,
    *,
    layout="easy",
    digits=range(10),
    masks=False,
    batch_size=32,
    num_scenes=None,
    seed=0,
):
    """Makes scenes of handwritten digits, with their boxes and masks.

    The digits are scikit-learn's `load_digits`: 1,797 images of 8 x 8 pixels,
    from 13 writers (Alpaydin and Kaynak 1998), in the order of the writers'
    forms. The first 1,347 are for training and the last 450 are held out: no
    digit image is in both splits, and most held-out writers are unseen. Each
    digit is cropped to its ink, resized, stretched and placed at random.

    An easy scene has one to five digits of 14 to 30 pixels on 64 x 64, with
    little overlap, on a dark, slightly noisy canvas. A crowded one has up to 40
    digits of 8 to 40 pixels on 256 x 256; they overlap by up to 0.4 of the
    smaller box, among up to 20 fragments of digits, which are no targets, in
    front of darkened photographs. The photographs' left parts are for training,
    their right parts are held out.

    A scene depends only on `layout`, `digits`, `seed`, `split`, `batch_size`
    and the number of its batch, with masks or without. A few tensor operations
    draw a complete batch, in parallel with training.

    Args:
        split: `"train"` or `"held_out"`.
        layout: `"easy"`, `"crowded"` or a `keras_vtr.data.SceneLayout`.
        digits: Which ones are drawn, some of 0 to 9; labels stay the digits.
        masks: Whether `y_true` has `"masks"`, the ink of each digit where no
            brighter one covers it.
        batch_size: B.
        num_scenes: Number of scenes; the last batch may be smaller. Default:
            infinite, so that `fit` needs `steps_per_epoch`.
        seed: An integer.

    Returns:
        A `tf.data.Dataset` of `(images, y_true)`: images (B, 64, 64, 1)
        float32 in [0, 255], and `y_true` with `"boxes"` (B, M, 4) float32
        `rel_center_xywh` and `"labels"` (B, M) int32, the digit, -1 for
        padding; optionally `"masks"` (B, M, 64, 64) bool. M is 5; crowded
        scenes are 256 x 256 and M is 40.

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
    layout = find_layout(layout)
    sources = _only(digits, *load_digits(split))
    if layout.photographs:
        sources = (*sources, load_photographs(split))
    sources = tuple(tf.constant(source) for source in sources)
    stream = 0 if split == "train" else 1

    def make_batch(index):
        index = tf.cast(index, tf.int32)
        scenes = _draw_batch(
            sources, layout, masks, batch_size, [seed, 2 * index + stream]
        )
        if num_scenes is None:
            return scenes
        rest = tf.minimum(batch_size, num_scenes - index * batch_size)
        return tf.nest.map_structure(lambda x: x[:rest], scenes)

    dataset = tf.data.Dataset.counter()
    if num_scenes is not None:
        dataset = dataset.take(-(-num_scenes // batch_size))
    dataset = dataset.map(make_batch, num_parallel_calls=2, deterministic=True)
    return dataset.prefetch(4)


def _only(digits, images, labels, ink):
    if not set(digits) or not set(digits) <= set(range(10)):
        raise ValueError(
            f"`digits` must be some of 0 to 9. Received: digits={digits!r}"
        )
    kept = np.isin(labels, [*digits])
    return images[kept], labels[kept], ink[kept]


def _draw_batch(sources, layout, masks, batch_size, seed):
    """Digits come first, fragments after them: M + F items a scene."""
    digits, labels, ink, *photographs = sources
    num_digits = layout.max_digits  # M
    seeds = tf.random.split(seed, num=9)
    indexes = tf.random.stateless_uniform(
        (batch_size, num_digits + layout.max_fragments),
        seeds[0],
        0,
        len(digits),
        dtype=tf.int32,
    )
    is_wanted = tf.concat(
        [
            _first_ones(batch_size, 1, num_digits, seeds[3]),
            _first_ones(batch_size, 0, layout.max_fragments, seeds[5]),
        ],
        axis=-1,
    )
    ink = tf.gather(ink, indexes)
    tries = random_boxes(ink, layout, seeds[1:3])
    boxes = place(tries, is_wanted, layout.max_overlap)
    size = boxes[..., 2:] - boxes[..., :2]
    is_drawn = size[..., 0] > 0
    shape = (batch_size, layout.image_size, layout.image_size)
    background = _background(photographs, shape, seeds[7:9])
    digits = tf.gather(digits, indexes)
    fragments = _quarters(digits[:, num_digits:], ink[:, num_digits:], seeds[6])
    digits = tf.concat([digits[:, :num_digits], fragments], axis=1)
    drawn, pixels = draw(
        digits[is_drawn],
        ink[is_drawn],
        boxes[is_drawn],
        layout.image_size,
        layout.digit_heights[1],
    )
    scene, item = tf.unstack(tf.cast(tf.where(is_drawn), tf.int32), axis=1)
    canvas = render(drawn, pixels, scene, background)
    targets = {}
    if masks:
        targets["masks"] = ink_masks(
            drawn, pixels, scene, item, canvas, is_drawn.shape[1]
        )
    noise = tf.random.stateless_uniform(shape, seeds[4], 0.0, MAX_NOISE)
    canvas = tf.clip_by_value(canvas + noise, 0.0, 255.0)
    center = (boxes[..., :2] + boxes[..., 2:]) / 2
    targets["boxes"] = tf.concat([center, size], axis=-1) / layout.image_size
    targets["labels"] = tf.where(is_drawn, tf.gather(labels, indexes), -1)
    targets = {key: x[:, :num_digits] for key, x in targets.items()}
    return canvas[..., None], targets


def _background(photographs, shape, seeds):
    if not photographs:
        return tf.zeros(shape)
    return random_backgrounds(*photographs, shape, seeds)


def _first_ones(batch_size, least, most, seed):
    """(B, most) bool, true for a random number of items from the first on."""
    number = tf.random.stateless_uniform(
        (batch_size, 1), seed, least, most + 1, dtype=tf.int32
    )
    return tf.range(most) < number


def _quarters(digits, ink, seed):
    """Cuts digits by a cross through their middle, and keeps one quarter.

    Args:
        digits: (B, F, 8, 8).
        ink: (B, F, 4), their `xyxy` boxes.
        seed: Two integers, for the cross's angles.

    Returns:
        (B, F, 8, 8), soft where it is cut.
    """
    center = (ink[..., :2] + ink[..., 2:]) / 2
    pixel = tf.range(8, dtype=tf.float32) + 0.5
    x = (pixel - center[..., :1])[..., None, :]
    y = (pixel - center[..., 1:])[..., None]
    angle = tf.random.stateless_uniform(center.shape[:2], seed, 0.0, math.tau)
    cosine, sine = (f(angle)[..., None, None] for f in (tf.cos, tf.sin))
    before, beside = cosine * x + sine * y, cosine * y - sine * x
    kept = (tf.clip_by_value(d + 0.5, 0.0, 1.0) for d in (before, beside))
    return digits * math.prod(kept)
