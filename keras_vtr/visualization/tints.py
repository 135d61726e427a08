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
        masks: (n, height, width) bool, an array or what gives one for each
            number, so that they needn't be in memory at once.
        numbers: (n,) of the color of each, used cyclically.
        shown: (n,) bool, which of them.
    """
    if not isinstance(getattr(masks, "dtype", None), np.dtype):
        masks = np.asarray(masks)
    if masks.dtype.kind == "f" and len(masks):
        raise ValueError(
            "`masks` must be bool. Received: numbers, such as the logits of "
            "decode_detections; keras_vtr.detections.decode_masks makes masks "
            "of them"
        )
    size = (picture.height, picture.width)
    if masks.shape != (len(numbers), *size):
        raise ValueError(
            "`masks` must have the shape (n, height, width) of the image, as "
            f"many as labels. Received: masks.shape={masks.shape}, "
            f"{len(numbers)} labels, an image of (height, width) {size}"
        )
    pixels = np.array(picture, "float32")
    for i in np.flatnonzero(shown):
        mask = np.asarray(masks[i], bool)
        place = tuple(
            slice(hits[0], hits[-1] + 1) if len(hits) else slice(0)
            for hits in (np.flatnonzero(mask.any(axis=j)) for j in (1, 0))
        )
        ink = COLORS[numbers[i] % len(COLORS)]
        pixels[place] = _tint(pixels[place], mask[place], ink)
    return to_picture(pixels)


def _tint(pixels, mask, ink):
    """Half of the color within the mask, and all of it along its edge."""
    color = np.array([int(ink[i : i + 2], 16) for i in (1, 3, 5)], "float32")
    framed = np.pad(mask, 1)
    inner = mask & framed[2:, 1:-1] & framed[:-2, 1:-1]
    inner &= framed[1:-1, 2:] & framed[1:-1, :-2]
    share = np.where(mask & ~inner, 1.0, np.where(mask, 0.5, 0.0))[..., None]
    return (1 - share) * pixels + share * color
