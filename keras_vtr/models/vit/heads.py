"""From the encoder's output to features or logits."""

import keras

from keras_vtr.layers import AttentionPooling
from keras_vtr.layers import ClassHead
from keras_vtr.layers import FeedForward
from keras_vtr.layers import MultiHeadAttention
from keras_vtr.layers import TokenPooling
from keras_vtr.stages import ViT

POOLINGS = ("class_token", "mean", "class_token_and_mean", "attention")


def check_tokens(num_classes, pooling, num_class_tokens, distilled):
    """Checks what depends on the class tokens; returns their number."""
    if not isinstance(num_classes, int) or num_classes < 0:
        raise ValueError(
            "`num_classes` must be an integer, 0 for no head. Received: "
            f"num_classes={num_classes!r}"
        )
    if pooling not in POOLINGS:
        raise ValueError(
            f"`pooling` must be one of {list(POOLINGS)}. "
            f"Received: pooling={pooling!r}"
        )
    if distilled and pooling != "class_token":
        raise ValueError(
            "`distilled` needs class tokens that are read one by one, "
            f"pooling='class_token'. Received: pooling={pooling!r}"
        )
    least = 2 if distilled else int(pooling.startswith("class_token"))
    if num_class_tokens is None:
        return least
    if num_class_tokens < least:
        raise ValueError(
            f"`num_class_tokens` must be {least} or more with "
            f"pooling={pooling!r} and distilled={distilled}. Received: "
            f"num_class_tokens={num_class_tokens}"
        )
    return num_class_tokens


def pool(memory, pooling, num_leading_tokens, block):
    if pooling != "attention":
        layer = TokenPooling(pooling, num_leading_tokens, name=ViT.POOLING)
        return layer(memory)
    inside = block.feed_forward
    return AttentionPooling(
        MultiHeadAttention(block.attention.num_heads),
        FeedForward(inside.mlp_dim, activation=inside.activation),
        norm=block.norm,
        name=ViT.POOLING,
    )(memory)


def add_heads(features, memory, num_classes, representation, distilled):
    """Logits in float32, the mean of two heads if there are two.

    Args:
        representation: Width and activation of the layer before the heads.
    """
    width, activation = representation
    if width is not None:
        features = keras.layers.Dense(
            width, activation=activation, name=ViT.REPRESENTATION
        )(features)
    if not num_classes:
        return features
    logits = ClassHead(num_classes, dtype="float32", name=ViT.HEAD)(features)
    if not distilled:
        return logits
    from_teacher = keras.layers.Dense(
        num_classes, dtype="float32", name=ViT.DISTILLATION_HEAD
    )(memory[:, 1])
    return keras.layers.Average(dtype="float32", name="logits")(
        [logits, from_teacher]
    )
