import keras

from keras_vtr.layers.arguments import check_fraction
from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.attention import MultiHeadAttention
from keras_vtr.layers.residual_block import ResidualBlock


@keras.saving.register_keras_serializable(package="keras_vtr")
class MultiHeadAttentionBlock(ResidualBlock):
    """Attention with what always surrounds it: norm, dropout and residual.

    Vaswani et al. 2017, figure 1, one "multi-head attention, add & norm". One
    block serves self attention (no `memory`) and the decoder's attention to
    the encoder (`memory` given). To a reader who knows ResNets: the residual
    is their skip connection.

    Post-norm, the original: `norm(x + dropout(attention(x)))`. Pre-norm, as
    ViT has it: `x + dropout(attention(norm(x)))`; `memory` isn't normalized
    here, since the encoder that made it has done that.

    Args:
        num_heads: H. Must divide the width D of the queries.
        dropout: Fraction of the attention's output dropped in training.
        attention_dropout: Fraction of attention weights dropped in training.
        normalize_first: True for pre-norm, False for post-norm.
        layer_norm_epsilon: Added to the variance in the layer norms.
        normalize_query_key: Whether queries and keys are normalized, as in
            `MultiHeadAttention`.
        layer_scale: Optional start of a `LayerScale` on the branch.
        stochastic_depth: Probability that training drops the branch.

    Call arguments:
        query: (B, T, D).
        memory: Optional (B, S, ...), the tokens that are asked. Default:
            `query`, after the norm if that comes first.
        query_positions: Optional (B, T, D), added to queries, and to keys in
            self attention.
        memory_positions: Optional, as `memory`, added to keys.
        padding_mask: Optional (B, S) bool, True = real, for the keys.
        attention_mask: Optional (B, T, S) or (1, T, S) bool, True where query
            t may attend to key s.
        attention_bias: Optional (B, H, T, S) or (1, H, T, S), added to the
            logits.
        use_causal_mask: If True, query t sees keys 0..t only.
        return_attention_scores: If True, also return the attention weights.

    Returns:
        (B, T, D), and with `return_attention_scores` the weights
        (B, H, T, S).

    Raises:
        ValueError: If `num_heads` doesn't divide D or a shape doesn't fit.

    Example:

    >>> tokens = keras.ops.ones((2, 5, 8))
    >>> block = keras_vtr.layers.MultiHeadAttentionBlock(num_heads=2)
    >>> print(tuple(block(tokens).shape))
    (2, 5, 8)
    """

    def __init__(
        self,
        num_heads,
        dropout=0.0,
        attention_dropout=0.0,
        normalize_first=True,
        layer_norm_epsilon=1e-6,
        normalize_query_key=False,
        layer_scale=None,
        stochastic_depth=0.0,
        **kwargs,
    ):
        super().__init__(
            dropout,
            normalize_first,
            layer_norm_epsilon,
            layer_scale,
            stochastic_depth,
            **kwargs,
        )
        check_positive_int("num_heads", num_heads)
        check_fraction("attention_dropout", attention_dropout)
        self.num_heads = num_heads
        self.attention_dropout = attention_dropout
        self.normalize_query_key = normalize_query_key

    def build(self, query_shape, memory_shape=None):
        self.attention = MultiHeadAttention(
            self.num_heads,
            self.attention_dropout,
            self.normalize_query_key,
            self.layer_norm_epsilon,
            name="attention",
            dtype=self.dtype_policy,
        )
        self.attention.build(query_shape, memory_shape)
        self._build_residual(query_shape)

    def call(
        self,
        query,
        memory=None,
        query_positions=None,
        memory_positions=None,
        padding_mask=None,
        attention_mask=None,
        attention_bias=None,
        use_causal_mask=False,
        return_attention_scores=False,
        training=None,
    ):
        attended, scores = self.attention(
            self._before(query),
            key=memory,
            query_positions=query_positions,
            key_positions=memory_positions,
            padding_mask=padding_mask,
            attention_mask=attention_mask,
            attention_bias=attention_bias,
            use_causal_mask=use_causal_mask,
            return_attention_scores=True,
            training=training,
        )
        output = self._add(query, attended, training)
        return (output, scores) if return_attention_scores else output

    def keys_and_values(self, query):
        """Those of self attention, two of (B, H, T, key_dim)."""
        return self.attention.keys_and_values(self._before(query))

    def attend(self, query, keys, values, mask=None):
        """The block's output for keys and values that are known already."""
        attended, _ = self.attention.attend(
            self._before(query), keys, values, mask, training=False
        )
        return self._add(query, attended, training=False)

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "attention_dropout": self.attention_dropout,
            "normalize_query_key": self.normalize_query_key,
        }
