"""What a picture's file tells without TensorFlow."""

from PIL import Image

ORIENTATION_TAG = 0x0112


def upright_shape(path):
    """(height, width) as a viewer shows it, from the header.

    Raises:
        OSError: If it is no JPEG or PNG, or can't be read.
    """
    try:
        with Image.open(path, formats=("JPEG", "PNG")) as picture:
            width, height = picture.size
            is_jpeg = picture.format == "JPEG"
            orientation = picture.getexif().get(ORIENTATION_TAG, 1)
    except (ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise OSError(f"{path}: {error}") from error
    is_turned = is_jpeg and 5 <= orientation <= 8  # as `decode_image` does
    return (width, height) if is_turned else (height, width)


def why_unreadable(path):
    """What is wrong with a picture that `decode_image` refuses, a text."""
    try:
        upright_shape(path)
    except OSError as error:
        return str(error)
    return "it is cut off, damaged or too large"
