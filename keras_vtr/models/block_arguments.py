"""From the arguments of a builder to the parts of its blocks."""

import keras

from keras_vtr.layers import FeedForward
from keras_vtr.layers import MultiHeadAttention
from keras_vtr.layers.arguments import check_fraction
from keras_vtr.layers.arguments import check_positive


def block_arguments(
    num_heads,
    mlp_dim,
    *,
    dropout=0.0,
    attention_dropout=0.0,
    activation="gelu",
    norm=None,
    layer_norm_epsilon=None,
    normalize_query_key=False,
    position_rule=None,
    query_chunk_size=None,
    normalize_first=True,
    layer_scale=None,
    stochastic_depth=0.0,
):
    """What `TransformerEncoderBlock` and `TransformerDecoderBlock` take.

    Args:
        num_heads: H.
        mlp_dim: Width of the feed-forward layers' inner layer.
        dropout: Fraction dropped in training within and after each part.
        attention_dropout: Fraction of attention weights dropped in training.
        activation: As in `FeedForward`.
        norm: Every norm, an unbuilt Keras layer. Default: a layer norm.
        layer_norm_epsilon: Added to the variance in that layer norm. Default:
            1e-6.
        normalize_query_key: Whether each head's queries and keys are
            normalized (Dehghani et al. 2023, section 2).
        position_rule: As in `MultiHeadAttention`.
        query_chunk_size: Likewise.
        normalize_first: True for pre-norm, False for post-norm.
        layer_scale: Optional start of a `LayerScale` on each branch.
        stochastic_depth: Probability that training drops a branch of the last
            block; it grows linearly from the first one on.

    Returns:
        A dict of arguments.
    """
    check_fraction("dropout", dropout)
    if norm is None:
        epsilon = 1e-6 if layer_norm_epsilon is None else layer_norm_epsilon
        check_positive("layer_norm_epsilon", epsilon)
        norm = keras.layers.LayerNormalization(epsilon=epsilon)
    elif layer_norm_epsilon is not None:
        raise ValueError(
            "`layer_norm_epsilon` has no effect beside `norm`: give it to that "
            f"layer. Received: norm={norm!r}, layer_norm_epsilon="
            f"{layer_norm_epsilon}"
        )
    attention = MultiHeadAttention(
        num_heads,
        attention_dropout=attention_dropout,
        query_key_norm=norm if normalize_query_key else None,
        position_rule=position_rule,
        query_chunk_size=query_chunk_size,
    )
    return {
        "attention": attention,
        "feed_forward": FeedForward(
            mlp_dim, activation=activation, dropout=dropout
        ),
        "norm": norm,
        "normalize_first": normalize_first,
        "dropout": dropout,
        "layer_scale": layer_scale,
        "stochastic_depth": stochastic_depth,
    }
