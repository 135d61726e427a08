import keras

from keras_vtr.layers import AnchorDecoder
from keras_vtr.layers import DenoisingQueries
from keras_vtr.models.detr.detection_model import DetectionModel
from keras_vtr.models.detr.heads import name_outputs
from keras_vtr.stages import DETR


def add_denoising(
    detr, num_targets, *, num_groups=5, box_noise=0.4, label_noise=0.2
):
    """Builds the model that trains a DETR with denoising.

    Li et al. 2022 (DN-DETR), section 3.2 and figure 4: true boxes and labels
    with noise are further queries, which the decoder learns to denoise. The
    model shares all layers with `detr`. Evaluate, save and export `detr`, whose
    outputs don't change:

    >>> images = (64, 64, 3)
    >>> detr = keras_vtr.models.build_detr(
    ...     3, size="small", image_shape=images, queries="anchors"
    ... )
    >>> training_model = keras_vtr.models.add_denoising(detr, num_targets=4)
    >>> print(sorted(training_model.input))
    ['boxes', 'images', 'labels']

    The data set provides them by
    `dataset.map(lambda images, y: ({"images": images, **y}, y))`.

    Args:
        detr: From `build_detr` with `queries="anchors"`.
        num_targets: M, the number that each batch's targets are padded to.
        num_groups: How many noised copies each true object has.
        box_noise: As in `keras_vtr.layers.DenoisingQueries`.
        label_noise: Likewise.

    Returns:
        A `DetectionModel` of a dict of `detr`'s inputs and of y_true's
        `"boxes"` (B, M, 4) and `"labels"` (B, M), to `detr`'s outputs and
        `"denoising_logits"` (B, L, P, K + 1) and `"denoising_boxes"`
        (B, L, P, 4) of P = `num_groups` * M noised objects of L layers, for
        `keras_vtr.losses.HungarianLoss`.

    Raises:
        ValueError: If `detr` has no anchors.
    """
    decoder = next(
        (x for x in detr.layers if isinstance(x, AnchorDecoder)), None
    )
    if decoder is None:
        raise ValueError(
            '`detr` must be built with queries="anchors", since noised boxes '
            f"become queries. Received: {detr.name!r}"
        )
    boxes = keras.Input((num_targets, 4), name="boxes")
    labels = keras.Input((num_targets,), dtype="int32", name="labels")
    class_head = detr.get_layer(DETR.CLASS_HEAD)
    anchors = detr.get_layer(DETR.OBJECT_QUERIES).output  # (B, Q, 4)
    memory = _memory(detr)
    queries, noised, query_mask = DenoisingQueries(
        num_groups,
        class_head.units - 1,
        anchors.shape[1],
        memory["memory"].shape[-1],
        box_noise,
        label_noise,
        name="denoising_queries",
    )(boxes, labels)
    num_noised = queries.shape[1]
    nothing = keras.ops.repeat(
        keras.ops.zeros_like(anchors[..., :1]), queries.shape[-1], axis=-1
    )
    answers, moved = decoder(
        keras.ops.concatenate([queries, nothing], axis=1),
        keras.ops.concatenate([noised, anchors], axis=1),
        **memory,
        query_mask=query_mask,
    )  # (B, L, P + Q, D) and (B, L, P + Q, 4)
    logits = class_head(answers)
    outputs = name_outputs(
        logits[:, :, num_noised:],
        moved[:, :, num_noised:],
        auxiliary_outputs="auxiliary_boxes" in detr.output,
    )
    outputs["denoising_logits"] = logits[:, :, :num_noised]
    outputs["denoising_boxes"] = moved[:, :, :num_noised]
    inputs = {x.name: x for x in detr.inputs}
    inputs |= {"boxes": boxes, "labels": labels}
    return DetectionModel(inputs, outputs, name=f"{detr.name}_denoising")


def _memory(detr):
    """The inputs of `detr`'s decoder by its arguments' names."""
    layers = {
        "memory": DETR.ENCODER,
        "memory_positions": DETR.POSITIONS,
        "centers": DETR.CENTERS,
        "padding_mask": DETR.REAL_TOKENS,
    }
    names = [layer.name for layer in detr.layers]
    return {
        argument: detr.get_layer(name).output
        for argument, name in layers.items()
        if name in names
    }
