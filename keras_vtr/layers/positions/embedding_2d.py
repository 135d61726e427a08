import keras

from keras_vtr.layers.arguments import check_choice
from keras_vtr.layers.arguments import check_grid_shape
from keras_vtr.layers.arguments import check_rank
from keras_vtr.layers.arguments import check_static
from keras_vtr.layers.arguments import grid_for
from keras_vtr.layers.positions.embedding import INITIAL_STD
from keras_vtr.layers.positions.embedding import grid_of
from keras_vtr.layers.positions.embedding import real_grid_of
from keras_vtr.layers.positions.interpolation import INTERPOLATIONS
from keras_vtr.layers.positions.interpolation import interpolation_matrix


@keras.saving.register_keras_serializable(package="keras_vtr")
class PositionEmbedding2D(keras.layers.Layer):
    """Adds to each pixel of a map a learned vector for its row and its column.

    Dosovitskiy et al. 2020 (ViT), appendix D.4, "2-dimensional positional
    embedding": half of the channels belong to the row, half to the column. As
    in `SinePositionEncoding2D`, the row's come first.

    Args:
        grid_shape: (rows, columns) that the tables are made for. Default:
            those of the `feature_map` that the layer is built with.
        interpolation: How the tables are resized for another grid, as in
            `PositionEmbedding`.

    Call arguments:
        feature_map: (B, rows, columns, D), D even.
        padding_mask: Optional (B, rows, columns) bool, True = real, as in
            `PositionEmbedding`.

    Returns:
        (B, rows, columns, D).

    Raises:
        ValueError: If D is odd, or a size that fixes a table is unknown when
            the layer is built.

    Example:

    >>> feature_map = keras.ops.ones((2, 3, 5, 8))
    >>> print(tuple(keras_vtr.layers.PositionEmbedding2D()(feature_map).shape))
    (2, 3, 5, 8)
    """

    def __init__(self, grid_shape=None, interpolation="bilinear", **kwargs):
        super().__init__(**kwargs)
        check_grid_shape(grid_shape)
        check_choice("interpolation", interpolation, INTERPOLATIONS)
        self.grid_shape = grid_shape
        self.interpolation = interpolation

    def build(self, feature_map_shape, padding_mask_shape=None):
        letters = ("B", "rows", "columns", "D")
        check_rank("feature_map", feature_map_shape, letters)
        check_static("feature_map", feature_map_shape, -1, "width D")
        hidden_dim = feature_map_shape[-1]
        if hidden_dim % 2:
            raise ValueError(
                "The width D of `feature_map` must be even: half of it is the "
                "row's, half the column's. Received: feature_map.shape="
                f"{tuple(feature_map_shape)}"
            )
        self.grid = grid_for(self.grid_shape, feature_map_shape)
        self.row_embedding, self.column_embedding = (
            self.add_weight(
                shape=(length, hidden_dim // 2),
                initializer=keras.initializers.RandomNormal(stddev=INITIAL_STD),
                name=name,
            )
            for name, length in zip(
                ("row_embedding", "column_embedding"), self.grid, strict=True
            )
        )

    def call(self, feature_map, padding_mask=None):
        rows, columns = grid_of(feature_map)
        real_rows, real_columns = real_grid_of(padding_mask)
        by_row = self._resized(self.row_embedding, rows, real_rows)
        by_column = self._resized(self.column_embedding, columns, real_columns)
        shape = (*keras.ops.shape(by_row)[:-2], rows, columns, by_row.shape[-1])
        table = keras.ops.concatenate(
            [
                keras.ops.broadcast_to(by_row[..., :, None, :], shape),
                keras.ops.broadcast_to(by_column[..., None, :, :], shape),
            ],
            axis=-1,
        )  # ([B,] rows, columns, D)
        return feature_map + keras.ops.cast(table, feature_map.dtype)

    def compute_output_shape(self, feature_map_shape, padding_mask_shape=None):
        return feature_map_shape

    def get_config(self):
        return {
            **super().get_config(),
            "grid_shape": self.grid_shape,
            "interpolation": self.interpolation,
        }

    def _resized(self, table, length, num_real):
        table = keras.ops.cast(table, "float32")
        is_same = isinstance(length, int) and length == table.shape[0]
        if is_same and num_real is None:
            return table
        matrix = interpolation_matrix(
            table.shape[0], length, self.interpolation, num_real
        )
        return keras.ops.matmul(matrix, table)
