import keras
import numpy as np

from keras_vtr.classifiers import classifier_of
from keras_vtr.detection_checks import check_outputs
from keras_vtr.detection_checks import height_and_width
from keras_vtr.detections.masks import enlarge
from keras_vtr.detections.masks import sizes_and_shares

# Segments of so few pixels are noise.
LEAST_AREA = 5
# COCO's ids of things; what lies above is stuff, of which there is one segment
# a class.
COCO_THINGS = range(91)


def decode_segments(
    outputs,
    image_shape,
    *,
    padding_mask=None,
    things=COCO_THINGS,
    score_threshold=0.85,
    target_shape=None,
):
    """Gives each pixel of an image to one object: panoptic segmentation.

    Carion et al. 2020 (DETR), section 4.4, and the authors'
    `PostProcessPanoptic`: queries that are unsure or say "no object" are left
    out, each pixel goes to the mask with the highest logit, masks of the same
    stuff become one, and segments of less than five pixels vanish. A query
    whose logits or mask are not finite is left out, too.

    Args:
        outputs: Dict with `"logits"` (B, Q, K + 1) or `"sigmoid_logits"`
            (B, Q, K), and `"masks"` (B, Q, height', width') of a model that was
            built with `masks`.
        image_shape: `(height, width)` or `(height, width, channels)` of all
            the images in pixels, or (B, 2), those of each.
        padding_mask: Optional (B, H, W) bool, True = real, of the model's
            input, whose padding is cut off.
        things: Classes of which each object is a segment of its own.
        score_threshold: Queries with a lower probability are left out.
        target_shape: Optional `(height, width)` that segments are enlarged or
            reduced to. Default: each image's.

    Returns:
        A list of B dicts: `"segments"` (height, width) int32, the number of
        each pixel's segment, 0..n-1, or -1 if the image has none; `"labels"`
        (n,) int32; `"scores"` (n,) float32; `"areas"` (n,) int64, in pixels;
        and `"is_thing"` (n,) bool.

    Raises:
        ValueError: If `outputs` lacks a key or its shapes don't fit, or
            `image_shape` or `target_shape` isn't (height, width).

    Example:

    >>> logits = np.full((1, 2, 4), -9.0)
    >>> logits[0, 0, 1] = logits[0, 1, 2] = 9.0
    >>> masks = np.ones((1, 2, 2, 4))
    >>> masks[0, 0, :, :2] = 3.0
    >>> outputs = {"logits": logits, "masks": masks}
    >>> (found,) = keras_vtr.detections.decode_segments(outputs, (2, 4))
    >>> print(found["segments"].tolist(), found["labels"].tolist())
    [[0, 0, 0, 0], [0, 0, 0, 0]] [1]
    """
    check_outputs(outputs, "masks", ("height'", "width'"))
    classifier = classifier_of(outputs)
    logits = outputs[classifier.key]
    is_object = classifier.is_object(logits, score_threshold)[..., None]
    probabilities = classifier.probabilities(logits)
    probabilities = keras.ops.where(is_object, probabilities, -1.0)
    probabilities = keras.ops.convert_to_numpy(probabilities)
    masks = keras.ops.convert_to_numpy(
        keras.ops.cast(outputs["masks"], "float32")
    )
    sizes = sizes_and_shares(len(masks), image_shape, padding_mask)
    if target_shape is not None:
        target_shape = height_and_width(target_shape, "target_shape")
    return [
        _segments(*image, target_shape, set(things), score_threshold)
        for image in zip(probabilities, masks, sizes, strict=True)
    ]


def _segments(probabilities, masks, size, target_shape, things, threshold):
    target_shape = target_shape or tuple(size[0])
    scores, labels = probabilities.max(axis=1), probabilities.argmax(axis=1)
    chosen = (scores >= 0) & (scores > threshold)
    chosen &= np.isfinite(masks).all(axis=(1, 2))
    scores, labels = scores[chosen], labels[chosen]
    masks = enlarge(masks[chosen], *size)
    same = _same_stuff(labels, things)
    segments, areas = _divide(masks, target_shape, same)
    while len(labels) and (areas < LEAST_AREA).any():
        large = areas >= LEAST_AREA
        scores, labels, masks = scores[large], labels[large], masks[large]
        segments, areas = _divide(masks, target_shape, np.arange(len(labels)))
    return {
        "segments": segments,
        "labels": labels.astype("int32"),
        "scores": scores,
        "areas": areas,
        "is_thing": np.isin(labels, list(things)),
    }


def _same_stuff(labels, things):
    """For each mask the first one of the same stuff; a thing is by itself."""
    first = {}
    return np.array(
        [
            i if label in things else first.setdefault(label, i)
            for i, label in enumerate(labels)
        ],
        int,
    )


def _divide(masks, shape, same):
    """The segment of each pixel, and how many pixels each has."""
    if not len(masks):
        return np.full(shape, -1, "int32"), np.zeros(0, int)
    segments = same[masks.argmax(axis=0)].astype("int32")
    rows, columns = (
        (2 * np.arange(side) + 1) * size // (2 * side)  # the nearest ones
        for side, size in zip(shape, segments.shape, strict=True)
    )
    segments = segments[rows[:, None], columns]
    return segments, np.bincount(segments.ravel(), minlength=len(masks))
