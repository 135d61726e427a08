import keras
from keras import ops
from keras.layers import Dense
from keras.layers import Dropout

from keras_vtr.layers.arguments import check_fraction
from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.arguments import check_rank
from keras_vtr.layers.arguments import check_static
from keras_vtr.layers.attention.chunks import attend_in_chunks
from keras_vtr.layers.attention.chunks import dropout_of_chunks
from keras_vtr.layers.attention.chunks import has_chunks
from keras_vtr.layers.attention.heads import join_heads
from keras_vtr.layers.attention.heads import split_heads
from keras_vtr.layers.attention.masking import attention_weights
from keras_vtr.layers.attention.masking import combine_masks
from keras_vtr.layers.parts import LayerWithParts
from keras_vtr.layers.parts import build_sublayer
from keras_vtr.layers.parts import set_part
from keras_vtr.layers.positions.rules import AddedPositions
from keras_vtr.layers.positions.rules import PositionRule


@keras.saving.register_keras_serializable(package="keras_vtr")
class MultiHeadAttention(LayerWithParts):
    """Replaces each query token by a weighted mean of value tokens.

    Vaswani et al. 2017, section 3.2, equation 1, for each head:
    `softmax(Q K^T / sqrt(key_dim)) V`; the heads' outputs are concatenated
    and projected. To a reader who knows convolutions: a kernel as large as
    the image, whose weights are computed for every pixel from the contents of
    the pixels.

    Positions are arguments of their own, as in DETR (Carion et al. 2020,
    appendix A.3): `position_rule` combines them with queries and keys, never
    with values. Differences from `keras.layers.MultiHeadAttention`: a query
    that may attend to no key gets zeros before the output projection, on
    every path; the softmax is computed in float32 under every dtype policy;
    True in a padding mask means *real*.

    Args:
        num_heads: H. Must divide the width D of the queries; each head works
            with `key_dim = D / H` channels.
        attention_dropout: Fraction of attention weights dropped in training.
        query_key_norm: Optional norm, such as
            `keras.layers.LayerNormalization(epsilon=1e-6)`. One copy
            normalizes each head's queries, one its keys, which keeps the
            logits of large models small (Dehghani et al. 2023, section 2).
        position_rule: The `PositionRule` that combines positions with queries
            and keys. Default: `AddedPositions()`; another one is
            `RotaryPositions2D()`.
        query_chunk_size: The most queries that are worked through at once,
            in training too. The weights of all, (B, H, T, S), then never exist
            (masks and a bias do), except with `return_attention_scores` and in
            an export from JAX for unknown lengths. Default: all at once.

    Call arguments:
        query: (B, T, D).
        key: (B, S, ...). Default: `query`, for self attention.
        value: (B, S, ...). Default: `key`.
        query_positions: Optional positions of the queries, in the form that
            the rule takes: by default (B, T, D), added to `query`.
        key_positions: Optional positions of the keys, likewise. Default in
            self attention: `query_positions`.
        padding_mask: Optional (B, S) bool, True = real, for the keys.
        attention_mask: Optional (B, T, S) or (1, T, S) bool, True where query
            t may attend to key s.
        attention_bias: Optional (B, H, T, S) or (1, H, T, S), added to the
            logits, such as a `RelativePositionBias`.
        use_causal_mask: If True, query t sees keys 0..t only, as in the
            original decoder.
        return_attention_scores: If True, also return the attention weights.

    Returns:
        (B, T, D), and with `return_attention_scores` the weights
        (B, H, T, S), after softmax and dropout.

    Raises:
        ValueError: If `num_heads` doesn't divide D, a shape doesn't fit, or
            `query_key_norm` or `position_rule` has another type.

    Example:

    >>> queries = keras.ops.ones((2, 5, 8))
    >>> memory = keras.ops.ones((2, 7, 8))
    >>> attention = keras_vtr.layers.MultiHeadAttention(num_heads=4)
    >>> print(tuple(attention(queries, memory).shape))
    (2, 5, 8)
    """

    PARTS = ("query_key_norm", "position_rule")

    def __init__(
        self,
        num_heads,
        *,
        attention_dropout=0.0,
        query_key_norm=None,
        position_rule=None,
        query_chunk_size=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_positive_int("num_heads", num_heads)
        check_fraction("attention_dropout", attention_dropout)
        if query_chunk_size is not None:
            check_positive_int("query_chunk_size", query_chunk_size)
        self.num_heads = num_heads
        self.query_chunk_size = query_chunk_size
        self.attention_dropout = attention_dropout
        set_part(self, "query_key_norm", query_key_norm, optional=True)
        rule = AddedPositions() if position_rule is None else position_rule
        set_part(self, "position_rule", rule, PositionRule)

    def build(self, query_shape, key_shape=None, value_shape=None):
        check_rank("query", query_shape, ("B", "T", "D"))
        check_static("query", query_shape, -1, "width D")
        hidden_dim = query_shape[-1]
        if hidden_dim % self.num_heads:
            raise ValueError(
                "`num_heads` must divide the width of `query`. Received: "
                f"num_heads={self.num_heads}, "
                f"query.shape={tuple(query_shape)}"
            )
        self.key_dim = hidden_dim // self.num_heads
        key_shape = query_shape if key_shape is None else key_shape
        value_shape = key_shape if value_shape is None else value_shape

        def projection(name, shape):
            return build_sublayer(self, name, Dense, shape, units=hidden_dim)

        self.query_projection = projection("query_projection", query_shape)
        self.key_projection = projection("key_projection", key_shape)
        self.value_projection = projection("value_projection", value_shape)
        self.output_projection = projection("output_projection", query_shape)
        self.query_norm = self._build_norm("query_norm")
        self.key_norm = self._build_norm("key_norm")
        self.rule = build_sublayer(
            self, "position_rule", self.position_rule, query_shape
        )
        self.dropout = build_sublayer(
            self, "dropout", Dropout, query_shape, rate=self.attention_dropout
        )

    def call(
        self,
        query,
        key=None,
        value=None,
        query_positions=None,
        key_positions=None,
        padding_mask=None,
        attention_mask=None,
        attention_bias=None,
        use_causal_mask=False,
        return_attention_scores=False,
        training=None,
    ):
        if key is None:
            key = query
            if key_positions is None:
                key_positions = query_positions
        keys, values = self.keys_and_values(key, value, key_positions)
        mask = combine_masks(
            query, key, padding_mask, attention_mask, use_causal_mask
        )
        attended, scores = self.attend(
            query,
            keys,
            values,
            mask,
            query_positions=query_positions,
            attention_bias=attention_bias,
            return_attention_scores=return_attention_scores,
            training=training,
        )
        return (attended, scores) if return_attention_scores else attended

    def keys_and_values(self, key, value=None, key_positions=None):
        """Each head's keys and values, two of (B, H, S, key_dim).

        A decoder that generates one token after the other caches them.
        """
        value = key if value is None else value
        keys = self._project_heads(
            key, key_positions, self.key_projection, self.key_norm
        )
        return keys, split_heads(self.value_projection(value), self.num_heads)

    def attend(
        self,
        query,
        keys,
        values,
        mask=None,
        *,
        query_positions=None,
        attention_bias=None,
        return_attention_scores=False,
        training=None,
    ):
        """Attends to the outputs of `keys_and_values`.

        Args:
            mask: Optional bool, broadcastable to (B, H, T, S).

        Returns:
            (B, T, D), and the weights (B, H, T, S), None with chunks.
        """
        query = self._project_heads(
            query, query_positions, self.query_projection, self.query_norm
        )
        # Scaled before the product, which could overflow float16 otherwise.
        query = query * self.key_dim**-0.5
        size = None if return_attention_scores else self.query_chunk_size
        if has_chunks(query, size):
            inputs = query, keys, values, mask, attention_bias
            drop, scores = dropout_of_chunks(self.dropout, training), None
            attended = attend_in_chunks(*inputs, chunk_size=size, drop=drop)
        else:
            scores = attention_weights(query, keys, mask, attention_bias)
            scores = ops.cast(scores, values.dtype)  # (B, H, T, S)
            scores = self.dropout(scores, training=training)
            attended = ops.matmul(scores, values)
        return self.output_projection(join_heads(attended)), scores

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "attention_dropout": self.attention_dropout,
            "query_chunk_size": self.query_chunk_size,
        }

    def _build_norm(self, name):
        if self.query_key_norm is None:
            return None
        shape = (None, None, None, self.key_dim)
        return build_sublayer(self, name, self.query_key_norm, shape)

    def _project_heads(self, tokens, positions, projection, norm):
        """Queries or keys with their positions, (B, H, N, key_dim)."""
        if positions is not None:
            tokens = self.rule.on_tokens(tokens, positions)
        heads = split_heads(projection(tokens), self.num_heads)
        if norm is not None:
            heads = norm(heads)
        if positions is not None:
            heads = self.rule.on_heads(heads, positions)
        return heads
