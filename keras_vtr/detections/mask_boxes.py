"""Boxes and scores of masks, for models that predict no boxes."""

from keras import ops


def boxes_of_masks(logits):
    """The smallest boxes that hold the masks.

    Args:
        logits: (B, Q, height, width); above 0 is the object.

    Returns:
        (B, Q, 4) float32, `rel_center_xywh`, zeros for an empty mask.
    """
    inside = logits > 0
    sides = [_extent(ops.any(inside, axis=axis)) for axis in (2, 3)]
    (left, right), (top, bottom) = sides
    return ops.stack(
        [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top],
        axis=-1,
    )


def _extent(is_hit):
    """Begin and end of what is hit along the last axis, from 0 to 1."""
    length = is_hit.shape[-1]
    position = ops.arange(length, dtype="float32")
    last = ops.max(ops.where(is_hit, position + 1, 0.0), axis=-1)
    first = ops.min(ops.where(is_hit, position, float(length)), axis=-1)
    first = ops.minimum(first, last)
    return first / length, last / length


def mask_scores(logits):
    """The mean probability of the pixels of each mask, 0 of an empty one.

    Cheng et al. 2022 (Mask2Former), in the authors' instance inference.

    Args:
        logits: (B, Q, height, width).

    Returns:
        (B, Q) float32.
    """
    logits = ops.cast(logits, "float32")
    inside = ops.cast(logits > 0, "float32")
    total = ops.sum(inside * ops.sigmoid(logits), axis=(2, 3))
    return ops.divide_no_nan(total, ops.sum(inside, axis=(2, 3)))
