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
OBJECT_WEIGHT, LABEL_WEIGHT, BOX_WEIGHT = 1.0, 2.0, 1.0
PRIOR = 0.01  # probability of an object that the head starts with
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
    objects = keras.layers.Conv2D(count, 1, bias_initializer=prior)(x)
    logits = keras.layers.Conv2D(10 * count, 1)(x)
    boxes = keras.layers.Conv2D(4 * count, 1)(x)
    outputs = {
        "objects": keras.layers.Reshape((-1,))(objects),  # (B, N)
        "logits": keras.layers.Reshape((-1, 10))(logits),  # (B, N, 10)
        "boxes": keras.layers.Reshape((-1, 4))(boxes),  # (B, N, 4)
    }
    return AnchorModel(images, outputs)


class AnchorModel(keras.Model):
    """Is there an object, which one, where: the last two of those that match.

    Redmon and Farhadi 2018 (YOLOv3), section 2.
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
        is_match = ops.cast(is_match, "float32")
        objects = ops.binary_crossentropy(
            is_match, y_pred["objects"], from_logits=True
        )
        labels = ops.take_along_axis(y["labels"], best, axis=1)
        labels = ops.sparse_categorical_crossentropy(
            ops.maximum(labels, 0), y_pred["logits"], from_logits=True
        )
        true = ops.take_along_axis(y["boxes"], best[..., None], axis=1)
        offset = (true[..., :2] - places[:, :2]) / places[:, 2:]
        size = ops.log(ops.maximum(true[..., 2:], 1e-6) / places[:, 2:])
        wanted = ops.concatenate([offset, size], axis=-1)
        boxes = ops.sum(abs(wanted - y_pred["boxes"]), axis=-1)
        total = OBJECT_WEIGHT * ops.sum(ops.where(counts, objects, 0.0))
        total += LABEL_WEIGHT * ops.sum(is_match * labels)
        total += BOX_WEIGHT * ops.sum(is_match * boxes)
        return total / ops.sum(is_match)


def decode(outputs):
    """Outputs to detections, many of each object as yet."""
    places, boxes = anchors(), outputs["boxes"]
    center = places[:, :2] + boxes[..., :2] * places[:, 2:]
    size = places[:, 2:] * np.exp(np.clip(boxes[..., 2:], -4, 4))
    boxes = SIDE * _corners(np.concatenate([center, size], axis=-1))
    is_object = 1 / (1 + np.exp(-outputs["objects"][..., None]))
    classes = keras.ops.softmax(outputs["logits"], axis=-1)
    return boxes, is_object * np.array(classes)


def _corners(boxes):
    return ops.concatenate(
        [
            boxes[..., :2] - boxes[..., 2:] / 2,
            boxes[..., :2] + boxes[..., 2:] / 2,
        ],
        axis=-1,
    )
