import keras
import numpy as np

from keras_vtr.classifiers import classifier_of
from keras_vtr.detection_checks import check_outputs
from keras_vtr.detection_checks import check_threshold
from keras_vtr.detection_checks import height_and_width
from keras_vtr.detections.decoding import are_finite
from keras_vtr.detections.masks import sizes_and_steps
from keras_vtr.mask_ops import resize_masks

# Segments of so few pixels are noise.
LEAST_AREA = 5
# The logit of "no segment", below all others.
NOTHING = -1e30
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
    whose scores or mask are not finite is left out, too.

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
            `image_shape` or `target_shape` isn't (height, width),
            `score_threshold` is not within [0, 1], or `things` has names.

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
    if not len(outputs["masks"]):
        return []
    probabilities, masks = map(
        keras.ops.convert_to_numpy, sure_queries(outputs, score_threshold)
    )
    sizes = sizes_and_steps(len(masks), image_shape, padding_mask)
    if target_shape is not None:
        target_shape = height_and_width(target_shape, "target_shape")
    is_thing = things_of(things, probabilities.shape[2])
    found = []
    for row in zip(probabilities, masks, sizes, strict=True):
        one = divide_image(*row[:2], *row[2], is_thing, target_shape)
        for key in ("segments", "labels"):
            one[key] = one[key].astype("int32")
        found.append({**one, "is_thing": is_thing[one["labels"]]})
    return found


def sure_queries(outputs, score_threshold):
    """(B, Q, K) probabilities, -1 of queries left out; (B, Q, ...) masks."""
    ops = keras.ops
    check_threshold(score_threshold)
    check_outputs(outputs, "masks", ("height'", "width'"))
    classifier = classifier_of(outputs)
    logits = outputs[classifier.key]
    masks = ops.cast(outputs["masks"], "float32")
    probabilities = ops.cast(classifier.probabilities(logits), "float32")
    is_sure = ops.logical_and(
        classifier.is_object(logits, score_threshold),
        ops.max(probabilities, axis=-1) > score_threshold,
    )
    is_finite = ops.all(ops.isfinite(masks), axis=(2, 3))
    is_finite = ops.logical_and(is_finite, are_finite(logits))
    is_sure = ops.logical_and(is_sure, is_finite)[..., None]
    return ops.where(is_sure, probabilities, -1.0), masks


def things_of(things, num_classes):
    """(K + 1,) bool, whether a class is of things; the last one is nothing."""
    if isinstance(things, str) or not all(
        isinstance(x, (int, np.integer)) for x in things
    ):
        raise ValueError(
            "`things` must be numbers of classes, from 0, not their names. "
            f"Received: things={things!r}"
        )
    return np.isin(np.arange(num_classes + 1), [*things, num_classes])


def divide_image(
    probabilities, masks, size, steps, is_thing, target_shape=None, ops=np
):
    """The segments of one image.

    Args:
        probabilities: (Q, K) of `sure_queries`.
        masks: (Q, height', width').
        size: As of `resize_masks`.
        steps: As of `resize_masks`.
        is_thing: Of `things_of`.
        target_shape: As of `decode_segments`.
        ops: NumPy; in a graph `keras.ops`.

    Returns:
        A dict as of `decode_segments`, without `"is_thing"`.
    """
    scores = ops.max(probabilities, axis=1)
    chosen = ops.nonzero(scores >= 0)[0]
    scores = ops.take(scores, chosen, axis=0)
    labels = ops.argmax(ops.take(probabilities, chosen, axis=0), axis=1)
    nothing = ops.full_like(masks[:1], NOTHING)
    masks = ops.concatenate([ops.take(masks, chosen, axis=0), nothing], axis=0)
    masks = resize_masks(masks, size, steps, ops)
    num_masks = ops.shape(labels)[0]
    numbers = ops.arange(num_masks + 1)
    owners = _same_stuff(labels, is_thing, numbers, ops)
    is_large = numbers >= 0
    # Whoever loses a segment leaves its pixels to others, which only grow: only
    # stuff that has lost what it had merged can be too small at the third time.
    for _ in range(3):
        segments, areas = _divide(masks, owners, is_large, target_shape, ops)
        is_large = ops.logical_or(areas >= LEAST_AREA, numbers == num_masks)
        owners = numbers
    kept = ops.nonzero(is_large[:-1])[0]
    ranks = ops.cumsum(ops.where(is_large, 1, 0)) - 1
    ranks = ops.where(numbers == num_masks, -1, ranks)
    return {
        "segments": ops.take(ranks, segments, axis=0),
        "labels": ops.take(labels, kept, axis=0),
        "scores": ops.take(scores, kept, axis=0),
        "areas": ops.take(areas, kept, axis=0),
    }


def _same_stuff(labels, is_thing, numbers, ops):
    """For each mask the first one of the same stuff; a thing is by itself."""
    labels = ops.pad(labels, (0, 1), constant_values=len(is_thing) - 1)
    is_stuff = ops.logical_not(ops.take(is_thing, labels, axis=0))
    is_same = ops.logical_and(labels[:, None] == labels, is_stuff)
    is_same = ops.logical_or(is_same, numbers[:, None] == numbers)
    return ops.argmin(ops.where(is_same, 0, 1), axis=1)


def _divide(masks, owners, is_large, shape, ops):
    """The owner of each pixel, of the large ones, and how many each has."""
    logits = ops.where(is_large[:, None, None], masks, -np.inf)
    segments = ops.take(owners, ops.argmax(logits, axis=0), axis=0)
    if shape is not None:
        rows, columns = (
            (2 * np.arange(side) + 1) * size // (2 * side)  # the nearest ones
            for side, size in zip(shape, segments.shape, strict=True)
        )
        segments = segments[rows[:, None], columns]
    areas = ops.bincount(ops.ravel(segments), minlength=ops.shape(owners)[0])
    return segments, areas
