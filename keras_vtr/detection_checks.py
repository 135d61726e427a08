"""Checks of detections, of a detector's outputs, and of images' sizes."""

import keras
import numpy as np

from keras_vtr.classifiers import classifier_of
from keras_vtr.targets import check_keys
from keras_vtr.targets import check_labels
from keras_vtr.targets import refuse


def check_detections(detections, num_images=None, num_classes=None):
    """Refuses detections that can't be evaluated or drawn.

    Args:
        detections: Dict with `"boxes"` (B, n, 4), absolute `xyxy` pixels,
            `"scores"` (B, n) in [0, 1] and `"labels"` (B, n) integers, 0..K-1,
            -1 for none, as `keras_vtr.detections.decode_detections` returns it.
        num_images: Optional B, to check shapes against.
        num_classes: Optional K, to check labels against.

    Returns:
        NumPy's boxes, scores and labels.

    Raises:
        ValueError: With the place and the value, if a key is missing, a shape
            or type doesn't fit, a label is out of range, or a score or box,
            where the label is not -1, is not finite, out of its range, or
            ends before it begins.

    Example:

    >>> detections = {
    ...     "boxes": np.array([[[8.0, 8.0, np.nan, 9.0]]]),
    ...     "scores": np.array([[0.9]]),
    ...     "labels": np.array([[0]]),
    ... }
    >>> try:
    ...     keras_vtr.metrics.check_detections(detections)
    ... except ValueError as error:
    ...     print(str(error)[:41])
    Boxes of detections must be finite `xyxy`
    """
    keys = ("boxes", "scores", "labels")
    check_keys("detections", detections, keys)
    boxes, scores, labels = (_to_numpy(detections[key]) for key in keys)
    if (
        labels.ndim != 2
        or scores.shape != labels.shape
        or boxes.shape != (*labels.shape, 4)
    ):
        raise ValueError(
            "`detections` must hold 'boxes' of the shape (B, n, 4), 'scores' "
            f"and 'labels' of (B, n). Received: boxes.shape={boxes.shape}, "
            f"scores.shape={scores.shape}, labels.shape={labels.shape}"
        )
    if num_images is not None and len(labels) != num_images:
        raise ValueError(
            "`y_true` and `detections` must be of the same images. "
            f"Received: {num_images} and {len(labels)} images"
        )
    check_labels(labels, num_classes)
    is_found = labels >= 0
    with np.errstate(invalid="ignore"):  # NaN fails every comparison
        is_score = (scores >= 0) & (scores <= 1)
        is_box = np.isfinite(boxes).all(axis=-1)
        is_box &= (boxes[..., 2:] >= boxes[..., :2]).all(axis=-1)
    kind = "detection"
    refuse(is_found & ~is_score, scores, "Scores must be within [0, 1].", kind)
    refuse(
        is_found & ~is_box,
        boxes,
        "Boxes of detections must be finite `xyxy` pixels, the upper left "
        "corner first.",
        kind,
    )
    return boxes, scores, labels


def check_outputs(outputs, key, letters):
    """Refuses outputs other than logits and `key`, (B, Q, ...).

    Args:
        outputs: Dict of a detector's outputs.
        key: Which output is needed besides the logits.
        letters: Of the axes of that one, after B and Q; a number is a size.
    """
    check_keys("outputs", outputs, (key,))
    classifier = classifier_of(outputs)
    least = classifier.num_logits(1)
    logits = tuple(outputs[classifier.key].shape)
    other = tuple(outputs[key].shape)
    fits = len(logits) == 3 and len(other) == 2 + len(letters)
    if fits:
        wanted = (*logits[:2], *letters)
        pairs = zip(wanted, other, strict=True)
        fits = all(a == b for a, b in pairs if _is_size(a) and _is_size(b))
        fits &= not _is_size(logits[2]) or logits[2] >= least
    if not fits:
        raise ValueError(
            f"`outputs` must hold {classifier.key!r} (B, Q, "
            f"{'K + 1' if classifier.has_no_object else 'K'}) and {key!r} "
            f"(B, Q, {', '.join(map(str, letters))}). Received: "
            f"{classifier.key}.shape={logits}, {key}.shape={other}"
        )


def check_detector(model):
    """Refuses a model that is no functional detector; returns K."""
    inputs, outputs = model.input, model.output
    has_mask = isinstance(inputs, dict) and set(inputs) == {
        "images",
        "padding_mask",
    }
    if (
        not (has_mask or isinstance(inputs, keras.KerasTensor))
        or not isinstance(outputs, dict)
        or not {"boxes", "masks"} & set(outputs)
    ):
        raise ValueError(
            "`model` must be a functional detector: the images as its one "
            "input, or a dict of `images` and `padding_mask`, and a dict of "
            "outputs with logits and 'boxes' or 'masks', such as build_detr "
            "returns. "
            f"Received: model={model!r}"
        )
    if any(key.startswith(("group_", "denoising_")) for key in outputs):
        raise ValueError(
            "`model` must be the detector itself, not the one that trains it: "
            "give what `add_groups` or `add_denoising` was given. Received: "
            f"model={model!r} with the outputs {sorted(outputs)}"
        )
    classifier = classifier_of(outputs)
    return classifier.num_classes(outputs[classifier.key])


def check_segmenter(model):
    """Refuses a model that is no functional detector with masks; returns K."""
    num_classes = check_detector(model)
    if "masks" not in model.output:
        raise ValueError(
            "`model` must have masks: build it with build_eomt or "
            "build_detr(masks=True). Received: a model with the outputs "
            f"{sorted(model.output)}"
        )
    return num_classes


def check_threshold(score_threshold):
    if not 0 <= score_threshold <= 1:
        raise ValueError(
            "`score_threshold` must be within [0, 1]. Received: "
            f"score_threshold={score_threshold}"
        )


def check_max_detections(max_detections):
    if max_detections is not None and max_detections < 1:
        raise ValueError(
            "`max_detections` must be 1 or more, or None for all. Received: "
            f"max_detections={max_detections}"
        )


def sides_of(image_shape, num_images=None, name="image_shape"):
    """Height and width of all images, or of each.

    Args:
        image_shape: `(height, width)` or `(height, width, channels)` for all;
            or one pair an image, (B, 2), an array or a list of pairs.
        num_images: B, if it is known.
        name: The argument's, for an error.

    Returns:
        (2,) or (B, 2): an array or a tensor; or a pair of scalar tensors.

    Raises:
        ValueError: If it is neither of these, or a side isn't above 0.
    """
    sides = _as_array(image_shape)
    shape = tuple(sides.shape)
    fits = shape in ((2,), (3,)) or (len(shape) == 2 and shape[1] == 2)
    if fits and len(shape) == 2 and _is_size(shape[0]) and _is_size(num_images):
        fits = shape[0] == num_images
    if fits and isinstance(sides, np.ndarray):
        with np.errstate(invalid="ignore"):
            fits = np.isfinite(sides).all() and (sides > 0).all()
        # (channels, height, width), most likely.
        fits &= len(sides.ravel()) != 3 or not sides[0] <= 4 < sides[2]
    if not fits:
        raise ValueError(
            f"`{name}` must be (height, width), above 0, for all images, or "
            f"one pair for each of them, (B, 2). Received: {name}="
            f"{image_shape}"
            + ("" if num_images is None else f", B={num_images}")
        )
    return sides if len(shape) == 2 else sides[:2]


def height_and_width(image_shape, name="image_shape"):
    """(height, width), two integers, the same for all images."""
    sides = np.array(sides_of(image_shape, name=name))
    if sides.shape != (2,) or (sides != sides.astype(int)).any():
        raise ValueError(
            f"`{name}` must be one (height, width) in whole pixels for all "
            f"images. Received: {name}={image_shape}"
        )
    return tuple(sides.astype(int).tolist())


def _as_array(x):
    if hasattr(x, "shape"):
        return x
    if isinstance(x, (tuple, list)) and any(map(keras.ops.is_tensor, x)):
        return keras.ops.stack([keras.ops.cast(one, "float32") for one in x])
    try:
        return np.array(x, "float32")
    except (TypeError, ValueError):
        return np.array(np.nan)  # of no shape that fits


def _is_size(x):
    return isinstance(x, int)  # not None, nor a symbol of JAX


def _to_numpy(x):
    return keras.ops.convert_to_numpy(x)
