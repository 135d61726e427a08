import os

import keras
import numpy as np
from PIL import Image

from keras_vtr.data.augmentation import LONGEST_SIDE
from keras_vtr.data.augmentation import SHORT_SIDES
from keras_vtr.data.pictures.decoding import MAX_BYTES
from keras_vtr.data.pictures.decoding import MAX_PIXELS
from keras_vtr.data.pictures.files import read_picture
from keras_vtr.data.pictures.preparation import detector_input
from keras_vtr.detection_checks import check_detector
from keras_vtr.detection_checks import check_max_detections
from keras_vtr.detections.cropped_masks import CroppedMasks
from keras_vtr.detections.decoding import decode_detections
from keras_vtr.detections.masks import decode_masks
from keras_vtr.detections.masks import padding_of
from keras_vtr.detections.thresholds import class_thresholds
from keras_vtr.functional_models import with_images
from keras_vtr.layers.tokens.class_head import class_names_of
from keras_vtr.upright import upright

REMEDY = (
    ": give `keras_vtr.detect` a larger `max_bytes` or `max_pixels` if you "
    "trust the file"
)


def detect(
    model,
    images,
    *,
    score_threshold=0.5,
    max_detections=None,
    image_size=None,
    short_side=SHORT_SIDES[-1],
    longest_side=LONGEST_SIDE,
    tiles=None,
    max_bytes=MAX_BYTES,
    max_pixels=MAX_PIXELS,
):
    """Detects objects in pictures of any size.

    Each picture, or each of its tiles, is resized as in training and serving
    (`export_detector`), and boxes are in the picture's own pixels. Pictures are
    read one after the other.

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
        tiles: Optional `keras_vtr.detections.Tiles`, in which large pictures
            are looked at, for small objects. A picture that is no larger than a
            tile is answered as without tiles.
        max_bytes: The most that a file may have.
        max_pixels: The most height x width that a file may have.

    Returns:
        A list of dicts, one for each picture: `"boxes"` (n, 4) float32,
        absolute `xyxy` pixels; `"scores"` (n,) float32, falling; `"labels"`
        (n,) int32, 0..K-1; `"names"`, a list of n class names, None where the
        model has none; and, of a model with masks, `"masks"` (n, height, width)
        bool, of the picture's own size. With `tiles` these are no array, which
        might not fit into memory, but are read as one, mask by mask
        (`masks[i]`) or, with `np.asarray(masks)`, at once.

    Raises:
        ValueError: If the model is no detector, a picture is none of these or
            has other channels, or an argument doesn't fit the model, such as
            thresholds for classes that it hasn't.
        OSError: If a file can't be read, or is above a limit, with its path and
            the reason.

    Example:

    >>> detr = keras_vtr.models.build_detr(
    ...     2, size="small", image_shape=(64, 64, 3), class_names=["cat", "dog"]
    ... )
    >>> picture = np.zeros((48, 96, 3), "uint8")
    >>> (found,) = keras_vtr.detect(detr, [picture], score_threshold=0.0)
    >>> print(found["boxes"].shape, set(found["names"]) <= {"cat", "dog"})
    (10, 4) True
    """
    check_max_detections(max_detections)
    sizes = image_size, short_side, longest_side
    model, preparation, names = _open(model, sizes)
    num_classes = check_detector(model)
    score_threshold = class_thresholds(score_threshold, num_classes, names)
    if tiles is not None:
        tiles = tiles.sized(preparation.image_shape[:2])

    def find(pixels):
        inputs, outputs = _ask(model, preparation, pixels)
        found = decode_detections(
            outputs, pixels.shape[1:3], score_threshold=score_threshold
        )
        return _each(found, pixels.shape[1:3], padding_of(inputs))

    answers = []
    limits = {"max_bytes": max_bytes, "max_pixels": max_pixels}
    for pixels in _read(images, preparation, **limits):
        if tiles is None:
            (found,) = find(pixels[None])
        else:
            found = tiles.detect(find, pixels)
        found = {key: x[:max_detections] for key, x in found.items()}
        if tiles is None and "masks" in found:
            found["masks"] = np.asarray(found["masks"])
        found["names"] = [names and names[i] for i in found["labels"]]
        answers.append(found)
    return answers


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
    model, preparation, names = _open(model, sizes)
    for pixels in _read(images, preparation):
        yield pixels, *_ask(model, preparation, pixels[None]), names


def _open(model, sizes):
    """The detector, how its images are prepared, its class names or None."""
    model = with_images(model)
    check_detector(model)
    preparation, _ = detector_input(model, *sizes)
    return model, preparation, class_names_of(model)


def _ask(model, preparation, pixels):
    """A model's inputs and outputs for (B, height, width, C) pixels."""
    is_alone = len(pixels) == 1  # not worth a graph, as tiles are
    read = preparation.read_images if is_alone else preparation.read_tiles
    inputs, _, _ = read(pixels)
    inputs = keras.tree.map_structure(np.asarray, inputs)
    if is_alone:
        return inputs, model(inputs, training=False)
    return inputs, model.predict_on_batch(inputs)


def _each(found, image_shape, padding_mask):
    """What is found in a batch, a dict for each image."""
    found = {key: keras.ops.convert_to_numpy(x) for key, x in found.items()}
    answers = []
    for i, labels in enumerate(found["labels"]):
        one = {key: x[i][labels >= 0] for key, x in found.items()}
        if "masks" in one:  # one after the other: a picture may be large
            padding = None if padding_mask is None else padding_mask[i, None]
            masks = (
                decode_masks(logits[None, None], image_shape, padding)[0][0]
                for logits in one["masks"]
            )
            one["masks"] = CroppedMasks.of(masks, image_shape)
        answers.append(one)
    return answers


def _read(images, preparation, **limits):
    """The pixels (height, width, C) of one picture after the other."""
    if isinstance(images, (str, os.PathLike, Image.Image)):
        images = [images]
    for image in images:
        yield _pixels(image, preparation.image_shape[2], **limits)


def _pixels(image, num_channels, **limits):
    """(height, width, C) of a path, a picture or an array."""
    if isinstance(image, (str, os.PathLike)):
        return read_picture(image, num_channels, REMEDY, **limits)
    if isinstance(image, Image.Image):
        mode = "L" if num_channels == 1 else "RGB"
        image = np.asarray(upright(image).convert(mode))
        image = image.reshape(*image.shape[:2], -1)
    if not isinstance(image, np.ndarray):  # which may be mapped to a file
        image = keras.ops.convert_to_numpy(image)
    pixels = image
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
    return pixels if kind == "f" else pixels.astype("uint8", copy=False)
