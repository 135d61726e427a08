"""From pictures of any size to a model's input, in serving and `detect`."""

import functools

import keras
import numpy as np
import tensorflow as tf

from keras_vtr.data.augmentation import LONGEST_SIDE
from keras_vtr.data.augmentation import SHORT_SIDES
from keras_vtr.data.pictures.decoding import MAX_BYTES
from keras_vtr.data.pictures.decoding import MAX_PIXELS
from keras_vtr.data.pictures.decoding import decode_image
from keras_vtr.data.pictures.decoding import read_or_blank
from keras_vtr.data.pictures.resizing import check_side
from keras_vtr.data.pictures.resizing import fitted
from keras_vtr.data.pictures.resizing import resized
from keras_vtr.data.pictures.resizing import scaled


class Preparation:
    """Makes one batch of a request's images, the bad ones marked.

    Args:
        resizing: From an image (height, width, C) to one of the model's size,
            or of any size if `pads`.
        image_shape: (height, width, C) of the model's images; height and width
            may be None.
        pads: Whether the model takes a padding mask.
        max_bytes: The most that an encoded image may have.
        max_pixels: The most that an image may have.
    """

    def __init__(self, resizing, image_shape, pads, max_bytes, max_pixels):
        self.resizing = resizing
        self.image_shape = image_shape
        self.pads = pads
        self.limits = {"max_bytes": max_bytes, "max_pixels": max_pixels}

    def read_bytes(self, image_bytes):
        """Encoded images, each by itself: a bad one harms no other.

        Args:
            image_bytes: (B,) string, B > 0.

        Returns:
            The model's input; (B, 2) int32, each image's own height and width;
            and (B,) bool, whether it could be read. One that could not stands
            for itself as a black pixel.
        """
        return self._batch(image_bytes, self._decode_or_blank)

    def read_images(self, images):
        """The same for decoded ones, (B, height, width, C) uint8, B > 0."""
        return self._batch(images, lambda image: (image, True))

    @functools.cached_property
    def read_tiles(self):
        """`read_images` for many batches: traced once for each shape."""
        return tf.function(
            self.read_images, autograph=False, reduce_retracing=True
        )

    def _batch(self, rows, read):
        def prepare(row):
            image, ok = read(row)
            shape = tf.shape(image)[:2]
            pixels = tf.cast(self.resizing(image), "float32")
            mask = tf.ones(tf.shape(pixels)[:2], "bool")
            return {"images": pixels, "padding_mask": mask}, shape, ok

        # The output has every row, in order; padding is 0 and False.
        num_rows = tf.shape(rows, "int64")[0]
        padded_shapes = {
            "images": self.image_shape,
            "padding_mask": self.image_shape[:2],
        }
        inputs, shape, ok = (
            tf.data.Dataset.from_tensor_slices(rows)
            .map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
            .padded_batch(num_rows, (padded_shapes, (2,), ()))
            .get_single_element()
        )
        return (inputs if self.pads else inputs["images"]), shape, ok

    def _decode_or_blank(self, image_bytes):
        num_channels = self.image_shape[2]

        def decode(image_bytes):
            return decode_image(image_bytes, num_channels, **self.limits)

        return read_or_blank(decode, image_bytes, num_channels)


def detector_input(
    model,
    image_size=None,
    short_side=SHORT_SIDES[-1],
    longest_side=LONGEST_SIDE,
    max_bytes=MAX_BYTES,
    max_pixels=MAX_PIXELS,
):
    """How a picture becomes the input of a detector.

    With a fixed size it is stretched to it, or fitted into it if the model has
    a `padding_mask`; with a free size and a `padding_mask` it is scaled as
    `keras_vtr.data.detection_dataset(training=False)` does.

    Args:
        model: A functional detector.
        image_size: As in `export_detector`, as are the others.

    Returns:
        A `Preparation`, and a dict that describes it.
    """
    *own_size, num_channels = model.inputs[0].shape[1:]
    pads, is_free = len(model.inputs) == 2, None in own_size
    if image_size is not None and (pads or not is_free):
        raise ValueError(
            "`image_size` is for a model of free size without padding mask. "
            f"Received: image_size={image_size}, a model of size "
            f"{tuple(own_size)} with {len(model.inputs)} inputs"
        )
    check_side("short_side", short_side)
    check_side("longest_side", longest_side)
    if image_size is not None and np.shape(image_size) != (2,):
        raise ValueError(
            "`image_size` must be (height, width). Received: "
            f"image_size={image_size!r}"
        )
    if image_size is None and is_free and not pads:
        raise ValueError(
            "A model of free size without padding mask needs `image_size`, "
            "(height, width): images of several sizes can't share a batch. Or "
            'build it with padding="exact".'
        )
    for side in image_size or ():
        check_side("image_size", side)
    height, width = image_size or own_size
    if pads and is_free:
        words = {"short_side": short_side, "longest_side": longest_side}
        resizing, height, width = scaled(**words), None, None
        words = {"kind": "scaled", **words}
    elif pads:
        resizing, words = fitted(height, width), {"kind": "fitted"}
    else:
        stretch = keras.layers.Resizing(
            height, width, antialias=True, data_format="channels_last"
        )
        resizing, words = resized(stretch), {"kind": "stretched"}
    shape = (height, width, num_channels)
    return Preparation(resizing, shape, pads, max_bytes, max_pixels), words


def classifier_input(
    model, resizing=None, max_bytes=MAX_BYTES, max_pixels=MAX_PIXELS
):
    """How a picture becomes the input of a classifier.

    Args:
        model: A functional classifier.
        resizing: As in `export_classifier`, as are the others.

    Returns:
        A `Preparation`, and a dict that describes it.
    """
    height, width, num_channels = model.inputs[0].shape[1:]
    if resizing is None and None in (height, width):
        raise ValueError(
            "A model of free size needs `resizing`, such as "
            "keras.layers.Resizing(224, 224, antialias=True)."
        )
    if resizing is None:
        resizing = keras.layers.Resizing(
            height, width, antialias=True, data_format="channels_last"
        )
    is_layer = isinstance(resizing, keras.layers.Resizing)
    if (
        not is_layer
        or resizing.pad_to_aspect_ratio
        or resizing.data_format != "channels_last"
    ):
        raise ValueError(
            "`resizing` must be a keras.layers.Resizing without "
            "`pad_to_aspect_ratio` and with channels last. Received: "
            f"resizing={resizing!r}"
        )
    size = (resizing.height, resizing.width)
    if height not in (None, size[0]) or width not in (None, size[1]):
        raise ValueError(
            "`resizing` must make images of the model's size, "
            f"{(height, width)}. Received: resizing to {size}"
        )
    shape = (*size, num_channels)
    preparation = Preparation(
        resized(resizing), shape, False, max_bytes, max_pixels
    )
    return preparation, resizing.get_config()
