"""Pure functions of boxes: IoU and generalized IoU.

Formats have the names of `keras.utils.bounding_boxes.convert_format`.
"""

import keras


def iou(boxes1, boxes2):
    """Intersection over union of boxes.

    Args:
        boxes1: (..., 4) `xyxy` boxes in any unit.
        boxes2: (..., 4) boxes in the same unit. The leading axes broadcast:
            (M, 1, 4) against (1, Q, 4) gives each pair of M and Q.

    Returns:
        (...) in [0, 1]; 0 where both boxes have no area.
    """
    intersection, union, _ = _areas(boxes1, boxes2)
    return _safe_divide(intersection, union)


def generalized_iou(boxes1, boxes2):
    """Generalized intersection over union of boxes (Rezatofighi et al. 2019).

    `iou - (hull - union) / hull`, where `hull` is the area of the smallest box
    around both. Unlike IoU it has a gradient for boxes that don't overlap.
    Value and gradient are finite for boxes without area, too. No epsilon is
    added, so the value of a box with itself is 1 at any size. Coordinates up to
    1e18 don't overflow float32.

    Args:
        boxes1: (..., 4) `xyxy` boxes in any unit.
        boxes2: (..., 4) boxes in the same unit. The leading axes broadcast.

    Returns:
        (...) in [-1, 1]; 0 where the smallest box around both has no area.
    """
    intersection, union, hull = _areas(boxes1, boxes2)
    return _safe_divide(intersection, union) - _safe_divide(hull - union, hull)


def _areas(boxes1, boxes2):
    """Areas of intersection, union and smallest box around both."""
    minimum, maximum = keras.ops.minimum, keras.ops.maximum
    upper_left1, lower_right1 = boxes1[..., :2], boxes1[..., 2:]
    upper_left2, lower_right2 = boxes2[..., :2], boxes2[..., 2:]
    intersection = _area(
        maximum(upper_left1, upper_left2), minimum(lower_right1, lower_right2)
    )
    area1 = _area(upper_left1, lower_right1)
    area2 = _area(upper_left2, lower_right2)
    hull = _area(
        minimum(upper_left1, upper_left2), maximum(lower_right1, lower_right2)
    )
    return intersection, area1 + area2 - intersection, hull


def _area(upper_left, lower_right):
    sides = keras.ops.maximum(lower_right - upper_left, 0.0)
    return sides[..., 0] * sides[..., 1]


def _safe_divide(numerator, denominator):
    """Division that is 0 where the denominator is 0."""
    # Without the inner `where` the gradient would be NaN there.
    positive = denominator > 0
    quotient = numerator / keras.ops.where(positive, denominator, 1.0)
    return keras.ops.where(positive, quotient, 0.0)
