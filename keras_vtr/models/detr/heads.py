"""DETR's last stage: a class, a box and a mask from each query's answer."""

import keras

from keras_vtr.layers import ClassHead
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


def draw_masks(head, answers, memory, feature_maps, padding_mask):
    """The outputs of a mask head, in float32.

    Args:
        head: A layer with the call arguments of `MaskHead`, which returns the
            masks of the last decoder layers, (B, L', Q, height', width').
        answers: (B, L, Q, D), of each decoder layer.
        memory: (B, N, D).
        feature_maps: Those of the backbone, finest first, but the last one as
            the encoder reads it.
        padding_mask: Of the last one, or None.

    Returns:
        Dict of the last layer's masks and, if there are any, of those before.
    """
    *finer_maps, feature_map = feature_maps
    copy = {**head.get_config(), "name": DETR.MASK_HEAD}
    masks = type(head).from_config(copy)(
        answers, memory, feature_map, finer_maps, padding_mask=padding_mask
    )
    masks = keras.layers.Activation("linear", dtype="float32", name=DETR.MASKS)(
        masks
    )
    outputs = {"masks": masks[:, -1]}
    if masks.shape[1] > 1:
        outputs["auxiliary_masks"] = masks[:, :-1]
    return outputs
