import keras
from keras import ops

from keras_vtr.layers.arguments import check_fraction
from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.arguments import check_rank
from keras_vtr.layers.arguments import check_static
from keras_vtr.layers.attention.masking import combine_masks
from keras_vtr.layers.attention.masking import masked_softmax
from keras_vtr.layers.parts import build_part
from keras_vtr.layers.parts import copy_of
from keras_vtr.layers.parts import deserialized
from keras_vtr.layers.parts import serialized
from keras_vtr.layers.parts import set_part
from keras_vtr.layers.positions.rules import AddedPositions
from keras_vtr.layers.positions.rules import PositionRule


@keras.saving.register_keras_serializable(package="keras_vtr")
class MultiHeadAttention(keras.layers.Layer):
    """Lets every query token gather values from the tokens whose keys fit it.

    Vaswani et al. 2017, section 3.2, equation 1, for each head:
    `softmax(Q K^T / sqrt(key_dim)) V`; the heads' results are concatenated
    and projected. To a reader who knows convolutions: a kernel as large as
    the image whose weights are made anew for every pixel, from what the
    pixels contain.

    Positions are an argument, as DETR needs them (Carion et al. 2020,
    appendix A.3): they meet queries and keys, never values, by a rule that is
    handed in. Differences from `keras.layers.MultiHeadAttention`: a
    query that may attend to nothing gets zeros before the output projection,
    on every path; the softmax is computed in float32 under every dtype
    policy; masks say what is *real*.

    Args:
        num_heads: H. Must divide the width D of the queries; each head works
            with `key_dim = D / H` channels.
        attention_dropout: Fraction of attention weights dropped in training.
        query_key_norm: Optional norm, such as
            `keras.layers.LayerNormalization(epsilon=1e-6)`: one over each
            head's queries and one over its keys keep the logits small in
            large models (Dehghani et al. 2023, section 2).
        position_rule: How positions meet queries and keys: a `PositionRule`.
            Default: `AddedPositions()`; another one is `RotaryPositions2D()`.

    Call arguments:
        query: (B, T, D), the tokens that ask.
        key: (B, S, ...), the tokens that are asked. Default: `query`, which
            is self attention.
        value: (B, S, ...), what is gathered. Default: `key`.
        query_positions: Optional positions of the queries, as the rule reads
            them: (B, T, D), added to `query`, by default.
        key_positions: Optional, of the keys, likewise. Default in self
            attention: `query_positions`.
        padding_mask: Optional (B, S) bool, True = real: which keys may be
            attended to.
        attention_mask: Optional (B, T, S) or (1, T, S) bool, True where query
            t may attend to key s.
        attention_bias: Optional (B, H, T, S) or (1, H, T, S), added to the
            logits: relative positions.
        use_causal_mask: If True, query t sees keys 0..t only: the masked
            attention of the original decoder.
        return_attention_scores: If True, also return the attention weights.

    Returns:
        (B, T, D), and with `return_attention_scores` the weights
        (B, H, T, S), after softmax and dropout.

    Raises:
        ValueError: If `num_heads` doesn't divide D, a shape doesn't fit, or a
            norm or rule is none.

    Example:

    >>> queries = keras.ops.ones((2, 5, 8))
    >>> memory = keras.ops.ones((2, 7, 8))
    >>> attention = keras_vtr.layers.MultiHeadAttention(num_heads=4)
    >>> print(tuple(attention(queries, memory).shape))
    (2, 5, 8)
    """

    def __init__(
        self,
        num_heads,
        *,
        attention_dropout=0.0,
        query_key_norm=None,
        position_rule=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_positive_int("num_heads", num_heads)
        check_fraction("attention_dropout", attention_dropout)
        self.num_heads = num_heads
        self.attention_dropout = attention_dropout
        set_part(self, "query_key_norm", query_key_norm, may_lack=True)
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
            layer = keras.layers.Dense(
                hidden_dim, name=name, dtype=self.dtype_policy
            )
            layer.build(shape)
            return layer

        self.query_projection = projection("query_projection", query_shape)
        self.key_projection = projection("key_projection", key_shape)
        self.value_projection = projection("value_projection", value_shape)
        self.output_projection = projection("output_projection", query_shape)
        self.query_norm = self._build_norm("query_norm")
        self.key_norm = self._build_norm("key_norm")
        self.rule = copy_of(self.position_rule, "position_rule", self)
        self.rule.build(query_shape)
        self.dropout = keras.layers.Dropout(
            self.attention_dropout, name="dropout", dtype=self.dtype_policy
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
            training=training,
        )
        return (attended, scores) if return_attention_scores else attended

    def keys_and_values(self, key, value=None, key_positions=None):
        """What each head is asked for: two of (B, H, S, key_dim).

        A decoder that writes one token after the other keeps them.
        """
        value = key if value is None else value
        keys = self._heads(
            key, key_positions, self.key_projection, self.key_norm
        )
        return keys, self._split_heads(self.value_projection(value))

    def attend(
        self,
        query,
        keys,
        values,
        mask=None,
        *,
        query_positions=None,
        attention_bias=None,
        training=None,
    ):
        """Asks `keys_and_values`; `mask` broadcasts to (B, H, T, S).

        Returns:
            (B, T, D), and the weights (B, H, T, S).
        """
        query = self._heads(
            query, query_positions, self.query_projection, self.query_norm
        )
        # Scaled before the product, which can overflow float16 otherwise.
        query = query * self.key_dim**-0.5
        logits = ops.matmul(query, ops.transpose(keys, (0, 1, 3, 2)))
        if attention_bias is not None:
            logits = ops.cast(logits, "float32")
            logits = logits + ops.cast(attention_bias, "float32")
        scores = masked_softmax(logits, mask)  # (B, H, T, S)
        scores = ops.cast(scores, values.dtype)
        scores = self.dropout(scores, training=training)
        attended = self._join_heads(ops.matmul(scores, values))
        return self.output_projection(attended), scores  # (B, T, D)

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "attention_dropout": self.attention_dropout,
            **serialized(self, "query_key_norm", "position_rule"),
        }

    @classmethod
    def from_config(cls, config):
        return cls(**deserialized(config, "query_key_norm", "position_rule"))

    def _build_norm(self, name):
        if self.query_key_norm is None:
            return None
        norm = copy_of(self.query_key_norm, name, self)
        build_part(norm, (None, None, None, self.key_dim))
        return norm

    def _heads(self, tokens, positions, projection, norm):
        """Queries or keys, (B, H, N, key_dim), that know where they are."""
        if positions is not None:
            tokens = self.rule.on_tokens(tokens, positions)
        heads = self._split_heads(projection(tokens))
        if norm is not None:
            heads = norm(heads)
        has_rule = positions is not None
        return self.rule.on_heads(heads, positions) if has_rule else heads

    def _split_heads(self, tokens):
        """(B, N, D) -> (B, H, N, key_dim)."""
        batch_size, length, _ = ops.shape(tokens)
        shape = (batch_size, length, self.num_heads, self.key_dim)
        return ops.transpose(ops.reshape(tokens, shape), (0, 2, 1, 3))

    def _join_heads(self, heads):
        """(B, H, N, key_dim) -> (B, N, D)."""
        batch_size, _, length, _ = ops.shape(heads)
        shape = (batch_size, length, self.num_heads * self.key_dim)
        return ops.reshape(ops.transpose(heads, (0, 2, 1, 3)), shape)
