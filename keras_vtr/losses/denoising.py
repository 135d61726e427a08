"""The pairs of queries that were made of noised true objects."""

from keras import ops

from keras_vtr.losses.pairs import Lazy
from keras_vtr.losses.pairs import Pairs
from keras_vtr.losses.pairs import output


def denoise(y_true, y_pred, num_images, num_targets):
    """The `Pairs` of denoising; nothing is matched, since all is known.

    Li et al. 2022 (DN-DETR), section 3.3: noised queries are to give back the
    true label and box. No query is to answer "no object".

    Args:
        y_true: `"labels"` (B, M) int32, -1 for padding, `"boxes"` (B, M, 4).
        y_pred: `"denoising_logits"` (B, L, G * M, K + 1) and
            `"denoising_boxes"` (B, L, G * M, 4), G times the targets.
        num_images: How many there are, over all replicas.
        num_targets: How many targets, likewise.
    """
    layers = Lazy(lambda key: output(y_pred, f"denoising_{key}"))
    sides = ops.shape(layers["boxes"])[:-1]
    num_groups = layers["boxes"].shape[2] // y_true["labels"].shape[1]
    is_target = y_true["labels"] >= 0  # (B, M)
    matched = ops.tile(is_target, (1, num_groups))[:, None]
    matched = ops.broadcast_to(matched, sides)  # (B, L, G * M)

    def of_queries(key):
        values = y_true[key]  # (B, M, ...)
        rest = (None,) * (len(values.shape) - 2)
        values = ops.tile(values, (1, num_groups, *[1] * len(rest)))[:, None]
        real = matched[(..., *rest)]
        return ops.where(real, values, ops.zeros_like(values))

    return Pairs(
        y_true=Lazy(of_queries),
        y_pred=layers,
        matched=matched,
        idle=ops.zeros_like(matched),
        num_targets=ops.sum(ops.cast(is_target, "float32"), axis=1),
        num_images=num_images,
        num_pairs=num_targets * num_groups,
        num_idle=0.0,
    )
