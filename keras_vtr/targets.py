"""Validation of a detector's targets, on the host.

A compiled step can't check them: XLA drops asserts and clamps gathers, and the
model would learn from wrong targets.
"""

import keras
import numpy as np

# By rounding, boxes may exceed the image by so much of its side.
TOLERANCE = 1e-3


def check_targets(y_true, num_classes=None, num_queries=None):
    """Refuses targets that a detector can't learn from.

    Args:
        y_true: Dict with `"boxes"` (B, M, 4), `rel_center_xywh`, each relative
            to the image's own size, and `"labels"` (B, M) integers, 0..K-1,
            -1 for padding; optionally `"crowd_boxes"`, `"crowd_labels"`,
            `"areas"` (B, M) in pixels, and `"masks"` (B, M, height, width).
        num_classes: Optional K, to check labels against.
        num_queries: Optional Q, the largest number of objects of an image.

    Raises:
        ValueError: With image, object and value, if a key is missing, a
            shape or type doesn't fit, a label is out of range, a box is not
            finite, not relative, without area or outside the image, or an image
            has more objects than there are queries.

    Example:

    >>> boxes = np.array([[[320.0, 240.0, 64.0, 48.0]]])
    >>> y_true = {"boxes": boxes, "labels": np.array([[0]])}
    >>> try:
    ...     keras_vtr.data.check_targets(y_true)
    ... except ValueError as error:
    ...     print(str(error)[:51])
    Boxes must be relative to the image, within [0, 1].
    """
    check_keys("y_true", y_true, ("boxes", "labels"))
    labels = _check_objects(y_true, "", num_classes)
    if {"crowd_boxes", "crowd_labels"} & set(y_true):
        check_keys("y_true", y_true, ("crowd_boxes", "crowd_labels"))
        crowds = _check_objects(y_true, "crowd_", num_classes)
        _check_size("crowd_labels", crowds.shape[:1], labels.shape[:1])
    is_target = labels >= 0
    if "areas" in y_true:
        areas = keras.ops.convert_to_numpy(y_true["areas"])
        _check_size("areas", areas.shape, labels.shape)
        with np.errstate(invalid="ignore"):
            is_area = (areas >= 0) & np.isfinite(areas)
        refuse(is_target & ~is_area, areas, "Areas must be 0 or above.")
    if "masks" in y_true:
        check_masks(y_true["masks"].shape, labels.shape)
    num_targets = is_target.sum(axis=1)
    if num_queries is not None and (num_targets > num_queries).any():
        image = int(np.argmax(num_targets > num_queries))
        raise ValueError(
            "An image must not have more objects than there are queries. "
            f"Received: {num_targets[image]} objects in image {image} of the "
            f"batch, num_queries={num_queries}. Increase `num_queries`."
        )


def check_inputs(inputs):
    """Refuses padding masks that contradict their images.

    Args:
        inputs: Dict with `"images"` (B, height, width, C) and
            `"padding_mask"` (B, height, width) bool, True = real.

    Raises:
        ValueError: If the mask has another size than the images, an image is
            all padding, or its real pixels are not a rectangle in the upper
            left corner.

    Example:

    >>> inputs = {
    ...     "images": np.zeros((1, 2, 3, 3)),
    ...     "padding_mask": np.zeros((1, 2, 3), bool),
    ... }
    >>> try:
    ...     keras_vtr.data.check_inputs(inputs)
    ... except ValueError as error:
    ...     print(str(error)[:32])
    An image must not be all padding
    """
    check_keys("inputs", inputs, ("images", "padding_mask"))
    mask = keras.ops.convert_to_numpy(inputs["padding_mask"]).astype(bool)
    shape = tuple(inputs["images"].shape)
    if mask.shape != shape[:3]:
        raise ValueError(
            "`padding_mask` must have the height and width of the images. "
            f"Received: padding_mask.shape={mask.shape}, images of shape "
            f"{shape}"
        )
    rows, columns = mask.any(axis=2), mask.any(axis=1)
    is_empty = ~rows.any(axis=1)
    if is_empty.any():
        raise ValueError(
            "An image must not be all padding; leave it out of the batch. "
            f"Received: image {int(np.argmax(is_empty))} of the batch"
        )
    expected = np.sort(rows)[:, ::-1, None] & np.sort(columns)[:, None, ::-1]
    is_wrong = (expected != mask).any(axis=(1, 2))
    if is_wrong.any():
        raise ValueError(
            "`padding_mask` must be True in a rectangle in the upper left "
            "corner, where the pixels are real, and False in the padding. "
            "Received: another form in image "
            f"{int(np.argmax(is_wrong))} of the batch"
        )


def check_keys(name, value, keys):
    """Refuses values other than a dict with these keys."""
    if not isinstance(value, dict) or any(key not in value for key in keys):
        received = sorted(value) if isinstance(value, dict) else type(value)
        raise ValueError(
            f"`{name}` must be a dict with the keys {sorted(keys)}. "
            f"Received: {received}"
        )


def check_target_shapes(boxes_shape, labels_shape):
    """Refuses shapes other than (B, M, 4) and (B, M)."""
    expected = (*labels_shape, 4)
    if len(labels_shape) != 2 or not is_same_shape(boxes_shape, expected):
        raise ValueError(
            "`y_true` must hold 'boxes' of the shape (B, M, 4) and 'labels' of "
            f"(B, M). Received: boxes.shape={tuple(boxes_shape)}, "
            f"labels.shape={tuple(labels_shape)}"
        )


def check_masks(masks_shape, labels_shape):
    """Refuses masks other than (B, M, height, width) of the labels (B, M)."""
    if len(masks_shape) != 4 or not is_same_shape(
        masks_shape[:2], labels_shape
    ):
        raise ValueError(
            "`y_true` must hold 'masks' (B, M, height, width) of the same "
            "objects as 'labels' (B, M). Received: masks.shape="
            f"{tuple(masks_shape)}, labels.shape={tuple(labels_shape)}"
        )


def is_same_shape(shape, expected):
    """Whether two shapes are equal, as far as both are known."""
    return len(shape) == len(expected) and all(
        None in pair or pair[0] == pair[1]
        for pair in zip(shape, expected, strict=True)
    )


def check_labels(labels, num_classes=None):
    """Refuses labels other than integers from -1 to K - 1."""
    # An empty list becomes an array of floats.
    if labels.size and not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"`labels` must be integers. Received: labels.dtype={labels.dtype}"
        )
    is_high = labels >= (np.inf if num_classes is None else num_classes)
    refuse(
        (labels < -1) | is_high,
        labels,
        "Labels must be 0 to num_classes - 1, or -1 for padding. "
        f"num_classes={num_classes} counts real classes only, without "
        "'no object'.",
    )


def refuse(is_wrong, values, message, kind="target"):
    """Raises an error with the first of the wrong `values`, (B, M)."""
    if is_wrong.any():
        image, target = np.argwhere(is_wrong)[0]
        raise ValueError(
            f"{message} Received: {values[image, target].tolist()} as {kind} "
            f"{target} of image {image} of the batch"
        )


def _check_objects(y_true, kind, num_classes):
    """Checks boxes and labels, `kind` being a prefix; returns the labels."""
    boxes, labels = (
        keras.ops.convert_to_numpy(y_true[f"{kind}{key}"])
        for key in ("boxes", "labels")
    )
    check_target_shapes(boxes.shape, labels.shape)
    check_labels(labels, num_classes)
    is_target = labels >= 0
    with np.errstate(invalid="ignore"):  # NaN fails every comparison
        lower = boxes[..., :2] - boxes[..., 2:] / 2
        upper = boxes[..., :2] + boxes[..., 2:] / 2
        is_inside = np.all(
            (lower >= -TOLERANCE) & (upper <= 1 + TOLERANCE), axis=-1
        )
        has_area = np.all(boxes[..., 2:] > 0, axis=-1)
    refuse(
        is_target & ~is_inside,
        boxes,
        "Boxes must be relative to the image, within [0, 1]. Convert them: "
        "keras.utils.bounding_boxes.convert_format(boxes, source, "
        "'rel_center_xywh', height, width).",
    )
    refuse(
        is_target & ~has_area,
        boxes,
        "Boxes must have a width and a height above 0. Drop the others from "
        "the annotations.",
    )
    return labels


def _check_size(name, shape, labels_shape):
    if shape != labels_shape:
        raise ValueError(
            f"`y_true` must hold {name!r} for the same images and objects as "
            f"'labels'. Received: {name}.shape={shape}, "
            f"labels.shape={labels_shape}"
        )
