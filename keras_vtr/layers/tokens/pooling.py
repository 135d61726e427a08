import keras

from keras_vtr.layers.arguments import check_choice
from keras_vtr.layers.arguments import check_count
from keras_vtr.layers.arguments import check_rank
from keras_vtr.layers.arguments import check_static
from keras_vtr.layers.parts import LayerWithParts
from keras_vtr.layers.parts import build_sublayer
from keras_vtr.layers.parts import default_norm
from keras_vtr.layers.parts import set_part
from keras_vtr.layers.transformer.residual import Residual

POOLINGS = ("class_token", "mean", "class_token_and_mean")


@keras.saving.register_keras_serializable(package="keras_vtr")
class TokenPooling(keras.layers.Layer):
    """Pools an image's tokens into one feature vector for a classifier.

    Dosovitskiy et al. 2020 (ViT), section 3.1, equation 4, and appendix D.3,
    which finds the class token and the mean over patches equally good if each
    has its own learning rate. The linear classifiers of Oquab et al. 2023
    (DINOv2) read both, concatenated.

    Args:
        pooling: `"class_token"`, the first token; `"mean"` over the patches;
            or `"class_token_and_mean"`.
        num_leading_tokens: Number of tokens before the patches: class tokens
            and registers.

    Call arguments:
        tokens: (B, N, D).

    Returns:
        (B, D), or (B, 2 D) for `"class_token_and_mean"`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> tokens = keras.ops.ones((2, 7, 8))
    >>> print(tuple(keras_vtr.layers.TokenPooling("mean")(tokens).shape))
    (2, 8)
    """

    def __init__(self, pooling="class_token", num_leading_tokens=1, **kwargs):
        super().__init__(**kwargs)
        check_choice("pooling", pooling, POOLINGS)
        check_count("num_leading_tokens", num_leading_tokens)
        self.pooling = pooling
        self.num_leading_tokens = num_leading_tokens

    def call(self, tokens):
        check_rank("tokens", tokens.shape, ("B", "N", "D"))
        class_token = tokens[:, 0]
        if self.pooling == "class_token":
            return class_token
        mean = keras.ops.mean(tokens[:, self.num_leading_tokens :], axis=1)
        if self.pooling == "mean":
            return mean
        return keras.ops.concatenate([class_token, mean], axis=-1)

    def get_config(self):
        return {
            **super().get_config(),
            "pooling": self.pooling,
            "num_leading_tokens": self.num_leading_tokens,
        }


@keras.saving.register_keras_serializable(package="keras_vtr")
class AttentionPooling(LayerWithParts):
    """Pools an image's tokens into one vector by attention of a learned query.

    Zhai et al. 2022 (Scaling Vision Transformers), section 3.2, the "MAP"
    head, after Lee et al. 2019 (Set Transformer), section 3.2: attention of a
    learned probe to the tokens, then a feed-forward block.

    Args:
        attention: Such as `MultiHeadAttention(num_heads=8)`.
        feed_forward: Such as `FeedForward(mlp_dim=3072)`, in a pre-norm
            `Residual`.
        norm: Its norm. Default: a layer norm with epsilon 1e-6.

    Call arguments:
        tokens: (B, N, D).
        padding_mask: Optional (B, N) bool, True = real.

    Returns:
        (B, D).

    Raises:
        ValueError: If a part is not a layer or has weights, or a shape doesn't
            fit.

    Example:

    >>> layer = keras_vtr.layers.AttentionPooling(
    ...     keras_vtr.layers.MultiHeadAttention(num_heads=2),
    ...     keras_vtr.layers.FeedForward(mlp_dim=32),
    ... )
    >>> print(tuple(layer(keras.ops.ones((2, 7, 8))).shape))
    (2, 8)
    """

    PARTS = ("attention", "feed_forward", "norm")

    def __init__(self, attention, feed_forward, *, norm=None, **kwargs):
        super().__init__(**kwargs)
        set_part(self, "attention", attention)
        set_part(self, "feed_forward", feed_forward)
        set_part(self, "norm", default_norm() if norm is None else norm)

    def build(self, tokens_shape, padding_mask_shape=None):
        check_rank("tokens", tokens_shape, ("B", "N", "D"))
        check_static("tokens", tokens_shape, -1, "width D")
        probe_shape = (1, 1, tokens_shape[-1])
        self.probe = self.add_weight(
            shape=probe_shape, initializer="glorot_uniform", name="probe"
        )
        self.probe_attention = build_sublayer(
            self, "attention", self.attention, probe_shape, tokens_shape
        )
        self.feed_forward_block = build_sublayer(
            self,
            "feed_forward",
            Residual,
            probe_shape,
            layer=self.feed_forward,
            norm=self.norm,
        )

    def call(self, tokens, padding_mask=None):
        shape = (keras.ops.shape(tokens)[0], 1, tokens.shape[-1])
        probe = keras.ops.cast(self.probe, tokens.dtype)
        options = {} if padding_mask is None else {"padding_mask": padding_mask}
        attended = self.probe_attention(
            keras.ops.broadcast_to(probe, shape), tokens, **options
        )
        return self.feed_forward_block(attended)[:, 0]
