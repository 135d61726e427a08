"""Arrays to pictures."""

import keras
import numpy as np
from PIL import Image

from keras_vtr.upright import upright


def to_picture(image):
    """A `PIL.Image.Image` in RGB from pixels in [0, 255], or from a picture."""
    if isinstance(image, Image.Image):
        return upright(image).convert("RGB")
    image = keras.ops.convert_to_numpy(image)
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4):
        raise ValueError(
            "`image` must have the shape (height, width, C), C being 1, 3 or "
            f"4. Received: image.shape={image.shape}"
        )
    image = np.clip(np.round(image), 0, 255).astype("uint8")
    image = image[..., 0] if image.shape[2] == 1 else image
    return Image.fromarray(image).convert("RGB")


def enlarge(picture, scale):
    """Each pixel becomes a square of `scale` pixels."""
    size = (picture.width * scale, picture.height * scale)
    return picture.resize(size, Image.Resampling.NEAREST)
