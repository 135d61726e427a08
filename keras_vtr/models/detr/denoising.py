import keras

from keras_vtr.layers import AnchorDecoder
from keras_vtr.layers import DenoisingQueries
from keras_vtr.models.detr.detection_model import DetectionModel
from keras_vtr.models.detr.heads import name_outputs


def add_denoising(
    detr, num_targets, *, num_groups=5, box_noise=0.4, label_noise=0.2
):
    """Builds the model that trains a DETR on spoiled true objects, too.

    Li et al. 2022 (DN-DETR), section 3.2 and figure 4. It shares all layers
    with `detr` and has the true objects as further inputs; what `detr` itself
    computes doesn't change, and is what you evaluate, save and export:

    >>> images = (64, 64, 3)
    >>> detr = keras_vtr.models.build_detr(
    ...     num_classes=3,
    ...     image_shape=images,
    ...     backbone=keras_vtr.backbones.build_convolution_stem(images),
    ...     queries="anchors",
    ...     num_queries=5,
    ...     hidden_dim=16,
    ...     num_heads=2,
    ...     mlp_dim=32,
    ...     num_encoder_layers=1,
    ...     num_decoder_layers=2,
    ... )
    >>> training_model = keras_vtr.models.add_denoising(detr, num_targets=4)
    >>> print(sorted(training_model.input))
    ['boxes', 'images', 'labels']

    The data set gives them, by
    `dataset.map(lambda images, y: ({"images": images, **y}, y))`.

    Args:
        detr: From `build_detr` with `queries="anchors"`.
        num_targets: M, to which the targets of every batch are padded.
        num_groups: How often each true object is spoiled.
        box_noise: As in `keras_vtr.layers.DenoisingQueries`.
        label_noise: Likewise.

    Returns:
        A `DetectionModel` of a dict of `detr`'s inputs and of y_true's
        `"boxes"` (B, M, 4) and `"labels"` (B, M), to `detr`'s outputs and
        `"denoising_logits"` (B, L, P, K + 1) and `"denoising_boxes"`
        (B, L, P, 4) of P = `num_groups` * M spoiled objects of L layers, for
        `keras_vtr.losses.HungarianLoss`.

    Raises:
        ValueError: If `detr` has no anchors.
    """
    decoder = next(
        (x for x in detr.layers if isinstance(x, AnchorDecoder)), None
    )
    if decoder is None:
        raise ValueError(
            '`detr` must be built with queries="anchors", since spoiled boxes '
            f"become queries. Received: {detr.name!r}"
        )
    boxes = keras.Input((num_targets, 4), name="boxes")
    labels = keras.Input((num_targets,), dtype="int32", name="labels")
    class_head = detr.get_layer("class_head")
    anchors = detr.get_layer("object_queries").output  # (B, Q, 4)
    memory = _memory(detr)
    queries, spoiled, query_mask = DenoisingQueries(
        num_groups,
        class_head.units - 1,
        anchors.shape[1],
        memory["memory"].shape[-1],
        box_noise,
        label_noise,
        name="denoising_queries",
    )(boxes, labels)
    num_spoiled = queries.shape[1]
    nothing = keras.ops.repeat(
        keras.ops.zeros_like(anchors[..., :1]), queries.shape[-1], axis=-1
    )
    answers, moved = decoder(
        keras.ops.concatenate([queries, nothing], axis=1),
        keras.ops.concatenate([spoiled, anchors], axis=1),
        **memory,
        query_mask=query_mask,
    )  # (B, L, P + Q, D) and (B, L, P + Q, 4)
    logits = class_head(answers)
    outputs = name_outputs(
        logits[:, :, num_spoiled:],
        moved[:, :, num_spoiled:],
        auxiliary_outputs="auxiliary_boxes" in detr.output,
    )
    outputs["denoising_logits"] = logits[:, :, :num_spoiled]
    outputs["denoising_boxes"] = moved[:, :, :num_spoiled]
    inputs = {x.name: x for x in detr.inputs}
    inputs |= {"boxes": boxes, "labels": labels}
    return DetectionModel(inputs, outputs, name=f"{detr.name}_denoising")


def _memory(detr):
    """What `detr`'s decoder reads, by its arguments' names."""
    layers = {
        "memory": "encoder",
        "memory_positions": "positions",
        "centers": "centers",
        "padding_mask": "real_tokens",
    }
    names = [layer.name for layer in detr.layers]
    return {
        argument: detr.get_layer(name).output
        for argument, name in layers.items()
        if name in names
    }
