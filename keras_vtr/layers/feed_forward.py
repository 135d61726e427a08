import math

import keras

from keras_vtr.layers.arguments import check_choice
from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.residual_block import ResidualBlock


def exact_gelu(x):
    """x times the normal distribution function at x (Hendrycks 2016).

    Spelled with `erf`: `keras.ops.gelu(approximate=False)` goes through
    `erfc` on TensorFlow 2.21, which takes about twice as long; and in the
    order that LiteRT's converter knows as its own GELU.
    """
    return (0.5 * x) * (1.0 + keras.ops.erf(x * math.sqrt(0.5)))


def tanh_gelu(x):
    """The approximation of GELU by tanh (Hendrycks 2016, section 2)."""
    return keras.ops.gelu(x, approximate=True)


def swiglu(x):
    """(..., 2 n) -> (..., n): one half opens the other (Shazeer 2020)."""
    gate, value = keras.ops.split(x, 2, axis=-1)
    return keras.ops.silu(gate) * value


ACTIVATIONS = {
    "gelu": exact_gelu,
    "gelu_tanh": tanh_gelu,
    "relu": keras.ops.relu,
    "swiglu": swiglu,
}


@keras.saving.register_keras_serializable(package="keras_vtr")
class FeedForwardBlock(ResidualBlock):
    """Two dense layers on each token alone, with norm, dropout and residual.

    Vaswani et al. 2017, section 3.3, equation 2. Attention moves information
    between tokens, this block works on it within each. To a reader who knows
    convolutions: two 1 x 1 convolutions, wide in the middle.

    Args:
        mlp_dim: Width of the inner layer, usually 4 D (ViT) or 8 D (DETR).
        dropout: Fraction dropped in training after each of the two layers.
        activation: `"gelu"` (exact; ViT), `"gelu_tanh"` (its approximation),
            `"relu"` (original, DETR) or `"swiglu"` (Shazeer 2020, equation 6;
            the first matrix is twice as wide, since one half of what it makes
            gates the other).
        normalize_first: True for pre-norm, False for post-norm.
        layer_norm_epsilon: Added to the variance in the layer norm.
        layer_scale: Optional start of a `LayerScale` on the branch.
        stochastic_depth: Probability that training drops the branch.

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
        check_positive_int("mlp_dim", mlp_dim)
        check_choice("activation", activation, ACTIVATIONS)
        self.mlp_dim = mlp_dim
        self.activation = activation

    def build(self, tokens_shape):
        self._build_residual(tokens_shape)
        inner_dim = self.mlp_dim * (2 if self.activation == "swiglu" else 1)
        self.inner_projection = keras.layers.Dense(
            inner_dim, name="inner_projection", dtype=self.dtype_policy
        )
        self.inner_projection.build(tokens_shape)
        self.output_projection = keras.layers.Dense(
            tokens_shape[-1], name="output_projection", dtype=self.dtype_policy
        )
        self.output_projection.build((*tokens_shape[:-1], self.mlp_dim))
        self.inner_dropout = keras.layers.Dropout(
            self.dropout, name="inner_dropout", dtype=self.dtype_policy
        )

    def call(self, tokens, training=None):
        inner = self.inner_projection(self._before(tokens))
        inner = ACTIVATIONS[self.activation](inner)  # (B, N, mlp_dim)
        inner = self.inner_dropout(inner, training=training)
        inner = self.output_projection(inner)  # (B, N, D)
        return self._add(tokens, inner, training)

    def get_config(self):
        return {
            **super().get_config(),
            "mlp_dim": self.mlp_dim,
            "activation": self.activation,
        }
