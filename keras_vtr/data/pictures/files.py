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


def read_picture(path, num_channels=3, remedy="", **limits):
    """(height, width, num_channels) uint8 pixels of a JPEG or PNG, upright.

    Args:
        path: Of the file.
        num_channels: As of `decode_image`.
        remedy: A text: what to do about a file that is above a limit.
        **limits: `max_bytes` and `max_pixels` of `decode_image`.

    Raises:
        OSError: If it is no JPEG or PNG, too large, or can't be read.
    """
    try:
        file = tf.io.read_file(os.fspath(path))
        return decode_image(file, num_channels, **limits).numpy()
    except tf.errors.OpError as error:
        reason = why_unreadable(path, remedy, **limits)
        raise OSError(f"{path} can't be read: {reason}") from error


def why_unreadable(path, remedy="", max_bytes=MAX_BYTES, max_pixels=MAX_PIXELS):
    """A text: why `decode_image` refuses a picture."""
    try:
        num_bytes = os.path.getsize(path)
        if num_bytes > max_bytes:
            return f"it has {num_bytes} bytes, more than {max_bytes}{remedy}"
        with Image.open(path) as picture:
            width, height = picture.size
            if width * height > max_pixels:
                return (
                    f"it has {width} x {height} pixels, more than {max_pixels}"
                    f"{remedy}"
                )
            if picture.format not in ("JPEG", "MPO", "PNG"):
                return f"it is neither a JPEG nor a PNG, but {picture.format}"
            picture.load()
    except Exception as error:  # any error of Pillow's decoders
        return str(error)
    return "TensorFlow can't decode it, but Pillow can: save it again"
