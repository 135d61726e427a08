"""Attention weights of a model that doesn't return them."""

import keras

from keras_vtr.functional_models import as_functional
from keras_vtr.functional_models import with_images
from keras_vtr.layers import AnchorDecoder
from keras_vtr.layers import TransformerDecoder
from keras_vtr.layers import TransformerEncoder
from keras_vtr.stages import DETR
from keras_vtr.stages import ViT

ENCODERS = (TransformerEncoder,)
DECODERS = (TransformerDecoder, AnchorDecoder)
# The stages whose pixels become an encoder's tokens.
MAPS = (ViT.PATCHES, DETR.INPUT_PROJECTION)


class _WithScores(keras.layers.Layer):
    """An encoder or decoder that returns its scores, too.

    Keras 3.15.1 counts the outputs of a layer by its first call alone, so a
    graph can't hold the same layer with one output more.
    """

    def __init__(self, inside):
        super().__init__(autocast=False)  # anchors and centers are float32
        self.inside = inside

    def call(self, *inputs, **kwargs):
        return self.inside(*inputs, **kwargs, return_attention_scores=True)


def scores_of(model, images, kinds):
    """Attention weights, and the grid of the pixels that they are over.

    Args:
        model: A functional model or a `keras.Sequential`, with others inside,
            too.
        images: As the model takes them, (B, height, width, C) or a dict.
        kinds: `ENCODERS` or `DECODERS`.

    Returns:
        (B, L, H, T, N) float32 array, and (rows, columns).

    Raises:
        ValueError: If the model has not exactly one such layer, or none of
            `MAPS`.
    """
    graph = _graph_with_scores(with_images(model), kinds)
    shape = getattr(graph.output.get("map"), "shape", ())
    if len(shape) != 4:
        raise ValueError(
            f"`model` must have a layer named {' or '.join(map(repr, MAPS))} "
            "(keras_vtr.stages) that makes the feature map (B, rows, columns, "
            "D) of the tokens before the encoder; a detector on a ViT has no "
            f"encoder of its own: pass the ViT. Received: {model.name!r}"
        )
    outputs = graph(images, training=False)
    grid = tuple(outputs["map"].shape[1:3])
    scores = keras.ops.cast(outputs["scores"], "float32")
    return keras.ops.convert_to_numpy(scores), grid


def _graph_with_scores(model, kinds):
    """The model with `scores`, and the feature `map` that they are over.

    The model's graph is rebuilt with the same layers; only the encoder or
    decoder returns its scores, too.
    """
    found = []
    seen = {}
    # A detector's own encoder, and not that of a ViT within it.
    is_here = any(isinstance(layer, kinds) for layer in model.layers)

    def call(layer, *args, **kwargs):
        if isinstance(layer, kinds):
            *outputs, scores = _WithScores(layer)(*args, **kwargs)
            found.append({**seen, "scores": scores})
            return outputs[0] if len(outputs) == 1 else tuple(outputs)
        is_model = isinstance(layer, keras.Model) and not is_here
        if is_model and _contains(layer, kinds):
            inner = _graph_with_scores(as_functional(layer), kinds)
            found.append({**seen, **inner(*args, **kwargs)})
            return found[-1]["output"]
        output = layer(*args, **kwargs)
        if layer.name in MAPS:
            seen["map"] = output
        return output

    inputs = [
        keras.Input(batch_shape=x.shape, dtype=x.dtype, name=x.name)
        for x in model.inputs
    ]
    inputs = keras.tree.pack_sequence_as(model.input, inputs)
    again = keras.models.clone_model(
        model,
        input_tensors=inputs,
        clone_function=lambda layer: layer,
        call_function=call,
    )
    if len(found) != 1:
        raise _refusal(model, kinds, len(found))
    return keras.Model(inputs, {**found[0], "output": again.output})


def _contains(model, kinds):
    return any(
        isinstance(layer, kinds)
        or (isinstance(layer, keras.Model) and _contains(layer, kinds))
        for layer in model.layers
    )


def _refusal(model, kinds, count):
    names = " or ".join(kind.__name__ for kind in kinds)
    return ValueError(
        f"`model` must have exactly one {names}. Received: {model.name!r} "
        f"with {count}"
    )
