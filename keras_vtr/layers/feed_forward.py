import math

import keras

from keras_vtr.layers.arguments import check_choice
from keras_vtr.layers.arguments import check_fraction
from keras_vtr.layers.arguments import check_positive
from keras_vtr.layers.arguments import check_positive_int


def exact_gelu(x):
    """x times the normal distribution function at x (Hendrycks 2016).

    Spelled with `erf`: `keras.ops.gelu(approximate=False)` goes through
    `erfc` on TensorFlow 2.21, which takes about twice as long.
    """
    return x * (0.5 * (1.0 + keras.ops.erf(x * math.sqrt(0.5))))


ACTIVATIONS = {"gelu": exact_gelu, "relu": keras.ops.relu}


@keras.saving.register_keras_serializable(package="keras_vtr")
class FeedForwardBlock(keras.layers.Layer):
    """Two dense layers on each token alone, with norm, dropout and residual.

    Vaswani et al. 2017, section 3.3, equation 2. Attention moves information
    between tokens, this block works on it within each. To a reader who knows
    convolutions: two 1 x 1 convolutions, wide in the middle.

    Args:
        mlp_dim: Width of the inner layer, usually 4 D (ViT) or 8 D (DETR).
        dropout: Fraction dropped in training after each of the two layers.
        activation: `"gelu"` (exact; ViT) or `"relu"` (original, DETR).
        normalize_first: True for pre-norm, False for post-norm.
        layer_norm_epsilon: Added to the variance in the layer norm.

    Call arguments:
        tokens: (B, N, D).

    Returns:
        (B, N, D).

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> tokens = keras.ops.ones((2, 5, 8))
    >>> block = keras_vtr.layers.FeedForwardBlock(mlp_dim=32)
    >>> print(tuple(block(tokens).shape))
    (2, 5, 8)
    """

    def __init__(
        self,
        mlp_dim,
        dropout=0.0,
        activation="gelu",
        normalize_first=True,
        layer_norm_epsilon=1e-6,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_positive_int("mlp_dim", mlp_dim)
        check_fraction("dropout", dropout)
        check_choice("activation", activation, ACTIVATIONS)
        check_positive("layer_norm_epsilon", layer_norm_epsilon)
        self.mlp_dim = mlp_dim
        self.dropout = dropout
        self.activation = activation
        self.normalize_first = normalize_first
        self.layer_norm_epsilon = layer_norm_epsilon

    def build(self, tokens_shape):
        self.norm = keras.layers.LayerNormalization(
            epsilon=self.layer_norm_epsilon,
            name="norm",
            dtype=self.dtype_policy,
        )
        self.norm.build(tokens_shape)
        self.inner_projection = keras.layers.Dense(
            self.mlp_dim, name="inner_projection", dtype=self.dtype_policy
        )
        self.inner_projection.build(tokens_shape)
        self.output_projection = keras.layers.Dense(
            tokens_shape[-1], name="output_projection", dtype=self.dtype_policy
        )
        self.output_projection.build((*tokens_shape[:-1], self.mlp_dim))
        self.inner_dropout = keras.layers.Dropout(
            self.dropout, name="inner_dropout", dtype=self.dtype_policy
        )
        self.residual_dropout = keras.layers.Dropout(
            self.dropout, name="residual_dropout", dtype=self.dtype_policy
        )

    def call(self, tokens, training=None):
        inner = self.norm(tokens) if self.normalize_first else tokens
        inner = self.inner_projection(inner)  # (B, N, mlp_dim)
        inner = ACTIVATIONS[self.activation](inner)
        inner = self.inner_dropout(inner, training=training)
        inner = self.output_projection(inner)  # (B, N, D)
        output = tokens + self.residual_dropout(inner, training=training)
        return output if self.normalize_first else self.norm(output)

    def get_config(self):
        return {
            **super().get_config(),
            "mlp_dim": self.mlp_dim,
            "dropout": self.dropout,
            "activation": self.activation,
            "normalize_first": self.normalize_first,
            "layer_norm_epsilon": self.layer_norm_epsilon,
        }
