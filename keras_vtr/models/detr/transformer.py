"""DETR's Transformer: from a feature map to each decoder layer's answers."""

import keras

from keras_vtr.layers import ObjectQueries
from keras_vtr.layers import SinePositionEncoding2D
from keras_vtr.layers import TransformerDecoder
from keras_vtr.layers import TransformerDecoderBlock
from keras_vtr.layers import TransformerEncoder
from keras_vtr.layers import TransformerEncoderBlock
from keras_vtr.models.detr.heads import read_boxes
from keras_vtr.stages import DETR


def encode(feature_map, padding_mask, num_layers, options):
    """Relates the feature map's pixels to each other by self-attention.

    Returns:
        The decoder's inputs by its arguments' names.
    """
    hidden_dim = feature_map.shape[-1]
    positions = SinePositionEncoding2D(name=DETR.POSITIONS)
    positions = positions(feature_map, padding_mask=padding_mask)  # (B, N, D)
    tokens = keras.layers.Reshape((-1, hidden_dim), name=DETR.TOKENS)(
        feature_map
    )
    if padding_mask is not None:
        flatten = keras.layers.Reshape((-1,), name=DETR.REAL_TOKENS)
        padding_mask = flatten(padding_mask)  # (B, N)
    if num_layers:
        block = TransformerEncoderBlock(**options)
        encoder = TransformerEncoder(block, num_layers, name=DETR.ENCODER)
        memory = encoder(tokens, positions=positions, padding_mask=padding_mask)
    else:  # the backbone is an encoder itself
        memory = keras.layers.Identity(name=DETR.ENCODER)(tokens)
    return {
        "memory": memory,
        "memory_positions": positions,
        "padding_mask": padding_mask,
    }


def decode(memory, num_queries, num_layers, options):
    """Decodes learned queries, which are positions.

    Returns:
        Each decoder layer's answers (B, L, Q, D), and a dict of its boxes
        (B, L, Q, 4).
    """
    queries = ObjectQueries(num_queries, name=DETR.OBJECT_QUERIES)
    queries = queries(memory["memory"])  # (B, Q, D)
    decoder = TransformerDecoder(
        TransformerDecoderBlock(**options),
        num_layers,
        norm=options["norm"],
        return_every_layer=True,
        name=DETR.DECODER,
    )
    # A query has no content yet, only a position.
    nothing = keras.ops.zeros_like(queries)
    answers = decoder(nothing, query_positions=queries, **memory)
    return answers, {"boxes": read_boxes(answers)}
