"""Pairs of the denoising queries, which are noised true objects."""

from keras import ops

from keras_vtr.losses.pairs import Lazy
from keras_vtr.losses.pairs import Pairs
from keras_vtr.losses.pairs import gather_targets
from keras_vtr.losses.pairs import with_prefix


def denoise(terms, y_true, y_pred, num_images, num_targets):
    """The `Pairs` of denoising, or None without denoising outputs.

    Li et al. 2022 (DN-DETR), section 3.3: a noised query must reconstruct the
    true label and box. The pairs are known, so nothing is matched, and no query
    must predict "no object".

    Args:
        terms: Unused.
        y_true: `"labels"` (B, M) int32, -1 for padding, `"boxes"` (B, M, 4).
        y_pred: `"denoising_logits"` (B, L, G * M, K + 1) and
            `"denoising_boxes"` (B, L, G * M, 4): G groups of the M targets.
        num_images: Images of the batch, over all replicas.
        num_targets: Targets of the batch, over all replicas.
    """
    if "denoising_boxes" not in y_pred:
        return None
    layers = with_prefix(y_pred, "denoising_")
    shape = ops.shape(layers["boxes"])[:-1]  # (B, L, G * M)
    most_targets = y_true["labels"].shape[1]
    num_groups = layers["boxes"].shape[2] // most_targets
    is_target = y_true["labels"] >= 0  # (B, M)
    matched = ops.tile(is_target, (1, num_groups))[:, None]
    matched = ops.broadcast_to(matched, shape)
    target = ops.tile(ops.arange(most_targets, dtype="int32"), (num_groups,))
    target = ops.broadcast_to(target, shape)
    query = ops.arange(num_groups * most_targets, dtype="int32")
    repeated = Lazy(lambda key: _repeat(y_true[key], num_groups), y_true)
    return Pairs(
        y_true=gather_targets(y_true, target, matched),
        y_pred=layers,
        matched=matched,
        idle=ops.zeros_like(matched),
        num_targets=ops.sum(ops.cast(is_target, "float32"), axis=1),
        num_images=num_images,
        num_pairs=num_targets * num_groups,
        num_idle=0.0,
        targets=repeated,
        assignment=ops.where(matched, query, -1),
    )


def _repeat(values, num_groups):
    """(B, M, ...) -> (B, G * M, ...), one group after the other."""
    return ops.tile(values, (1, num_groups, *[1] * (len(values.shape) - 2)))
