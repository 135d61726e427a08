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


def classify(answers, num_classes, classifier):
    """(B, L, Q, D) -> (B, L, Q, K), or K + 1 logits of a softmax."""
    return ClassHead(
        classifier.num_logits(num_classes),
        bias_initializer=classifier.bias_initializer(),
        dtype="float32",
        name=DETR.CLASS_HEAD,
    )(answers)


def name_outputs(layers, proposals, auxiliary_outputs):
    """The dict of outputs: the last layer's come first.

    Args:
        layers: Dict of (B, L, Q, ...), the outputs of every layer.
        proposals: The outputs (B, Q, ...) of a layer before them, in the same
            order, or None.
        auxiliary_outputs: Whether those before the last one are outputs, too.
    """
    outputs = {key: x[:, -1] for key, x in layers.items()}
    layers = stack_proposals(proposals, layers)
    if auxiliary_outputs and layers["boxes"].shape[1] > 1:
        for key, x in layers.items():
            outputs[f"auxiliary_{key}"] = x[:, :-1]
    return outputs


def stack_proposals(proposals, layers):
    """Adds the outputs before the decoder, if there are any, as a layer."""
    if proposals is None:
        return layers
    return {
        key: keras.ops.concatenate([first[:, None], x], axis=1)
        for first, (key, x) in zip(proposals, layers.items(), strict=True)
    }


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
