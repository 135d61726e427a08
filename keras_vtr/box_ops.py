"""Pure functions of boxes: IoU and generalized IoU.

Formats have the names of `keras.utils.bounding_boxes.convert_format`.
"""

import math

import keras

LEAST_SIDE = 1e-4  # of boxes that others are compared with
MOST_GROWTH = 60.0  # in one step, so that the exponential can't overflow


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
    added, so the value of a box with itself is 1 at any size. Coordinates up
    to 1e18 don't overflow float32.

    Args:
        boxes1: (..., 4) `xyxy` boxes in any unit.
        boxes2: (..., 4) boxes in the same unit. The leading axes broadcast.

    Returns:
        (...) in [-1, 1]; 0 where the smallest box around both has no area.
    """
    intersection, union, hull = _areas(boxes1, boxes2)
    return _safe_divide(intersection, union) - _safe_divide(hull - union, hull)


def to_corners(boxes):
    """`center_xywh` boxes (..., 4) to `xyxy`, relative or not."""
    return keras.utils.bounding_boxes.convert_format(
        boxes, source="center_xywh", target="xyxy"
    )


def relative_moves(references, boxes):
    """How each reference box must move to become the box.

    Girshick et al. 2014 (R-CNN), appendix C: the way of the center in units of
    the reference's sides, and the logarithms of the ratios of the sides.

    Args:
        references: (..., 4) `center_xywh` boxes.
        boxes: (..., 4) boxes in the same unit. The leading axes broadcast.

    Returns:
        (..., 4).
    """
    sides = keras.ops.maximum(references[..., 2:], LEAST_SIDE)
    way = (boxes[..., :2] - references[..., :2]) / sides
    growth = keras.ops.log(keras.ops.maximum(boxes[..., 2:], LEAST_SIDE))
    growth = growth - keras.ops.log(sides)
    return keras.ops.concatenate([way, growth], axis=-1)


def move_boxes(references, moves):
    """Moves boxes by `relative_moves`; sides grow `MOST_GROWTH` at most."""
    sides = keras.ops.maximum(references[..., 2:], LEAST_SIDE)
    centers = references[..., :2] + moves[..., :2] * sides
    most = math.log(MOST_GROWTH)
    sides = sides * keras.ops.exp(keras.ops.clip(moves[..., 2:], -most, most))
    return keras.ops.concatenate([centers, sides], axis=-1)


def _areas(boxes1, boxes2):
    """Areas of the intersection, the union and the smallest outer box."""
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
