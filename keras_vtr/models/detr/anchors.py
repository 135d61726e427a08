"""DETR's Transformer with queries that are boxes."""

import keras

from keras_vtr.layers import AnchorDecoder
from keras_vtr.layers import AnchorQueries
from keras_vtr.layers import AxisCenters
from keras_vtr.layers import LogitRefinement
from keras_vtr.layers import ObjectQueries
from keras_vtr.layers import QuerySelection
from keras_vtr.layers import TransformerDecoderBlock
from keras_vtr.stages import DETR


def add_centers(memory, feature_map, padding_mask):
    """The decoder's inputs, with the centers of the memory's pixels."""
    centers = AxisCenters(name=DETR.CENTERS)
    return {
        **memory,
        "centers": centers(feature_map, padding_mask=padding_mask),
    }


def learn_anchors(memory, num_queries):
    """The same boxes for every image, and contents of zeros."""
    anchors = AnchorQueries(num_queries, name=DETR.OBJECT_QUERIES)
    anchors = anchors(memory["memory"])  # (B, Q, 4)
    hidden_dim = memory["memory"].shape[-1]
    nothing = keras.ops.zeros_like(anchors[..., :1])
    return keras.ops.repeat(nothing, hidden_dim, axis=-1), anchors


def select_anchors(
    memory, num_queries, num_classes, classifier, refinement, **options
):
    """The boxes of the best tokens, and learned contents.

    Args:
        **options: Further arguments of `QuerySelection`.

    Returns:
        Contents (B, Q, D), anchors (B, Q, 4), and what `QuerySelection` has
        predicted: logits, boxes, and the boxes that they started from.
    """
    anchors, *predicted = QuerySelection(
        num_queries,
        num_classes,
        classifier,
        box_refinement=refinement or LogitRefinement(),  # as in the decoder
        name=DETR.QUERY_SELECTION,
        **options,
    )(
        memory["memory"],
        memory["centers"],
        padding_mask=memory["padding_mask"],
    )
    contents = ObjectQueries(num_queries, name=DETR.OBJECT_QUERIES)
    return contents(memory["memory"]), anchors, predicted


def decode_anchors(memory, contents, anchors, num_layers, options, box_options):
    """Decodes boxes, which each layer refines.

    Returns:
        Each decoder layer's answers (B, L, Q, D), and a dict of its boxes and
        of those that it started from (B, L, Q, 4).
    """
    decoder = AnchorDecoder(
        TransformerDecoderBlock(**options),
        num_layers,
        norm=options["norm"],
        name=DETR.DECODER,
        **box_options,
    )
    answers, boxes, references = decoder(contents, anchors, **memory)
    return answers, {"boxes": boxes, "reference_boxes": references}
