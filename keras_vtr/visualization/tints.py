"""Colors of objects, and masks tinted in them."""

import numpy as np

from keras_vtr.visualization.pictures import to_picture

# Twelve colors that differ in hue and lightness, used cyclically by label.
COLORS = (
    "#4e9bff",
    "#ff6b5e",
    "#53d769",
    "#ffcc33",
    "#c58bff",
    "#3fd0d4",
    "#ff9f40",
    "#ff7ac8",
    "#a5d84e",
    "#b7a08c",
    "#8fb3ff",
    "#e3e35b",
)


def tint_masks(picture, masks, numbers, shown):
    """Tints the masks of a picture.

    Args:
        picture: A `PIL.Image.Image`.
        masks: (n, height, width) bool.
        numbers: (n,) of the color of each, used cyclically.
        shown: (n,) bool, which of them.
    """
    masks = np.asarray(masks)
    if masks.dtype.kind == "f" and masks.size:
        raise ValueError(
            "`masks` must be bool. Received: numbers, such as the logits of "
            "decode_detections; keras_vtr.detections.decode_masks makes masks "
            "of them"
        )
    masks = masks.astype(bool)
    size = (picture.height, picture.width)
    if masks.shape != (len(numbers), *size):
        raise ValueError(
            "`masks` must have the shape (n, height, width) of the image, as "
            f"many as labels. Received: masks.shape={masks.shape}, "
            f"{len(numbers)} labels, an image of (height, width) {size}"
        )
    pixels = np.asarray(picture, "float32")
    for mask, number in zip(masks[shown], numbers[shown], strict=True):
        pixels = _tint(pixels, mask, COLORS[number % len(COLORS)])
    return to_picture(pixels)


def _tint(pixels, mask, ink):
    """Half of the color within the mask, and all of it along its edge."""
    color = np.array([int(ink[i : i + 2], 16) for i in (1, 3, 5)], "float32")
    framed = np.pad(mask, 1)
    inner = mask & framed[2:, 1:-1] & framed[:-2, 1:-1]
    inner &= framed[1:-1, 2:] & framed[1:-1, :-2]
    share = np.where(mask & ~inner, 1.0, np.where(mask, 0.5, 0.0))[..., None]
    return (1 - share) * pixels + share * color
