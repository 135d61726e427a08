import os

import keras
import numpy as np
from PIL import Image
from PIL import ImageOps

from keras_vtr.data.augmentation import LONGEST_SIDE
from keras_vtr.data.augmentation import SHORT_SIDES
from keras_vtr.data.pictures.files import read_picture
from keras_vtr.data.pictures.preparation import detector_input
from keras_vtr.detection_checks import check_detector
from keras_vtr.detections.decoding import decode_detections
from keras_vtr.detections.masks import decode_masks
from keras_vtr.detections.masks import padding_of
from keras_vtr.detections.thresholds import class_thresholds
from keras_vtr.functional_models import with_images
from keras_vtr.layers.tokens.class_head import class_names_of


def detect(
    model,
    images,
    *,
    score_threshold=0.5,
    max_detections=None,
    image_size=None,
    short_side=SHORT_SIDES[-1],
    longest_side=LONGEST_SIDE,
):
    """Detects objects in pictures of any size.

    Each picture is resized as in training and serving (`export_detector`), and
    boxes are in its own pixels. Pictures are read one after the other.

    Args:
        model: A detector such as `keras_vtr.models.build_detr` returns.
        images: A list of pictures: paths of JPEG and PNG files, which are read
            upright; `PIL.Image.Image`s; arrays (height, width, C) in [0, 255];
            or an array of several, (B, height, width, C).
        score_threshold: Detections with a lower score are left out. A number
            within [0, 1]; or one for each class, in their order or as a dict
            by name, such as `keras-vtr evaluate --thresholds best` writes.
        max_detections: The most detections of a picture. Default: all.
        image_size: `(height, width)` that pictures are stretched to, for a
            model of free size without `padding_mask`.
        short_side: Of a picture, for a model of free size with `padding_mask`:
            as it was trained.
        longest_side: The most that its other side may have.

    Returns:
        A list of dicts, one for each picture: `"boxes"` (n, 4) float32,
        absolute `xyxy` pixels; `"scores"` (n,) float32, falling; `"labels"`
        (n,) int32, 0..K-1; `"names"`, a list of n class names, None where the
        model has none; and, of a model with masks, `"masks"` (n, height, width)
        bool, of the picture's own size.

    Raises:
        ValueError: If the model is no detector, a picture is none of these or
            has other channels, or an argument doesn't fit the model, such as
            thresholds for classes that it hasn't.
        OSError: If a file can't be read, with its path and the reason.

    Example:

    >>> detr = keras_vtr.models.build_detr(
    ...     2, size="small", image_shape=(64, 64, 3), class_names=["cat", "dog"]
    ... )
    >>> picture = np.zeros((48, 96, 3), "uint8")
    >>> (found,) = keras_vtr.detect(detr, [picture], score_threshold=0.0)
    >>> print(found["boxes"].shape, set(found["names"]) <= {"cat", "dog"})
    (10, 4) True
    """
    answers = []
    score_threshold = _thresholds_for(model, score_threshold)
    for pixels, inputs, outputs, names in ask_model(
        model, images, image_size, short_side, longest_side
    ):
        found = decode_detections(
            outputs, pixels.shape[:2], max_detections, score_threshold
        )
        found = {
            key: keras.ops.convert_to_numpy(x)[0] for key, x in found.items()
        }
        found = {key: x[found["labels"] >= 0] for key, x in found.items()}
        if "masks" in found:
            (found["masks"],) = decode_masks(
                found["masks"][None], pixels.shape[:2], padding_of(inputs)
            )
        found["names"] = [names and names[i] for i in found["labels"]]
        answers.append(found)
    return answers


def _thresholds_for(model, score_threshold):
    model = with_images(model)
    num_classes = check_detector(model)
    return class_thresholds(score_threshold, num_classes, class_names_of(model))


def ask_model(model, images, *sizes):
    """Asks a detector about one picture after the other.

    Args:
        model: As of `detect`.
        images: As of `detect`.
        *sizes: `image_size`, `short_side` and `longest_side` of `detect`.

    Yields:
        The pixels (height, width, C), the model's inputs and outputs for them,
        of one image, and its class names or None.
    """
    if isinstance(images, (str, os.PathLike, Image.Image)):
        images = [images]
    model = with_images(model)
    check_detector(model)
    preparation, _ = detector_input(model, *sizes)
    names = class_names_of(model)
    for image in images:
        pixels = _pixels(image, preparation.image_shape[2])
        inputs, _, _ = preparation.read_images(pixels[None])
        inputs = keras.tree.map_structure(np.asarray, inputs)
        yield pixels, inputs, model(inputs, training=False), names


def _pixels(image, num_channels):
    """(height, width, C) of a path, a picture or an array."""
    if isinstance(image, (str, os.PathLike)):
        return read_picture(image, num_channels)
    if isinstance(image, Image.Image):
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I;16"):  # 16 bits become 8, as of a file
            image = Image.fromarray((np.asarray(image) >> 8).astype("uint8"))
        image = np.asarray(image.convert("L" if num_channels == 1 else "RGB"))
        image = image.reshape(*image.shape[:2], -1)
    pixels = keras.ops.convert_to_numpy(image)
    kind = pixels.dtype.kind
    is_shape = pixels.ndim == 3 and pixels.shape[2] == num_channels
    if not is_shape or not pixels.size or kind not in "uif":
        raise ValueError(
            "`images` must be paths, PIL images or arrays of pixels in [0, "
            f"255], (height, width, {num_channels}). Received: an array of the "
            f"shape {pixels.shape} and dtype {pixels.dtype}"
        )
    low, high = float(pixels.min()), float(pixels.max())
    # Fractions alone are of pixels in [0, 1].
    is_fraction = kind == "f" and 0 < high <= 1 and (pixels % 1).any()
    if not (0 <= low and high <= 255) or is_fraction:  # NaN fails, too
        raise ValueError(
            "Pixels of `images` must be in [0, 255]. Received: an array from "
            f"{low} to {high}"
        )
    return pixels if kind == "f" else pixels.astype("uint8")
