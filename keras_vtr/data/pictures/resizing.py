"""How pictures of any size get a model's size."""

import numpy as np
import tensorflow as tf

from keras_vtr.data.augmentation import resize


def check_side(name, side):
    """Refuses a side that is no whole number of pixels above 0."""
    if not isinstance(side, (int, np.integer)) or side < 1:
        raise ValueError(
            f"`{name}` must be in whole pixels, 1 or more. Received: "
            f"{name}={side!r}"
        )


def resized(resizing):
    """As a `keras.layers.Resizing` does with float32, without that much memory.

    Keras 3.15.1 gives back the type that it gets: from uint8 it would round.
    """
    height, width = resizing.height, resizing.width

    def resize(image):
        if resizing.crop_to_aspect_ratio:
            image = _crop(image, height, width)
        return tf.image.resize(
            image,
            (height, width),
            resizing.interpolation,
            antialias=resizing.antialias,
        )

    return resize


def _crop(image, height, width):
    """The largest piece of this form, from the middle."""
    sides = tf.shape(image)[:2]
    form = tf.constant((height / width, width / height), "float32")
    piece = tf.cast(tf.cast(sides[::-1], "float32") * form, "int32")
    piece = tf.clip_by_value(piece, 1, sides)
    y, x = tf.unstack((sides - piece) // 2)
    return image[y : y + piece[0], x : x + piece[1]]


def scaled(short_side, longest_side):
    """As `keras_vtr.data.detection_dataset(training=False)` does."""
    return lambda image: resize(image, {}, short_side, longest_side)[0]


def fitted(height, width):
    """Scales into this and fills up with padding at the lower right."""

    def fit(image):
        sides = tf.cast(tf.shape(image)[:2], "float32")
        limits = tf.constant((height, width))
        scale = tf.reduce_min(tf.cast(limits, "float32") / sides)
        shape = tf.cast(tf.round(sides * scale), "int32")
        shape = tf.clip_by_value(shape, 1, limits)
        return tf.image.resize(image, shape, antialias=True)

    return fit
