"""Which query answers for which target: the cost of each pair, and the choice.

DETR trains its queries as a set: before the loss, each true box is given to
exactly one query, such that the sum of the costs is the least possible
(Carion et al. 2020, section 3.1, equation 1).
"""

import keras
from keras import ops

from keras_vtr.box_ops import generalized_iou
from keras_vtr.losses.shortest_augmenting_path import solve


def pairwise_cost(y_true, y_pred, label_weight, box_weight, giou_weight):
    """What it would cost to give each target to each query.

    Carion et al. 2020, section 3.1 and appendix A.2: `-label_weight *
    probability of the target's class + box_weight * L1 - giou_weight * GIoU`.

    Args:
        y_true: Dict with `"labels"` (B, M) and `"boxes"` (B, M, 4),
            `rel_center_xywh`.
        y_pred: Dict with `"logits"` (B, L, Q, K + 1) and `"boxes"`
            (B, L, Q, 4), of L decoder layers.
        label_weight, box_weight, giou_weight: Weights of the three parts.

    Returns:
        (B, L, M, Q) float32. Rows of padding targets mean nothing.
    """
    probabilities = ops.softmax(y_pred["logits"], axis=-1)
    labels = y_true["labels"][:, None, None, :]  # (B, 1, 1, M)
    labels = ops.where(labels < 0, 0, labels)
    probability = ops.take_along_axis(probabilities, labels, axis=-1)
    probability = ops.transpose(probability, (0, 1, 3, 2))  # (B, L, M, Q)
    true_boxes = y_true["boxes"][:, None, :, None]  # (B, 1, M, 1, 4)
    pred_boxes = y_pred["boxes"][:, :, None]  # (B, L, 1, Q, 4)
    distance = ops.sum(ops.abs(true_boxes - pred_boxes), axis=-1)
    giou = generalized_iou(corners(true_boxes), corners(pred_boxes))
    return (
        box_weight * distance - label_weight * probability - giou_weight * giou
    )


def corners(boxes):
    """Center, width and height to `xyxy`, in the same unit."""
    return keras.utils.bounding_boxes.convert_format(
        boxes, source="center_xywh", target="xyxy"
    )


def assign(cost, is_target):
    """Gives each target a query of its own, at the least total cost.

    Exact, for many problems at once: the shortest augmenting paths of Jonker
    and Volgenant 1987 in the rectangular form of Crouse 2016, "On implementing
    2D rectangular assignment algorithms", targets as rows. Written with tensor
    operations only, so XLA compiles it within a training step.

    Args:
        cost: (P, M, Q) float: P problems, M targets, Q queries. Any finite
            values. NaN and infinity count as the largest finite cost,
            so the answer stays one-to-one, but it means nothing there.
        is_target: (P, M) bool, False for padding.

    Returns:
        (P, M) int32, the query of each target, -1 for padding.

    Raises:
        ValueError: If a problem has more targets than queries, or the shapes
            don't fit. Within a graph padding counts as well, since nobody
            knows there where it is; where the graph leaves the numbers open,
            M is not compared, and targets beyond Q are left out.

    Example:

    >>> cost = keras.ops.array([[[1.0, 2.0, 9.0], [1.0, 5.0, 9.0]]])
    >>> is_target = keras.ops.array([[True, True]])
    >>> print(np.array(keras_vtr.losses.matching.assign(cost, is_target)))
    [[1 0]]
    """
    _check_shapes(cost, is_target)
    return solve(ops.stop_gradient(cost), is_target)


def _check_shapes(cost, is_target):
    if len(cost.shape) != 3 or len(is_target.shape) != 2:
        raise ValueError(
            "`cost` must have the shape (P, M, Q) and `is_target` (P, M). "
            f"Received: cost.shape={tuple(cost.shape)}, "
            f"is_target.shape={tuple(is_target.shape)}"
        )
    num_targets, num_queries = cost.shape[1:]
    if None in (num_targets, num_queries) or num_targets <= num_queries:
        return
    num_targets, counted = _most_targets(is_target)
    if num_targets > num_queries:
        raise ValueError(
            f"There must be at least as many queries as targets{counted}. "
            f"Received: {num_targets} targets, {num_queries} queries. Raise "
            "`num_queries` or pad the targets to fewer."
        )


def _most_targets(is_target):
    """M without padding where values are known; and how it was counted."""
    try:
        is_target = ops.convert_to_numpy(is_target)
    except (AttributeError, NotImplementedError, TypeError):  # within a graph
        return is_target.shape[1], ", padding included"
    return int(is_target.sum(axis=1).max(initial=0)), ""
