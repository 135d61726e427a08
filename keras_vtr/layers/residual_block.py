import keras

from keras_vtr.layers.arguments import check_fraction
from keras_vtr.layers.arguments import check_positive
from keras_vtr.layers.regularization import LayerScale
from keras_vtr.layers.regularization import StochasticDepth


class ResidualBlock(keras.layers.Layer):
    """What surrounds attention and feed-forward alike: norm and residual.

    Pre-norm: `x + f(norm(x))`. Post-norm: `norm(x + f(x))`. What `f` returns
    passes dropout, layer scale and stochastic depth before it is added.
    """

    def __init__(
        self,
        dropout=0.0,
        normalize_first=True,
        layer_norm_epsilon=1e-6,
        layer_scale=None,
        stochastic_depth=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_fraction("dropout", dropout)
        check_positive("layer_norm_epsilon", layer_norm_epsilon)
        if layer_scale is not None:
            check_positive("layer_scale", layer_scale)
        check_fraction("stochastic_depth", stochastic_depth)
        self.dropout = dropout
        self.normalize_first = normalize_first
        self.layer_norm_epsilon = layer_norm_epsilon
        self.layer_scale = layer_scale
        self.stochastic_depth = stochastic_depth

    def get_config(self):
        return {
            **super().get_config(),
            "dropout": self.dropout,
            "normalize_first": self.normalize_first,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "layer_scale": self.layer_scale,
            "stochastic_depth": self.stochastic_depth,
        }

    def _build_residual(self, tokens_shape):
        self.norm = keras.layers.LayerNormalization(
            epsilon=self.layer_norm_epsilon,
            name="norm",
            dtype=self.dtype_policy,
        )
        self.norm.build(tokens_shape)
        self.residual_dropout = keras.layers.Dropout(
            self.dropout, name="residual_dropout", dtype=self.dtype_policy
        )
        self.residual_scale = None
        if self.layer_scale is not None:
            self.residual_scale = LayerScale(
                self.layer_scale, name="layer_scale", dtype=self.dtype_policy
            )
            self.residual_scale.build(tokens_shape)
        self.residual_depth = StochasticDepth(
            self.stochastic_depth,
            name="stochastic_depth",
            dtype=self.dtype_policy,
        )

    def _before(self, tokens):
        return self.norm(tokens) if self.normalize_first else tokens

    def _add(self, tokens, branch, training):
        branch = self.residual_dropout(branch, training=training)
        if self.residual_scale is not None:
            branch = self.residual_scale(branch)
        branch = self.residual_depth(branch, training=training)
        output = tokens + branch
        return output if self.normalize_first else self.norm(output)
