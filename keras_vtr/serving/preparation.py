"""From the images of a request to the input of a model, in the graph."""

import tensorflow as tf

from keras_vtr.data.augmentation import resize
from keras_vtr.data.pictures.decoding import decode_image
from keras_vtr.data.pictures.decoding import read_or_blank


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
    no_boxes = tf.zeros((0, 4))
    return lambda image: resize(image, no_boxes, short_side, longest_side)[0]


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
