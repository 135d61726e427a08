import keras

from keras_vtr.layers.transformer.blocks import Block
from keras_vtr.layers.transformer.blocks import Stack
from keras_vtr.layers.transformer.blocks import given


@keras.saving.register_keras_serializable(package="keras_vtr")
class TransformerEncoderBlock(Block):
    """Updates tokens by self attention, then feed-forward.

    One layer of the encoder of Vaswani et al. 2017, figure 1, left. The
    default is pre-norm, as in ViT (Dosovitskiy et al. 2020, equations 2 and
    3).

    Args:
        attention: Such as `MultiHeadAttention(num_heads=8)`.
        feed_forward: Such as `FeedForward(mlp_dim=2048)`.
        norm: Default: a layer norm with epsilon 1e-6.
        normalize_first: True for pre-norm, False for post-norm.
        dropout: Fraction dropped in training after each of the two.
        layer_scale: Optional initial value of a `LayerScale` on each branch.
        stochastic_depth: Probability that training drops a branch.

    Call arguments:
        tokens: (B, N, D).
        positions: Optional (B, N, D), for queries and keys.
        padding_mask: Optional (B, N) bool, True = real.
        attention_bias: Optional (B, H, N, N) or (1, H, N, N), added to the
            logits of each attention, such as a `RelativePositionBias`.
        use_causal_mask: If True, token n sees tokens 0..n only.
        return_attention_scores: If True, also return the attention weights.

    Returns:
        (B, N, D), and with `return_attention_scores` the weights
        (B, H, N, N).

    Raises:
        ValueError: If a part is not a layer or has weights, a number is out of
            its range, or a shape doesn't fit.

    Example:

    >>> block = keras_vtr.layers.TransformerEncoderBlock(
    ...     keras_vtr.layers.MultiHeadAttention(num_heads=2),
    ...     keras_vtr.layers.FeedForward(mlp_dim=32),
    ... )
    >>> print(tuple(block(keras.ops.ones((2, 5, 8))).shape))
    (2, 5, 8)
    """

    def build(self, tokens_shape):
        self.self_attention_block = self._build_residual(
            "self_attention", self.attention, tokens_shape
        )
        self.feed_forward_block = self._build_residual(
            "feed_forward", self.feed_forward, tokens_shape
        )

    def call(
        self,
        tokens,
        positions=None,
        padding_mask=None,
        attention_bias=None,
        use_causal_mask=False,
        return_attention_scores=False,
        training=None,
    ):
        attended = self.self_attention_block(
            tokens,
            training=training,
            **given(
                query_positions=positions,
                padding_mask=padding_mask,
                attention_bias=attention_bias,
                use_causal_mask=use_causal_mask,
                return_attention_scores=return_attention_scores,
            ),
        )
        return self._feed_forward(attended, training)


@keras.saving.register_keras_serializable(package="keras_vtr")
class TransformerEncoder(Stack):
    """Updates tokens by a stack of blocks; its output is called `memory`.

    Vaswani et al. 2017, figure 1, left. ViT applies it to patches, DETR to the
    pixels of a feature map. ViT adds positions to the tokens before the
    encoder; DETR passes them to every layer as `positions` (Carion et al.
    2020, appendix A.3).

    Args:
        block: A `TransformerEncoderBlock`, or your own layer from tokens to
            tokens. Each layer of the encoder is a copy of it. Its
            `stochastic_depth`, if any, is the last copy's; it grows linearly
            with depth (Huang et al. 2016, equation 4).
        num_layers: L, the number of copies.
        norm: The norm after the last copy. Default: the block's norm if the
            block has `normalize_first`, because nothing else normalizes the
            sum of a pre-norm stack's residuals; no norm for other blocks.

    Call arguments:
        tokens: (B, N, D).
        positions: Optional (B, N, D), for queries and keys of each layer.
        padding_mask: Optional (B, N) bool, True = real.
        attention_bias: Optional (B, H, N, N) or (1, H, N, N), added to the
            logits of each attention, such as a `RelativePositionBias`.
        use_causal_mask: If True, token n sees tokens 0..n only.
        return_attention_scores: If True, also return the attention weights.

    Returns:
        (B, N, D), and with `return_attention_scores` the weights of all
        layers, (B, L, H, N, N).

    Raises:
        ValueError: If a part is not a layer or has weights, a number is out of
            its range, or a shape doesn't fit.

    Example:

    >>> block = keras_vtr.layers.TransformerEncoderBlock(
    ...     keras_vtr.layers.MultiHeadAttention(num_heads=2),
    ...     keras_vtr.layers.FeedForward(mlp_dim=32),
    ... )
    >>> encoder = keras_vtr.layers.TransformerEncoder(block, num_layers=3)
    >>> print(tuple(encoder(keras.ops.ones((2, 5, 8))).shape))
    (2, 5, 8)
    """

    def build(self, tokens_shape):
        self._build_stack(tokens_shape)

    def call(
        self,
        tokens,
        positions=None,
        padding_mask=None,
        attention_bias=None,
        use_causal_mask=False,
        return_attention_scores=False,
        training=None,
    ):
        return self._call_stack(
            tokens,
            positions=positions,
            padding_mask=padding_mask,
            attention_bias=attention_bias,
            use_causal_mask=use_causal_mask,
            return_attention_scores=return_attention_scores,
        )
