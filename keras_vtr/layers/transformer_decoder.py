import keras

from keras_vtr.layers.transformer_base import TransformerBase
from keras_vtr.layers.transformer_base import TransformerStack


@keras.saving.register_keras_serializable(package="keras_vtr")
class TransformerDecoderBlock(TransformerBase):
    """One layer of the decoder: self attention, cross attention, feed-forward.

    Vaswani et al. 2017, figure 1, right, and Carion et al. 2020 (DETR),
    figure 10. What makes it the one or the other are the call's arguments:
    the original masks later tokens (`use_causal_mask`) because it writes one
    after the other; DETR decodes all queries at once, adds `query_positions`
    and `memory_positions`, and masks nothing.

    Args:
        num_heads: H. Must divide the width D of the queries.
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
        queries: (B, Q, D).
        memory: (B, N, ...), the encoder's output.
        query_positions: Optional (B, Q, D), added to the queries of both
            attentions and to the keys of self attention.
        memory_positions: Optional, as `memory`, added to the keys of cross
            attention.
        padding_mask: Optional (B, N) bool, True = real, for `memory`.
        query_mask: Optional (B, Q, Q) or (1, Q, Q) bool, True where a query
            may attend to another one in self attention.
        attention_bias: Optional (B, H, Q, N) or (B, 1, Q, N), added to the
            logits of cross attention.
        use_causal_mask: If True, query q sees queries 0..q only.
        return_attention_scores: If True, also return the weights of cross
            attention.

    Returns:
        (B, Q, D), and with `return_attention_scores` (B, H, Q, N).

    Raises:
        ValueError: If an argument is out of its range or a shape doesn't fit.

    Example:

    >>> queries, memory = keras.ops.ones((2, 5, 8)), keras.ops.ones((2, 7, 8))
    >>> block = keras_vtr.layers.TransformerDecoderBlock(2, mlp_dim=32)
    >>> print(tuple(block(queries, memory).shape))
    (2, 5, 8)
    """

    def build(self, queries_shape, memory_shape):
        self.self_attention = self._build_attention(
            "self_attention", queries_shape
        )
        self.cross_attention = self._build_attention(
            "cross_attention", queries_shape, memory_shape
        )
        self.feed_forward = self._build_feed_forward(
            "feed_forward", queries_shape
        )

    def call(
        self,
        queries,
        memory,
        query_positions=None,
        memory_positions=None,
        padding_mask=None,
        query_mask=None,
        attention_bias=None,
        use_causal_mask=False,
        return_attention_scores=False,
        training=None,
    ):
        queries = self.self_attention(
            queries,
            query_positions=query_positions,
            attention_mask=query_mask,
            use_causal_mask=use_causal_mask,
            training=training,
        )
        queries, scores = self.cross_attention(
            queries,
            memory,
            query_positions=query_positions,
            memory_positions=memory_positions,
            padding_mask=padding_mask,
            attention_bias=attention_bias,
            return_attention_scores=True,
            training=training,
        )
        queries = self.feed_forward(queries, training=training)
        return (queries, scores) if return_attention_scores else queries


@keras.saving.register_keras_serializable(package="keras_vtr")
class TransformerDecoder(TransformerStack):
    """Turns queries into answers read from the encoder's `memory`.

    Vaswani et al. 2017, figure 1, right; Carion et al. 2020 (DETR), section
    3.2 and figure 10. DETR trains every layer's output (section 3.2,
    "auxiliary decoding losses"): with `return_every_layer` they are all
    returned, each normalized by the same layer norm, if there is one.

    Args:
        num_layers: L, how many blocks.
        num_heads: H. Must divide the width D of the queries.
        mlp_dim: Width of the feed-forward blocks' inner layer.
        return_every_layer: If True, return the outputs of all layers.
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
        normalize_output: Whether a layer norm follows each returned output.
            Default: `normalize_first`.

    Call arguments:
        queries: (B, Q, D).
        memory: (B, N, ...), the encoder's output.
        query_positions: Optional (B, Q, D), added to the queries of both
            attentions and to the keys of self attention, in each layer.
        memory_positions: Optional, as `memory`, added to the keys of cross
            attention, in each layer.
        padding_mask: Optional (B, N) bool, True = real, for `memory`.
        query_mask: Optional (B, Q, Q) or (1, Q, Q) bool, True where a query
            may attend to another one in self attention.
        attention_bias: Optional (B, H, Q, N) or (B, 1, Q, N), added to the
            logits of cross attention.
        use_causal_mask: If True, query q sees queries 0..q only.
        return_attention_scores: If True, also return the weights of cross
            attention.

    Returns:
        (B, Q, D), or with `return_every_layer` (B, L, Q, D), last layer last;
        and with `return_attention_scores` the weights of all layers,
        (B, L, H, Q, N).

    Raises:
        ValueError: If an argument is out of its range or a shape doesn't fit.

    Example:

    >>> queries, memory = keras.ops.ones((2, 5, 8)), keras.ops.ones((2, 7, 8))
    >>> decoder = keras_vtr.layers.TransformerDecoder(
    ...     3, 2, mlp_dim=32, return_every_layer=True
    ... )
    >>> print(tuple(decoder(queries, memory).shape))
    (2, 3, 5, 8)
    """

    def __init__(
        self, num_layers, num_heads, mlp_dim, return_every_layer=False, **kwargs
    ):
        super().__init__(num_layers, num_heads, mlp_dim, **kwargs)
        self.return_every_layer = return_every_layer

    def build(self, queries_shape, memory_shape):
        self._build_stack(TransformerDecoderBlock, queries_shape, memory_shape)

    def call(
        self,
        queries,
        memory,
        query_positions=None,
        memory_positions=None,
        padding_mask=None,
        query_mask=None,
        attention_bias=None,
        use_causal_mask=False,
        return_attention_scores=False,
        training=None,
    ):
        outputs, every_score = [], []
        for block in self.blocks:
            queries, scores = block(
                queries,
                memory,
                query_positions=query_positions,
                memory_positions=memory_positions,
                padding_mask=padding_mask,
                query_mask=query_mask,
                attention_bias=attention_bias,
                use_causal_mask=use_causal_mask,
                return_attention_scores=True,
                training=training,
            )
            outputs.append(queries)
            every_score.append(scores)
        if self.return_every_layer:
            queries = keras.ops.stack(outputs, axis=1)  # (B, L, Q, D)
        queries = self._normalize(queries)
        if return_attention_scores:
            return queries, keras.ops.stack(every_score, axis=1)
        return queries

    def get_config(self):
        return {
            **super().get_config(),
            "return_every_layer": self.return_every_layer,
        }
