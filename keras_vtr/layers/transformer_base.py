import keras

from keras_vtr.layers.arguments import check_choice
from keras_vtr.layers.arguments import check_fraction
from keras_vtr.layers.arguments import check_positive
from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.attention_block import MultiHeadAttentionBlock
from keras_vtr.layers.feed_forward import ACTIVATIONS
from keras_vtr.layers.feed_forward import FeedForwardBlock
from keras_vtr.layers.rematerialization import rematerialized


class TransformerBase(keras.layers.Layer):
    """What the blocks of encoder and decoder share: their arguments."""

    def __init__(
        self,
        num_heads,
        mlp_dim,
        dropout=0.0,
        attention_dropout=0.0,
        activation="gelu",
        normalize_first=True,
        layer_norm_epsilon=1e-6,
        normalize_query_key=False,
        layer_scale=None,
        stochastic_depth=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_positive_int("num_heads", num_heads)
        check_positive_int("mlp_dim", mlp_dim)
        check_fraction("dropout", dropout)
        check_fraction("attention_dropout", attention_dropout)
        check_choice("activation", activation, ACTIVATIONS)
        check_positive("layer_norm_epsilon", layer_norm_epsilon)
        if layer_scale is not None:
            check_positive("layer_scale", layer_scale)
        check_fraction("stochastic_depth", stochastic_depth)
        self.num_heads = num_heads
        self.mlp_dim = mlp_dim
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.activation = activation
        self.normalize_first = normalize_first
        self.layer_norm_epsilon = layer_norm_epsilon
        self.normalize_query_key = normalize_query_key
        self.layer_scale = layer_scale
        self.stochastic_depth = stochastic_depth

    def get_config(self):
        return {**super().get_config(), **self._block_config()}

    def rematerialized_call(self, layer_call, *args, **kwargs):
        """What `keras.RematScope` makes of `call`, if it lists this layer."""
        mode = self._remat_mode
        if mode.mode == "list_of_layers" and self.name in mode.layer_names:
            return rematerialized(self, layer_call)
        return layer_call

    def _block_config(self):
        return {
            "num_heads": self.num_heads,
            "mlp_dim": self.mlp_dim,
            "dropout": self.dropout,
            "attention_dropout": self.attention_dropout,
            "activation": self.activation,
            "normalize_first": self.normalize_first,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "normalize_query_key": self.normalize_query_key,
            "layer_scale": self.layer_scale,
            "stochastic_depth": self.stochastic_depth,
        }

    def _build_attention(self, name, query_shape, memory_shape=None):
        block = MultiHeadAttentionBlock(
            self.num_heads,
            self.dropout,
            self.attention_dropout,
            self.normalize_first,
            self.layer_norm_epsilon,
            self.normalize_query_key,
            self.layer_scale,
            self.stochastic_depth,
            name=name,
            dtype=self.dtype_policy,
        )
        block.build(query_shape, memory_shape)
        return block

    def _build_feed_forward(self, name, tokens_shape):
        block = FeedForwardBlock(
            self.mlp_dim,
            self.dropout,
            self.activation,
            self.normalize_first,
            self.layer_norm_epsilon,
            self.layer_scale,
            self.stochastic_depth,
            name=name,
            dtype=self.dtype_policy,
        )
        block.build(tokens_shape)
        return block


class TransformerStack(TransformerBase):
    """A row of equal blocks, and a layer norm after the last one.

    `normalize_output=None` means: as `normalize_first`, because the sum of
    the residuals of a pre-norm stack is normalized nowhere else.
    `stochastic_depth` is the last block's; before it the probability grows
    linearly with depth (Huang et al. 2016, equation 4).
    """

    def __init__(
        self,
        num_layers,
        num_heads,
        mlp_dim,
        dropout=0.0,
        attention_dropout=0.0,
        activation="gelu",
        normalize_first=True,
        layer_norm_epsilon=1e-6,
        normalize_query_key=False,
        layer_scale=None,
        stochastic_depth=0.0,
        normalize_output=None,
        **kwargs,
    ):
        super().__init__(
            num_heads,
            mlp_dim,
            dropout,
            attention_dropout,
            activation,
            normalize_first,
            layer_norm_epsilon,
            normalize_query_key,
            layer_scale,
            stochastic_depth,
            **kwargs,
        )
        check_positive_int("num_layers", num_layers)
        self.num_layers = num_layers
        self.normalize_output = normalize_output

    def get_config(self):
        return {
            "num_layers": self.num_layers,
            **super().get_config(),
            "normalize_output": self.normalize_output,
        }

    def _build_stack(self, block_class, *shapes):
        self.blocks = []
        for i in range(self.num_layers):
            rate = self.stochastic_depth * (i + 1) / self.num_layers
            block = block_class(
                **{**self._block_config(), "stochastic_depth": rate},
                name=f"block_{i}",
                dtype=self.dtype_policy,
            )
            block.build(*shapes)
            self.blocks.append(block)
        self.norm = None
        if self.normalize_output or (
            self.normalize_output is None and self.normalize_first
        ):
            self.norm = keras.layers.LayerNormalization(
                epsilon=self.layer_norm_epsilon,
                name="norm",
                dtype=self.dtype_policy,
            )
            self.norm.build(shapes[0])

    def _normalize(self, tokens):
        return tokens if self.norm is None else self.norm(tokens)
