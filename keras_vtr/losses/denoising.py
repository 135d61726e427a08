"""The loss of queries that were made of spoiled true objects."""

from keras import ops

from keras_vtr.losses.pairs import box_sums


def denoising_sums(y_true, y_pred):
    """Terms of each layer, summed; nothing is matched, since all is known.

    Li et al. 2022 (DN-DETR), section 3.3: spoiled queries are to give back the
    true label and box. The terms are those of `HungarianLoss`, without "no
    object".

    Args:
        y_true: `"labels"` (B, M) int32, -1 for padding, `"boxes"` (B, M, 4).
        y_pred: `"denoising_logits"` (B, L, G * M, K + 1) and
            `"denoising_boxes"` (B, L, G * M, 4), G times the targets.

    Returns:
        Dict of (L,), and G.
    """
    logits, boxes = y_pred["denoising_logits"], y_pred["denoising_boxes"]
    num_groups = logits.shape[2] // y_true["labels"].shape[1]
    labels = ops.tile(y_true["labels"], (1, num_groups))[:, None]
    true_boxes = ops.tile(y_true["boxes"], (1, num_groups, 1))[:, None]
    is_target = ops.broadcast_to(labels >= 0, ops.shape(boxes)[:-1])
    labels = ops.broadcast_to(ops.maximum(labels, 0), ops.shape(boxes)[:-1])
    log_probability = ops.take_along_axis(
        ops.log_softmax(logits, axis=-1), labels[..., None], axis=-1
    )[..., 0]
    log_probability = ops.maximum(log_probability, -1e30)
    sums = {
        "label_loss": -ops.sum(
            ops.where(is_target, log_probability, 0.0), axis=(0, 2)
        ),
        **box_sums(boxes, is_target, true_boxes),
    }
    return {f"denoising_{k}": x for k, x in sums.items()}, num_groups
