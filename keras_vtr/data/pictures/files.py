"""Sizes and faults of picture files."""

import os

import tensorflow as tf
from PIL import Image

from keras_vtr.data.pictures.decoding import MAX_BYTES
from keras_vtr.data.pictures.decoding import MAX_PIXELS
from keras_vtr.data.pictures.decoding import decode_image
from keras_vtr.data.pictures.decoding import read_shape


def upright_shape(path):
    """(height, width) of the decoded file, from its header.

    Raises:
        OSError: If it is not a JPEG or PNG, is too large, or can't be read.
    """
    try:
        height, width = read_shape(os.fspath(path)).numpy().tolist()
    except tf.errors.OpError as error:
        raise OSError(f"{path}: {why_unreadable(path)}") from error
    return height, width


def read_picture(path, num_channels=3):
    """(height, width, num_channels) uint8 pixels of a JPEG or PNG, upright.

    Raises:
        OSError: If it is no JPEG or PNG, too large, or can't be read.
    """
    try:
        file = tf.io.read_file(os.fspath(path))
        return decode_image(file, num_channels).numpy()
    except tf.errors.OpError as error:
        raise OSError(
            f"{path} can't be read: {why_unreadable(path)}"
        ) from error


def why_unreadable(path):
    """A text: why `decode_image` refuses a picture."""
    try:
        num_bytes = os.path.getsize(path)
        if num_bytes > MAX_BYTES:
            return f"it has {num_bytes} bytes, more than {MAX_BYTES}"
        with Image.open(path) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                return (
                    f"it has {width} x {height} pixels, more than {MAX_PIXELS}"
                )
            if picture.format not in ("JPEG", "MPO", "PNG"):
                return f"it is neither a JPEG nor a PNG, but {picture.format}"
            picture.load()
    except Exception as error:  # any error of Pillow's decoders
        return str(error)
    return "TensorFlow can't decode it, but Pillow can: save it again"
