import keras
import numpy as np

from keras_vtr.classifiers import classifier_of
from keras_vtr.detection_checks import check_max_detections
from keras_vtr.detection_checks import check_outputs
from keras_vtr.detection_checks import sides_of
from keras_vtr.detections.mask_boxes import boxes_of_masks
from keras_vtr.detections.mask_boxes import mask_scores
from keras_vtr.detections.thresholds import class_thresholds

LARGEST = 3e38  # nearly the largest float32; more is not finite


def decode_detections(
    outputs, image_shape, max_detections=None, score_threshold=0.0
):
    """Turns a detector's outputs into detections, the best ones first.

    Carion et al. 2020 (DETR), section 3.2 and the authors' `PostProcess`: each
    query gives one detection, of its most probable real class. There is no
    non-maximum suppression, because the queries have learned from the matching
    not to answer twice. This is so for a sigmoid, too; Deformable DETR and
    RF-DETR instead take the best of all pairs of a query and a class.

    Args:
        outputs: Dict with `"logits"` (B, Q, K + 1), last one "no object", or
            `"sigmoid_logits"` (B, Q, K); and `"boxes"` (B, Q, 4),
            `rel_center_xywh`; optionally `"masks"` (B, Q, height', width'),
            from which boxes are taken if there are none: then a score is
            multiplied by the mean probability of its mask's pixels.
        image_shape: `(height, width)` or `(height, width, channels)` in
            pixels, the unit of the returned boxes; or (B, 2), a tensor, an
            array or a list of each image's own height and width, which boxes
            of padded images are relative to.
        max_detections: How many of the Q detections to keep. Default: all.
        score_threshold: Detections with a lower score have the label -1, the
            score 0 and an empty box, as padding of targets; they stand last.
            A number, or K of them, one for each class (`class_thresholds`
            makes them from a dict of names). Likewise -1 are those whose score
            or box is not finite or whose box ends before it begins: a model
            that has diverged detects nothing.

    Returns:
        Dict with `"boxes"` (B, n, 4) float32, absolute `xyxy` pixels;
        `"scores"` (B, n) float32, the probability of the class, falling;
        `"labels"` (B, n) int32, 0..K-1, or -1; and, of a model with masks,
        `"masks"` (B, n, height', width'), their logits, for `decode_masks`.

    Raises:
        ValueError: If `outputs` lacks a key or its shapes don't fit,
            `max_detections` is below 1, `score_threshold` is neither a number
            within [0, 1] nor K of them, or `image_shape` is none of these.

    Example:

    >>> outputs = {
    ...     "logits": keras.ops.ones((2, 10, 4)),
    ...     "boxes": keras.ops.ones((2, 10, 4)),
    ... }
    >>> detections = keras_vtr.detections.decode_detections(
    ...     outputs, image_shape=(480, 640), max_detections=5
    ... )
    >>> print(tuple(detections["boxes"].shape))
    (2, 5, 4)
    """
    outputs, quality = _with_boxes(outputs)
    check_max_detections(max_detections)
    classifier = classifier_of(outputs)
    logits = keras.ops.cast(outputs[classifier.key], "float32")
    score_threshold = class_thresholds(
        score_threshold, classifier.num_classes(logits)
    )
    probabilities = classifier.probabilities(logits)  # (B, Q, K)
    if quality is not None:
        probabilities = probabilities * quality
    # Not `argmax`, whose bit tricks on TensorFlow few other runtimes know.
    scores, labels = keras.ops.top_k(probabilities, 1)  # (B, Q, 1)
    scores, labels = scores[..., 0], keras.ops.cast(labels[..., 0], "int32")
    boxes = _absolute_corners(outputs["boxes"], image_shape)
    if np.ndim(score_threshold) == 1:  # that of each detection's class
        score_threshold = keras.ops.take(
            keras.ops.convert_to_tensor(score_threshold, "float32"), labels
        )
    is_found = keras.ops.logical_and(
        scores >= score_threshold, _is_valid(logits, boxes)
    )
    scores = keras.ops.where(is_found, scores, -1.0)
    num_queries = logits.shape[1]
    best = min(max_detections or num_queries, num_queries)
    scores, order = keras.ops.top_k(scores, best)
    order = keras.ops.cast(order, "int32")
    boxes = keras.ops.take_along_axis(boxes, order[..., None], axis=1)
    labels = keras.ops.take_along_axis(labels, order, axis=1)
    is_found = scores >= 0
    detections = {
        "boxes": keras.ops.where(is_found[..., None], boxes, 0.0),
        "scores": keras.ops.where(is_found, scores, 0.0),
        "labels": keras.ops.where(is_found, labels, -1),
    }
    if "masks" in outputs:
        detections["masks"] = keras.ops.take_along_axis(
            outputs["masks"], order[..., None, None], axis=1
        )
    return detections


def _with_boxes(outputs):
    """The outputs with boxes; (B, Q, 1), by what to multiply scores, or None.

    A model of masks alone has their extents.
    """
    if "masks" in outputs:
        check_outputs(outputs, "masks", ("height'", "width'"))
    quality = None
    if "masks" in outputs and "boxes" not in outputs:
        quality = mask_scores(outputs["masks"])[..., None]
        outputs = {**outputs, "boxes": boxes_of_masks(outputs["masks"])}
    check_outputs(outputs, "boxes", (4,))
    return outputs, quality


def _is_valid(logits, boxes):
    """(B, Q): whether the numbers are finite and `xyxy` boxes are boxes."""
    is_box = keras.ops.all(
        keras.ops.concatenate(
            [keras.ops.abs(boxes) <= LARGEST, boxes[..., 2:] >= boxes[..., :2]],
            axis=-1,
        ),
        axis=-1,
    )  # NaN fails every comparison
    return keras.ops.logical_and(are_finite(logits), is_box)


def are_finite(logits):
    """(B, Q): whether the scores of (B, Q, K) logits are finite.

    The softmax of a row with NaN has other numbers in it on some processors
    (TensorFlow 2.21 with AVX-512), so the logits are asked.
    """
    return keras.ops.logical_and(
        keras.ops.all(logits <= LARGEST, axis=-1),
        keras.ops.any(logits >= -LARGEST, axis=-1),
    )


def _absolute_corners(boxes, image_shape):
    """`rel_center_xywh` (B, Q, 4) to `xyxy` in pixels of each image."""
    sides = sides_of(image_shape, boxes.shape[0])
    boxes = keras.utils.bounding_boxes.convert_format(
        boxes, source="center_xywh", target="xyxy"
    )
    height, width = sides[..., 0], sides[..., 1]
    sides = keras.ops.stack(
        [keras.ops.cast(x, boxes.dtype) for x in (width, height)], axis=-1
    )  # (2,) or (B, 2)
    sides = keras.ops.concatenate([sides, sides], axis=-1)
    return boxes * (sides if len(sides.shape) == 1 else sides[:, None])
