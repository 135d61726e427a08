import keras

from keras_vtr.layers.transformer_base import TransformerBase
from keras_vtr.layers.transformer_base import TransformerStack


@keras.saving.register_keras_serializable(package="keras_vtr")
class TransformerEncoderBlock(TransformerBase):
    """One layer of the encoder: self attention, then feed-forward.

    Vaswani et al. 2017, figure 1, left; pre-norm as ViT has it (Dosovitskiy
    et al. 2020, equations 2 and 3) is the default.

    Args:
        num_heads: H. Must divide the width D of the tokens.
        mlp_dim: Width of the feed-forward block's inner layer.
        dropout: Fraction dropped in training after each sub-layer.
        attention_dropout: Fraction of attention weights dropped in training.
        activation: As in `FeedForwardBlock`.
        normalize_first: True for pre-norm, False for post-norm.
        layer_norm_epsilon: Added to the variance in the layer norms.
        normalize_query_key: Whether queries and keys are normalized, as in
            `MultiHeadAttention`.
        layer_scale: Optional start of a `LayerScale` on each branch.
        stochastic_depth: Probability that training drops a branch.

    Call arguments:
        tokens: (B, N, D).
        positions: Optional (B, N, D), added to queries and keys.
        padding_mask: Optional (B, N) bool, True = real.
        attention_bias: Optional (B, H, N, N) or (1, H, N, N), added to the
            logits of each attention: relative positions.
        use_causal_mask: If True, token n sees tokens 0..n only.
        return_attention_scores: If True, also return the attention weights.

    Returns:
        (B, N, D), and with `return_attention_scores` the weights
        (B, H, N, N).

    Raises:
        ValueError: If an argument is out of its range or a shape doesn't fit.

    Example:

    >>> tokens = keras.ops.ones((2, 5, 8))
    >>> block = keras_vtr.layers.TransformerEncoderBlock(2, mlp_dim=32)
    >>> print(tuple(block(tokens).shape))
    (2, 5, 8)
    """

    def build(self, tokens_shape):
        self.self_attention = self._build_attention(
            "self_attention", tokens_shape
        )
        self.feed_forward = self._build_feed_forward(
            "feed_forward", tokens_shape
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
        tokens, scores = self.self_attention(
            tokens,
            query_positions=positions,
            padding_mask=padding_mask,
            attention_bias=attention_bias,
            use_causal_mask=use_causal_mask,
            return_attention_scores=True,
            training=training,
        )
        tokens = self.feed_forward(tokens, training=training)
        return (tokens, scores) if return_attention_scores else tokens


@keras.saving.register_keras_serializable(package="keras_vtr")
class TransformerEncoder(TransformerStack):
    """Turns tokens into tokens that know of each other: the `memory`.

    Vaswani et al. 2017, figure 1, left; ViT consists of it, and DETR runs it
    over the pixels of a feature map. ViT adds positions to the tokens before
    the encoder; DETR gives them to every layer as `positions` (Carion et al.
    2020, appendix A.3).

    Args:
        num_layers: L, how many blocks.
        num_heads: H. Must divide the width D of the tokens.
        mlp_dim: Width of the feed-forward blocks' inner layer.
        dropout: Fraction dropped in training after each sub-layer.
        attention_dropout: Fraction of attention weights dropped in training.
        activation: As in `FeedForwardBlock`.
        normalize_first: True for pre-norm, False for post-norm.
        layer_norm_epsilon: Added to the variance in the layer norms.
        normalize_query_key: Whether queries and keys are normalized, as in
            `MultiHeadAttention`.
        layer_scale: Optional start of a `LayerScale` on each branch.
        stochastic_depth: Probability that training drops a branch of the last
            block; it grows linearly from the first one on.
        normalize_output: Whether a layer norm follows the last block.
            Default: `normalize_first`.

    Call arguments:
        tokens: (B, N, D).
        positions: Optional (B, N, D), added to queries and keys of each layer.
        padding_mask: Optional (B, N) bool, True = real.
        attention_bias: Optional (B, H, N, N) or (1, H, N, N), added to the
            logits of each attention: relative positions.
        use_causal_mask: If True, token n sees tokens 0..n only.
        return_attention_scores: If True, also return the attention weights.

    Returns:
        (B, N, D), and with `return_attention_scores` the weights of all
        layers, (B, L, H, N, N).

    Raises:
        ValueError: If an argument is out of its range or a shape doesn't fit.

    Example:

    >>> tokens = keras.ops.ones((2, 5, 8))
    >>> encoder = keras_vtr.layers.TransformerEncoder(3, 2, mlp_dim=32)
    >>> print(tuple(encoder(tokens).shape))
    (2, 5, 8)
    """

    def build(self, tokens_shape):
        self._build_stack(TransformerEncoderBlock, tokens_shape)

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
        every_score = []
        for block in self.blocks:
            tokens, scores = block(
                tokens,
                positions=positions,
                padding_mask=padding_mask,
                attention_bias=attention_bias,
                use_causal_mask=use_causal_mask,
                return_attention_scores=True,
                training=training,
            )
            every_score.append(scores)
        tokens = self._normalize(tokens)
        if return_attention_scores:
            return tokens, keras.ops.stack(every_score, axis=1)
        return tokens
