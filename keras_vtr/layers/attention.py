import keras

from keras_vtr.layers.arguments import check_fraction
from keras_vtr.layers.arguments import check_positive
from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.arguments import check_rank
from keras_vtr.layers.arguments import check_static
from keras_vtr.layers.masking import combine_masks
from keras_vtr.layers.masking import masked_softmax


@keras.saving.register_keras_serializable(package="keras_vtr")
class MultiHeadAttention(keras.layers.Layer):
    """Lets every query token gather values from the tokens whose keys fit it.

    Vaswani et al. 2017, section 3.2, equation 1, for each head:
    `softmax(Q K^T / sqrt(key_dim)) V`; the heads' results are concatenated
    and projected. To a reader who knows convolutions: a kernel as large as
    the image whose weights are made anew for every pixel, from what the
    pixels contain.

    Positions are an argument, as DETR needs them (Carion et al. 2020,
    appendix A.3): they are added to what makes queries and keys, never to
    what makes values. Differences from `keras.layers.MultiHeadAttention`: a
    query that may attend to nothing gets zeros before the output projection,
    on every path; the softmax is computed in float32 under every dtype
    policy; masks say what is *real*.

    Args:
        num_heads: H. Must divide the width D of the queries; each head works
            with `key_dim = D / H` channels.
        attention_dropout: Fraction of attention weights dropped in training.
        normalize_query_key: If True, a layer norm over each head's queries
            and one over its keys keep the logits small in large models
            (Dehghani et al. 2023, section 2).
        layer_norm_epsilon: Added to the variance in these layer norms.

    Call arguments:
        query: (B, T, D), the tokens that ask.
        key: (B, S, ...), the tokens that are asked. Default: `query`, which
            is self attention.
        value: (B, S, ...), what is gathered. Default: `key`.
        query_positions: Optional (B, T, D), added to `query`.
        key_positions: Optional, as `key`, added to it. Default in self
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
        ValueError: If `num_heads` doesn't divide D or a shape doesn't fit.

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
        attention_dropout=0.0,
        normalize_query_key=False,
        layer_norm_epsilon=1e-6,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_positive_int("num_heads", num_heads)
        check_fraction("attention_dropout", attention_dropout)
        check_positive("layer_norm_epsilon", layer_norm_epsilon)
        self.num_heads = num_heads
        self.attention_dropout = attention_dropout
        self.normalize_query_key = normalize_query_key
        self.layer_norm_epsilon = layer_norm_epsilon

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
        self.query_norm = self.key_norm = None
        if self.normalize_query_key:
            self.query_norm = self._build_norm("query_norm")
            self.key_norm = self._build_norm("key_norm")
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
            _add_positions(query, query_positions),
            keys,
            values,
            mask,
            attention_bias,
            training,
        )
        return (attended, scores) if return_attention_scores else attended

    def keys_and_values(self, key, value=None, key_positions=None):
        """What each head is asked for: two of (B, H, S, key_dim).

        A decoder that writes one token after the other keeps them.
        """
        value = key if value is None else value
        keys = self.key_projection(_add_positions(key, key_positions))
        keys = self._split_heads(keys)
        if self.normalize_query_key:
            keys = self.key_norm(keys)
        return keys, self._split_heads(self.value_projection(value))

    def attend(
        self,
        query,
        keys,
        values,
        mask=None,
        attention_bias=None,
        training=None,
    ):
        """Asks `keys_and_values`; `mask` broadcasts to (B, H, T, S).

        Returns:
            (B, T, D), and the weights (B, H, T, S).
        """
        query = self._split_heads(self.query_projection(query))
        if self.normalize_query_key:
            query = self.query_norm(query)
        # Scaled before the product, which can overflow float16 otherwise.
        query = query * self.key_dim**-0.5
        logits = keras.ops.matmul(
            query, keras.ops.transpose(keys, (0, 1, 3, 2))
        )  # (B, H, T, S)
        if attention_bias is not None:
            logits = keras.ops.cast(logits, "float32") + keras.ops.cast(
                attention_bias, "float32"
            )
        scores = masked_softmax(logits, mask)
        scores = self.dropout(
            keras.ops.cast(scores, values.dtype), training=training
        )
        attended = self._join_heads(keras.ops.matmul(scores, values))
        return self.output_projection(attended), scores  # (B, T, D)

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "attention_dropout": self.attention_dropout,
            "normalize_query_key": self.normalize_query_key,
            "layer_norm_epsilon": self.layer_norm_epsilon,
        }

    def _build_norm(self, name):
        norm = keras.layers.LayerNormalization(
            epsilon=self.layer_norm_epsilon,
            name=name,
            dtype=self.dtype_policy,
        )
        norm.build((None, None, None, self.key_dim))
        return norm

    def _split_heads(self, tokens):
        """(B, N, D) -> (B, H, N, key_dim)."""
        batch_size, length, _ = keras.ops.shape(tokens)
        shape = (batch_size, length, self.num_heads, self.key_dim)
        return keras.ops.transpose(
            keras.ops.reshape(tokens, shape), (0, 2, 1, 3)
        )

    def _join_heads(self, heads):
        """(B, H, N, key_dim) -> (B, N, D)."""
        batch_size, _, length, _ = keras.ops.shape(heads)
        shape = (batch_size, length, self.num_heads * self.key_dim)
        return keras.ops.reshape(
            keras.ops.transpose(heads, (0, 2, 1, 3)), shape
        )


def _add_positions(tokens, positions):
    return tokens if positions is None else tokens + positions
