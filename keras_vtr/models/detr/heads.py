"""DETR's last stage: a class, a box and a mask from each query's answer."""

import keras

from keras_vtr.layers import ClassHead
from keras_vtr.layers import MaskHead
from keras_vtr.stages import DETR


def read_boxes(answers):
    """(B, L, Q, D) -> (B, L, Q, 4), by the same head in every layer.

    In float32: float16 is too coarse for boxes of a photograph.
    """
    boxes = answers
    for name in (DETR.BOX_HEAD_0, DETR.BOX_HEAD_1):
        boxes = keras.layers.Dense(
            answers.shape[-1], activation="relu", name=name
        )(boxes)
    return keras.layers.Dense(
        4, activation="sigmoid", dtype="float32", name=DETR.BOX_HEAD_2
    )(boxes)


def predict(answers, boxes, num_classes, auxiliary_outputs):
    """The dict of outputs: the last decoder layer's come first."""
    logits = ClassHead(num_classes + 1, dtype="float32", name=DETR.CLASS_HEAD)(
        answers
    )  # (B, L, Q, K + 1)
    return name_outputs(logits, boxes, auxiliary_outputs)


def name_outputs(logits, boxes, auxiliary_outputs):
    outputs = {"logits": logits[:, -1], "boxes": boxes[:, -1]}
    if auxiliary_outputs and logits.shape[1] > 1:
        outputs["auxiliary_logits"] = logits[:, :-1]
        outputs["auxiliary_boxes"] = boxes[:, :-1]
    return outputs


def draw_masks(num_heads, answers, memory, feature_maps, padding_mask):
    """A mask of logits for each query of the last layer, in float32."""
    *finer_maps, feature_map = feature_maps
    masks = MaskHead(num_heads, name=DETR.MASK_HEAD)(
        answers[:, -1],
        memory,
        feature_map,
        finer_maps,
        padding_mask=padding_mask,
    )  # (B, Q, height', width')
    return keras.layers.Activation("linear", dtype="float32", name=DETR.MASKS)(
        masks
    )
