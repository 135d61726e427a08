import keras

from keras_vtr.layers.transformer.blocks import Block
from keras_vtr.layers.transformer.blocks import Stack
from keras_vtr.layers.transformer.blocks import given


@keras.saving.register_keras_serializable(package="keras_vtr")
class TransformerEncoderBlock(Block):
    """One layer of the encoder: self attention, then feed-forward.

    Vaswani et al. 2017, figure 1, left; pre-norm as ViT has it (Dosovitskiy
    et al. 2020, equations 2 and 3) is the default.

    Args:
        attention: Such as `MultiHeadAttention(num_heads=8)`.
        feed_forward: Such as `FeedForward(mlp_dim=2048)`.
        norm: Default: a layer norm with epsilon 1e-6.
        normalize_first: True for pre-norm, False for post-norm.
        dropout: Fraction dropped in training after each of the two.
        layer_scale: Optional start of a `LayerScale` on each branch.
        stochastic_depth: Probability that training drops a branch.

    Call arguments:
        tokens: (B, N, D).
        positions: Optional (B, N, D), for queries and keys.
        padding_mask: Optional (B, N) bool, True = real.
        attention_bias: Optional (B, H, N, N) or (1, H, N, N), added to the
            logits of each attention: relative positions.
        use_causal_mask: If True, token n sees tokens 0..n only.
        return_attention_scores: If True, also return the attention weights.

    Returns:
        (B, N, D), and with `return_attention_scores` the weights
        (B, H, N, N).

    Raises:
        ValueError: If a part is no layer or has weights, a number is out of
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
        self.self_attention_block = self._surround(
            self.attention, "self_attention", tokens_shape
        )
        self.feed_forward_block = self._surround(
            self.feed_forward, "feed_forward", tokens_shape
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
        answers = self.self_attention_block(
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
        if not return_attention_scores:
            return self.feed_forward_block(answers, training=training)
        tokens, scores = answers
        return self.feed_forward_block(tokens, training=training), scores


@keras.saving.register_keras_serializable(package="keras_vtr")
class TransformerEncoder(Stack):
    """Turns tokens into tokens that know of each other: the `memory`.

    Vaswani et al. 2017, figure 1, left; ViT consists of it, and DETR runs it
    over the pixels of a feature map. ViT adds positions to the tokens before
    the encoder; DETR gives them to every layer as `positions` (Carion et al.
    2020, appendix A.3).

    Args:
        block: A `TransformerEncoderBlock`, or a layer of your own from tokens
            to tokens. Each layer of the encoder is a copy of it; if it has
            `stochastic_depth`, that is the last copy's, and grows linearly
            with depth (Huang et al. 2016, equation 4).
        num_layers: L, how many.
        norm: The norm after the last one. Default: the block's if the block
            has `normalize_first`, because the sum of the residuals of a
            pre-norm stack is normalized nowhere else; none for other blocks.

    Call arguments:
        tokens: (B, N, D).
        positions: Optional (B, N, D), for queries and keys of each layer.
        padding_mask: Optional (B, N) bool, True = real.
        attention_bias: Optional (B, H, N, N) or (1, H, N, N), added to the
            logits of each attention: relative positions.
        use_causal_mask: If True, token n sees tokens 0..n only.
        return_attention_scores: If True, also return the attention weights.

    Returns:
        (B, N, D), and with `return_attention_scores` the weights of all
        layers, (B, L, H, N, N).

    Raises:
        ValueError: If a part is no layer or has weights, a number is out of
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
        options = given(
            positions=positions,
            padding_mask=padding_mask,
            attention_bias=attention_bias,
            use_causal_mask=use_causal_mask,
            return_attention_scores=return_attention_scores,
        )
        every_score = []
        for block in self.blocks:
            tokens, scores = self._answers(block, tokens, **options)
            every_score.append(scores)
        tokens = self._normalize(tokens)
        if return_attention_scores:
            return tokens, keras.ops.stack(every_score, axis=1)
        return tokens
