import keras

from keras_vtr.layers.arguments import check_count
from keras_vtr.layers.arguments import check_rank


@keras.saving.register_keras_serializable(package="keras_vtr")
class PatchGrid(keras.layers.Layer):
    """Reshapes the tokens of patches to a feature map, without leading tokens.

    Li et al. 2022 (ViTDet), section 3: the tokens of a plain ViT's last block,
    in raster order, are the feature map that a detector reads.

    Args:
        num_leading_tokens: How many class tokens and registers come first; they
            are cut off.

    Call arguments:
        tokens: (B, num_leading_tokens + rows * columns, D).
        feature_map: (B, rows, columns, ...), what the tokens were made of. Only
            its shape is read.

    Returns:
        (B, rows, columns, D).

    Raises:
        ValueError: If an argument is out of its range, or the number of tokens
            is another one.

    Example:

    >>> tokens = keras.ops.ones((2, 1 + 3 * 5, 8))
    >>> feature_map = keras.ops.ones((2, 3, 5, 4))
    >>> layer = keras_vtr.layers.PatchGrid(num_leading_tokens=1)
    >>> print(tuple(layer(tokens, feature_map).shape))
    (2, 3, 5, 8)
    """

    def __init__(self, num_leading_tokens=0, **kwargs):
        super().__init__(**kwargs)
        check_count("num_leading_tokens", num_leading_tokens)
        self.num_leading_tokens = num_leading_tokens

    def build(self, tokens_shape, feature_map_shape):
        check_rank("tokens", tokens_shape, ("B", "N", "D"))
        letters = ("B", "rows", "columns", "features")
        check_rank("feature_map", feature_map_shape, letters)
        sides = (tokens_shape[1], *feature_map_shape[1:3])
        num_tokens, rows, columns = sides
        if None in sides:
            return
        if num_tokens != self.num_leading_tokens + rows * columns:
            raise ValueError(
                "`tokens` must be `num_leading_tokens` + rows x columns. "
                f"Received: {num_tokens} tokens, num_leading_tokens="
                f"{self.num_leading_tokens}, a map of {rows} x {columns}"
            )

    def call(self, tokens, feature_map):
        batch_size, rows, columns = keras.ops.shape(feature_map)[:3]
        patches = tokens[:, self.num_leading_tokens :]
        return keras.ops.reshape(
            patches, (batch_size, rows, columns, tokens.shape[-1])
        )

    def compute_output_shape(self, tokens_shape, feature_map_shape):
        return (*feature_map_shape[:3], tokens_shape[-1])

    def get_config(self):
        return {
            **super().get_config(),
            "num_leading_tokens": self.num_leading_tokens,
        }
