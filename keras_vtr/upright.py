"""Pictures of Pillow as the package sees files: upright, of 8 bits."""

import numpy as np
from PIL import Image
from PIL import ImageOps


def upright(picture):
    """A `PIL.Image.Image` turned as its Exif orientation says, in 8 bits.

    Pillow's `convert` makes white of nearly all 16-bit grays; a file's are
    divided by 256 when it is read.
    """
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I;16"):
        picture = Image.fromarray((np.asarray(picture) >> 8).astype("uint8"))
    return picture
