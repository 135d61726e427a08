import keras

from keras_vtr.layers.attention.heads import check_groups
from keras_vtr.layers.attention.heads import split_groups
from keras_vtr.layers.parts import set_part
from keras_vtr.layers.transformer.blocks import Block
from keras_vtr.layers.transformer.blocks import Stack
from keras_vtr.layers.transformer.blocks import given


@keras.saving.register_keras_serializable(package="keras_vtr")
class TransformerDecoderBlock(Block):
    """Updates queries by self attention, cross attention and feed-forward.

    One layer of the decoder of Vaswani et al. 2017, figure 1, right, or of
    Carion et al. 2020 (DETR), figure 10; the call's arguments decide which.
    The original generates one token after the other and masks later ones
    (`use_causal_mask`). DETR decodes all queries at once, adds
    `query_positions` and `memory_positions`, and masks none.

    Args:
        attention: Such as `MultiHeadAttention(num_heads=8)`, for both
            attentions.
        feed_forward: Such as `FeedForward(mlp_dim=2048)`.
        cross_attention: Optional other attention to `memory`.
        norm: Default: a layer norm with epsilon 1e-6.
        normalize_first: True for pre-norm, False for post-norm.
        dropout: Fraction dropped in training after each of the three.
        layer_scale: Optional initial value of a `LayerScale` on each branch.
        stochastic_depth: Probability that training drops a branch.

    Call arguments:
        queries: (B, Q, D).
        memory: (B, N, ...), the encoder's output.
        query_positions: Optional (B, Q, D), for the queries of both attentions
            and the keys of self attention.
        memory_positions: Optional, as `memory`, for the keys of cross
            attention.
        padding_mask: Optional (B, N) bool, True = real, for `memory`.
        query_mask: Optional (B, Q, Q) or (1, Q, Q) bool, True where a query
            may attend to another one in self attention.
        attention_bias: Optional (B, H, Q, N) or (B, 1, Q, N), added to the
            logits of cross attention.
        use_causal_mask: If True, query q sees queries 0..q only.
        boxes: Optional (B, Q, 4), and
        centers: Optional pair (B, width), (B, height), for a cross attention
            that takes them, such as `DeformableAttention`.
        num_groups: Optional G that divides Q: in self attention, a query
            attends to the Q / G queries of its own group only.
        return_attention_scores: If True, also return the weights of cross
            attention.

    Returns:
        (B, Q, D), and with `return_attention_scores` (B, H, Q, N).

    Raises:
        ValueError: If a part is not a layer or has weights, a number is out of
            its range, or a shape doesn't fit.

    Example:

    >>> queries, memory = keras.ops.ones((2, 5, 8)), keras.ops.ones((2, 7, 8))
    >>> block = keras_vtr.layers.TransformerDecoderBlock(
    ...     keras_vtr.layers.MultiHeadAttention(num_heads=2),
    ...     keras_vtr.layers.FeedForward(mlp_dim=32),
    ... )
    >>> print(tuple(block(queries, memory).shape))
    (2, 5, 8)
    """

    PARTS = (*Block.PARTS, "cross_attention")

    def __init__(
        self, attention, feed_forward, *, cross_attention=None, **kwargs
    ):
        super().__init__(attention, feed_forward, **kwargs)
        cross = attention if cross_attention is None else cross_attention
        set_part(self, "cross_attention", cross)

    @property
    def num_heads(self):
        """Those of the attention to `memory`."""
        return self.cross_attention.num_heads

    @property
    def takes_boxes(self):
        """Whether the attention to `memory` is around boxes."""
        return getattr(self.cross_attention, "takes_boxes", False)

    def build(self, queries_shape, memory_shape):
        self.self_attention_block = self._build_residual(
            "self_attention", self.attention, queries_shape
        )
        self.cross_attention_block = self._build_residual(
            "cross_attention", self.cross_attention, queries_shape, memory_shape
        )
        self.feed_forward_block = self._build_residual(
            "feed_forward", self.feed_forward, queries_shape
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
        boxes=None,
        centers=None,
        num_groups=None,
        use_causal_mask=False,
        return_attention_scores=False,
        training=None,
    ):
        check_groups(num_groups, query_mask)
        shape = keras.ops.shape(queries)
        queries = self.self_attention_block(
            split_groups(queries, num_groups),
            training=training,
            **given(
                query_positions=split_groups(query_positions, num_groups),
                attention_mask=query_mask,
                use_causal_mask=use_causal_mask,
            ),
        )
        queries = keras.ops.reshape(queries, shape)
        attended = self.cross_attention_block(
            queries,
            memory,
            training=training,
            **given(
                query_positions=query_positions,
                key_positions=memory_positions,
                padding_mask=padding_mask,
                attention_bias=attention_bias,
                boxes=boxes,
                centers=centers,
                return_attention_scores=return_attention_scores,
            ),
        )
        return self._feed_forward(attended, training)


@keras.saving.register_keras_serializable(package="keras_vtr")
class TransformerDecoder(Stack):
    """Turns queries into answers by attention to the encoder's `memory`.

    Vaswani et al. 2017, figure 1, right; Carion et al. 2020 (DETR), section
    3.2 and figure 10. DETR trains every layer's output (section 3.2,
    "auxiliary decoding losses"): `return_every_layer` returns them all, each
    normalized by the same norm, if there is one.

    Args:
        block: A `TransformerDecoderBlock`, or your own layer from queries and
            memory to queries. Each layer of the decoder is a copy of it. Its
            `stochastic_depth`, if any, is the last copy's; it grows linearly
            with depth (Huang et al. 2016, equation 4).
        num_layers: L, the number of copies.
        norm: The norm of each returned output. Default: the block's norm if
            the block has `normalize_first`; no norm for other blocks.
        return_every_layer: If True, return the outputs of all layers.

    Call arguments:
        queries: (B, Q, D).
        memory: (B, N, ...), the encoder's output.
        query_positions: Optional (B, Q, D), for the queries of both attentions
            and the keys of self attention, in each layer.
        memory_positions: Optional, as `memory`, for the keys of cross
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
        ValueError: If a part is not a layer or has weights, a number is out of
            its range, or a shape doesn't fit.

    Example:

    >>> queries, memory = keras.ops.ones((2, 5, 8)), keras.ops.ones((2, 7, 8))
    >>> block = keras_vtr.layers.TransformerDecoderBlock(
    ...     keras_vtr.layers.MultiHeadAttention(num_heads=2),
    ...     keras_vtr.layers.FeedForward(mlp_dim=32),
    ... )
    >>> decoder = keras_vtr.layers.TransformerDecoder(
    ...     block, num_layers=3, return_every_layer=True
    ... )
    >>> print(tuple(decoder(queries, memory).shape))
    (2, 3, 5, 8)
    """

    def __init__(
        self,
        block,
        num_layers,
        *,
        norm=None,
        return_every_layer=False,
        **kwargs,
    ):
        super().__init__(block, num_layers, norm=norm, **kwargs)
        self.return_every_layer = return_every_layer

    def build(self, queries_shape, memory_shape):
        self._build_stack(queries_shape, memory_shape)

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
        return self._call_stack(
            queries,
            memory,
            return_every_layer=self.return_every_layer,
            query_positions=query_positions,
            memory_positions=memory_positions,
            padding_mask=padding_mask,
            query_mask=query_mask,
            attention_bias=attention_bias,
            use_causal_mask=use_causal_mask,
            return_attention_scores=return_attention_scores,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "return_every_layer": self.return_every_layer,
        }
