"""A detector as they were before DETR: anchors, overlap rules, suppression.

no_suppression.py trains it and compares it with DETR; alone it does nothing.
"""

import digit_detr
import keras
import numpy as np
from keras import ops

from keras_vtr import box_ops

# What has to be chosen, and DETR has no name for.
ANCHOR_SIZES = (14.0, 20.0, 28.0)  # pixels, of the height
ANCHOR_ASPECTS = (0.6, 1.0)  # width over height
POSITIVE_OVERLAP = 0.5  # an anchor that overlaps as much is to find the box
NEGATIVE_OVERLAP = 0.4  # one that overlaps less is to find nothing
FOCAL_GAMMA = 2.0  # how much the easy ones are left out (Lin et al. 2017)
FOCAL_ALPHA = 0.25
PRIOR = 0.01  # probability that the head starts with
SUPPRESSION_OVERLAP = 0.5  # of two boxes that overlap more, one is dropped
SCORE_THRESHOLD = 0.05

SIDE, GRID = digit_detr.IMAGE_SHAPE[0], 8


def anchors():
    """(N, 4) boxes, center x, center y, width, height, relative."""
    center = (np.arange(GRID) + 0.5) / GRID
    shapes = [
        (size * aspect / SIDE, size / SIDE)
        for size in ANCHOR_SIZES
        for aspect in ANCHOR_ASPECTS
    ]
    return np.array(
        [(x, y, *shape) for y in center for x in center for shape in shapes],
        "float32",
    )


def build():
    """Feature map to a class and a box for each anchor, by convolutions."""
    images, x = digit_detr.build_features()
    for _ in range(3):  # as many weights as DETR's encoder and decoder
        x = keras.layers.Conv2D(128, 3, padding="same", use_bias=False)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    count = len(ANCHOR_SIZES) * len(ANCHOR_ASPECTS)
    prior = keras.initializers.Constant(np.log(PRIOR / (1 - PRIOR)))
    logits = keras.layers.Conv2D(10 * count, 1, bias_initializer=prior)(x)
    boxes = keras.layers.Conv2D(4 * count, 1)(x)
    outputs = {
        "logits": keras.layers.Reshape((-1, 10))(logits),  # (B, N, 10)
        "boxes": keras.layers.Reshape((-1, 4))(boxes),  # (B, N, 4)
    }
    return AnchorModel(images, outputs)


class AnchorModel(keras.Model):
    """Focal loss of every class, L1 of the boxes of anchors that match.

    Lin et al. 2017 (RetinaNet), sections 3 and 4.
    """

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        places = ops.convert_to_tensor(anchors())
        is_real = y["labels"] >= 0  # (B, M)
        overlap = box_ops.iou(
            _corners(places)[None, :, None], _corners(y["boxes"])[:, None]
        )
        overlap = ops.where(is_real[:, None], overlap, -1.0)  # (B, N, M)
        best, most = ops.argmax(overlap, axis=2), ops.max(overlap, axis=2)
        # The anchor nearest to a box finds it, however little they overlap.
        is_nearest = overlap == ops.max(overlap, axis=1, keepdims=True)
        is_nearest = ops.any(is_nearest & is_real[:, None], axis=2)
        is_match = (most >= POSITIVE_OVERLAP) | is_nearest
        counts = is_match | (most < NEGATIVE_OVERLAP)
        labels = ops.take_along_axis(y["labels"], best, axis=1)
        labels = ops.where(is_match, labels, -1)  # one-hot of it is zeros
        focal = keras.losses.BinaryFocalCrossentropy(
            True, FOCAL_ALPHA, FOCAL_GAMMA, from_logits=True, reduction=None
        )(ops.one_hot(labels, 10)[..., None], y_pred["logits"][..., None])
        true = ops.take_along_axis(y["boxes"], best[..., None], axis=1)
        offset = (true[..., :2] - places[:, :2]) / places[:, 2:]
        size = ops.log(ops.maximum(true[..., 2:], 1e-6) / places[:, 2:])
        wanted = ops.concatenate([offset, size], axis=-1)
        error = ops.sum(abs(wanted - y_pred["boxes"]), axis=-1)
        total = ops.sum(ops.where(counts[..., None], focal, 0.0))
        total += ops.sum(ops.where(is_match, error, 0.0))
        return total / ops.sum(ops.cast(is_match, "float32"))


def decode(outputs):
    """Outputs to detections, many of each object as yet."""
    places, boxes = anchors(), outputs["boxes"]
    center = places[:, :2] + boxes[..., :2] * places[:, 2:]
    size = places[:, 2:] * np.exp(np.clip(boxes[..., 2:], -4, 4))
    boxes = SIDE * _corners(np.concatenate([center, size], axis=-1))
    return boxes, 1 / (1 + np.exp(-outputs["logits"]))


def _corners(boxes):
    return ops.concatenate(
        [
            boxes[..., :2] - boxes[..., 2:] / 2,
            boxes[..., :2] + boxes[..., 2:] / 2,
        ],
        axis=-1,
    )
