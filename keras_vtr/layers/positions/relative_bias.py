import keras

from keras_vtr.layers.arguments import check_count
from keras_vtr.layers.arguments import check_grid_shape
from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.arguments import check_rank
from keras_vtr.layers.arguments import grid_for
from keras_vtr.layers.positions.embedding import grid_of
from keras_vtr.layers.positions.interpolation import resize_grid


@keras.saving.register_keras_serializable(package="keras_vtr")
class RelativePositionBias(keras.layers.Layer):
    """Computes a learned bias for the offset between every two patches.

    Dosovitskiy et al. 2020 (ViT), appendix D.4, compares absolute positions
    with relative ones, the offsets between patches. The paper multiplies an
    embedding of the offset with the query; here, as in Liu et al. 2021 (Swin),
    section 3.2, equation 4, each head has one number for each offset, which is
    added to the logits (`attention_bias`). A class token has no position:
    each head has three numbers for class to patch, patch to class, and class
    to class, as in Bao et al. 2021 (BEiT).

    The table is resized bilinearly for a grid of another size.

    Args:
        num_heads: H.
        grid_shape: (rows, columns) of the grid that the table is for. Default:
            those of the `feature_map` that the layer is built with.
        num_leading_tokens: Number of tokens before those of the grid.

    Call arguments:
        feature_map: (B, rows, columns, ...). Only its shape is read.

    Returns:
        (1, H, T, T), to add to the logits of self attention;
        T = num_leading_tokens + rows * columns.

    Raises:
        ValueError: If an argument is out of its range, or the grid is unknown
            when the layer is built.

    Example:

    >>> feature_map = keras.ops.ones((2, 3, 5, 8))
    >>> layer = keras_vtr.layers.RelativePositionBias(num_heads=4)
    >>> print(tuple(layer(feature_map).shape))
    (1, 4, 15, 15)
    """

    def __init__(
        self, num_heads, grid_shape=None, num_leading_tokens=0, **kwargs
    ):
        super().__init__(**kwargs)
        check_positive_int("num_heads", num_heads)
        check_grid_shape(grid_shape)
        check_count("num_leading_tokens", num_leading_tokens)
        self.num_heads = num_heads
        self.grid_shape = grid_shape
        self.num_leading_tokens = num_leading_tokens

    def build(self, feature_map_shape):
        letters = ("B", "rows", "columns", "D")
        check_rank("feature_map", feature_map_shape, letters)
        self.grid = grid_for(self.grid_shape, feature_map_shape)
        self.offset_bias = self.add_weight(
            shape=(2 * self.grid[0] - 1, 2 * self.grid[1] - 1, self.num_heads),
            initializer="zeros",
            name="offset_bias",
        )
        if self.num_leading_tokens:
            self.class_bias = self.add_weight(
                shape=(3, self.num_heads),
                initializer="zeros",
                name="class_bias",
            )

    def call(self, feature_map):
        rows, columns = grid_of(feature_map)
        table = keras.ops.convert_to_tensor(self.offset_bias)
        if tuple(feature_map.shape[1:3]) != self.grid:
            table = resize_grid(
                table, (2 * rows - 1, 2 * columns - 1), "bilinear"
            )
        index = keras.ops.arange(rows * columns, dtype="int32")
        row, column = index // columns, index % columns
        row_offset = row[:, None] - row[None, :] + (rows - 1)
        column_offset = column[:, None] - column[None, :] + (columns - 1)
        bias = keras.ops.take(
            keras.ops.reshape(table, (-1, self.num_heads)),
            row_offset * (2 * columns - 1) + column_offset,
            axis=0,
        )  # (N, N, H)
        bias = keras.ops.transpose(bias, (2, 0, 1))[None]
        if self.num_leading_tokens:
            bias = self._with_class_tokens(bias, rows * columns)
        return keras.ops.cast(bias, self.compute_dtype)

    def compute_output_shape(self, feature_map_shape):
        length = None
        if None not in feature_map_shape[1:3]:
            length = feature_map_shape[1] * feature_map_shape[2]
            length += self.num_leading_tokens
        return (1, self.num_heads, length, length)

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "grid_shape": self.grid_shape,
            "num_leading_tokens": self.num_leading_tokens,
        }

    def _with_class_tokens(self, bias, length):
        """(1, H, N, N) -> (1, H, T, T), the class tokens first."""
        num = self.num_leading_tokens
        to_patch, from_patch, among = (
            keras.ops.cast(self.class_bias, bias.dtype)[i][None, :, None, None]
            for i in range(3)
        )

        def block(value, height, width):
            shape = (1, self.num_heads, height, width)
            return keras.ops.broadcast_to(value, shape)

        upper = [block(among, num, num), block(to_patch, num, length)]
        lower = [block(from_patch, length, num), bias]
        return keras.ops.concatenate(
            [keras.ops.concatenate(row, axis=3) for row in (upper, lower)],
            axis=2,
        )
