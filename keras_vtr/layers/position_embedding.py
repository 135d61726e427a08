import keras

from keras_vtr.layers.arguments import check_rank
from keras_vtr.layers.arguments import check_static


@keras.saving.register_keras_serializable(package="keras_vtr")
class PositionEmbedding(keras.layers.Layer):
    """Adds to each token the learned vector of its place in the sequence.

    Attention alone can't tell one order of its tokens from another; the
    position must be in the token. Dosovitskiy et al. 2020 (ViT), section 3.1,
    equation 1: a table with one row a token, in raster order, is as good as
    two-dimensional ones (appendix D.4).

    Call arguments:
        tokens: (B, N, D), class tokens included. N fixes the table's size.

    Returns:
        (B, N, D).

    Raises:
        ValueError: If N or D is unknown when the layer is built, or N is not
            the one that it was built for.

    Example:

    >>> tokens = keras.ops.ones((2, 7, 8))
    >>> print(tuple(keras_vtr.layers.PositionEmbedding()(tokens).shape))
    (2, 7, 8)
    """

    def build(self, tokens_shape):
        check_rank("tokens", tokens_shape, ("B", "N", "D"))
        check_static("tokens", tokens_shape, -1, "width D")
        check_static("tokens", tokens_shape, -2, "length N")
        self.position_embedding = self.add_weight(
            shape=(1, *tokens_shape[1:]),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
            name="position_embedding",
        )

    def call(self, tokens):
        num_positions = self.position_embedding.shape[1]
        if tokens.shape[1] not in (None, num_positions):
            raise ValueError(
                f"The layer {self.name!r} was built for {num_positions} "
                f"tokens. Received: tokens.shape={tuple(tokens.shape)}. "
                "Resize the images to the size that the model was built for."
            )
        return tokens + keras.ops.cast(self.position_embedding, tokens.dtype)
