import keras
from keras.layers import Dense
from keras.layers import Dropout

from keras_vtr.layers.activations import activation_of
from keras_vtr.layers.arguments import check_fraction
from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.parts import build_sublayer


@keras.saving.register_keras_serializable(package="keras_vtr")
class FeedForward(keras.layers.Layer):
    """Applies two dense layers to each token separately.

    Vaswani et al. 2017, section 3.3, equation 2. Attention moves information
    between tokens; this layer processes it within each token. To a reader who
    knows convolutions: two 1 x 1 convolutions, wide in the middle.

    Args:
        mlp_dim: Width of the inner layer, usually 4 D (ViT) or 8 D (DETR).
        activation: `"gelu"` (exact; ViT), `"gelu_tanh"` and `"quick_gelu"` (its
            approximations; SigLIP, CLIP), `"relu"` (original, DETR),
            `"swiglu"` (Shazeer 2020, equation 6; the first matrix is twice as
            wide, since one half of its result gates the other), or another
            name or registered function that `keras.activations.get` takes.
        dropout: Fraction dropped in training between the two layers.

    Call arguments:
        tokens: (B, N, D).

    Returns:
        (B, N, D).

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> layer = keras_vtr.layers.FeedForward(mlp_dim=32)
    >>> print(tuple(layer(keras.ops.ones((2, 5, 8))).shape))
    (2, 5, 8)
    """

    def __init__(self, mlp_dim, *, activation="gelu", dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        check_positive_int("mlp_dim", mlp_dim)
        check_fraction("dropout", dropout)
        self.mlp_dim = mlp_dim
        self.activation = activation
        self.dropout = dropout
        self._function = activation_of(activation)

    def build(self, tokens_shape):
        inner_dim = self.mlp_dim * (2 if self.activation == "swiglu" else 1)
        *sides, hidden_dim = tokens_shape
        inner_shape = (*sides, self.mlp_dim)
        self.inner_projection = build_sublayer(
            self, "inner_projection", Dense, tokens_shape, units=inner_dim
        )
        self.output_projection = build_sublayer(
            self, "output_projection", Dense, inner_shape, units=hidden_dim
        )
        self.inner_dropout = build_sublayer(
            self, "inner_dropout", Dropout, inner_shape, rate=self.dropout
        )

    def call(self, tokens, training=None):
        inner = self._function(self.inner_projection(tokens))
        inner = self.inner_dropout(inner, training=training)
        return self.output_projection(inner)  # (B, N, D)

    def get_config(self):
        activation = self.activation
        if not isinstance(activation, str):
            activation = keras.activations.serialize(activation)
        return {
            **super().get_config(),
            "mlp_dim": self.mlp_dim,
            "activation": activation,
            "dropout": self.dropout,
        }
