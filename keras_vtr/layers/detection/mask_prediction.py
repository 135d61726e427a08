import math

import keras
from keras import ops

from keras_vtr.layers.activations import exact_gelu
from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.parts import build_sublayer
from keras_vtr.layers.parts import default_norm


@keras.saving.register_keras_serializable(package="keras_vtr")
class MaskPrediction(keras.layers.Layer):
    """Computes the mask of each query from the patches of a ViT.

    Kerssies et al. 2025 (EoMT), section 3.1 and figure 2: three dense layers
    make a mask embedding of a query, whose dot product with a pixel's features
    is its logit (Cheng et al. 2021, MaskFormer); the patches are enlarged by
    blocks of a transposed convolution, a GELU, a depthwise convolution and a
    layer norm.

    Args:
        upsampling: How many times finer than the patches the masks are, a
            power of 2.

    Call arguments:
        queries: (B, Q, D).
        patches: (B, rows, columns, D).

    Returns:
        (B, Q, height', width') logits, `upsampling` times the size of the
        patches.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> layer = keras_vtr.layers.MaskPrediction()
    >>> masks = layer(keras.ops.ones((2, 7, 8)), keras.ops.ones((2, 3, 4, 8)))
    >>> print(tuple(masks.shape))
    (2, 7, 12, 16)
    """

    def __init__(self, upsampling=4, **kwargs):
        super().__init__(**kwargs)
        check_positive_int("upsampling", upsampling)
        if 2 ** round(math.log2(upsampling)) != upsampling:
            raise ValueError(
                "`upsampling` must be a power of 2, since each block doubles "
                f"the size. Received: upsampling={upsampling}"
            )
        self.upsampling = upsampling

    def build(self, queries_shape, patches_shape):
        hidden_dim = queries_shape[-1]
        pixels = (None, None, None, hidden_dim)

        def dense(name, units, activation=None):
            return build_sublayer(
                self,
                name,
                keras.layers.Dense,
                queries_shape,
                units=units,
                activation=activation,
            )

        self.embedding = [
            dense("embedding_0", hidden_dim, exact_gelu),
            dense("embedding_1", hidden_dim, exact_gelu),
            dense("embedding_2", hidden_dim),
        ]
        convolution = {"padding": "same", "data_format": "channels_last"}
        self.blocks = [
            (
                build_sublayer(
                    self,
                    f"enlargement_{i}",
                    keras.layers.Conv2DTranspose,
                    pixels,
                    filters=hidden_dim,
                    kernel_size=2,
                    strides=2,
                    activation=exact_gelu,
                    **convolution,
                ),
                build_sublayer(
                    self,
                    f"convolution_{i}",
                    keras.layers.DepthwiseConv2D,
                    pixels,
                    kernel_size=3,
                    use_bias=False,
                    **convolution,
                ),
                build_sublayer(self, f"norm_{i}", default_norm(), pixels),
            )
            for i in range(round(math.log2(self.upsampling)))
        ]

    def call(self, queries, patches):
        for block in self.blocks:
            for layer in block:
                patches = layer(patches)
        embeddings = queries
        for layer in self.embedding:
            embeddings = layer(embeddings)
        return products(embeddings, patches)

    def compute_output_shape(self, queries_shape, patches_shape):
        size = (
            None if side is None else self.upsampling * side
            for side in patches_shape[1:3]
        )
        return (*queries_shape[:2], *size)

    def get_config(self):
        return {**super().get_config(), "upsampling": self.upsampling}


def products(embeddings, pixels):
    """(B, Q, D) and (B, height, width, D) -> (B, Q, height, width)."""
    batch_size, height, width, hidden_dim = ops.shape(pixels)
    pixels = ops.reshape(pixels, (batch_size, height * width, hidden_dim))
    logits = ops.matmul(embeddings, ops.transpose(pixels, (0, 2, 1)))
    num_queries = ops.shape(embeddings)[1]  # static, if it is known
    return ops.reshape(logits, (batch_size, num_queries, height, width))
