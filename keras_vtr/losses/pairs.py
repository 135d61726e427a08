"""Predictions and targets side by side."""

from keras import ops

from keras_vtr.box_ops import generalized_iou
from keras_vtr.losses.matching import corners
from keras_vtr.targets import check_keys
from keras_vtr.targets import check_target_shapes


def standardize(y_true, y_pred):
    """Checks both sides; stacks the layers to `logits` (B, L, Q, K + 1)."""
    check_keys("y_true", y_true, ("boxes", "labels"))
    check_keys("y_pred", y_pred, ("boxes", "logits"))
    labels = ops.convert_to_tensor(y_true["labels"])
    boxes = ops.cast(y_true["boxes"], "float32")
    check_target_shapes(boxes.shape, labels.shape)
    # `Loss.__call__` turns labels into floats.
    labels = ops.cast(ops.round(ops.cast(labels, "float32")), "int32")
    stacked = {}
    for key in ("logits", "boxes"):
        layers = ops.cast(y_pred[key], "float32")[:, None]
        if f"auxiliary_{key}" in y_pred:
            earlier = ops.cast(y_pred[f"auxiliary_{key}"], "float32")
            layers = ops.concatenate([earlier, layers], axis=1)
        stacked[key] = layers
    # No overflow in areas, whatever a user's head predicts.
    stacked["boxes"] = ops.clip(stacked["boxes"], -1e9, 1e9)
    for key in ("denoising_logits", "denoising_boxes"):
        if key in y_pred:
            stacked[key] = ops.cast(y_pred[key], "float32")
    return {"labels": labels, "boxes": boxes}, stacked


def box_sums(predicted, matched, boxes):
    """Box terms of each layer, summed over its pairs.

    Args:
        predicted: (B, L, Q, 4), `rel_center_xywh`.
        matched: (B, L, Q) bool, which queries answer for a target.
        boxes: (B, L, Q, 4), theirs.

    Returns:
        Dict of (L,).
    """
    distance = ops.sum(ops.abs(predicted - boxes), axis=-1)  # (B, L, Q)
    giou = generalized_iou(corners(predicted), corners(boxes))
    return {
        "box_loss": ops.sum(ops.where(matched, distance, 0.0), axis=(0, 2)),
        "giou_loss": ops.sum(ops.where(matched, 1.0 - giou, 0.0), axis=(0, 2)),
    }
