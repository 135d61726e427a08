import keras

from keras_vtr.layers.arguments import check_choice
from keras_vtr.layers.arguments import check_count
from keras_vtr.layers.arguments import check_grid_shape
from keras_vtr.layers.arguments import check_rank
from keras_vtr.layers.arguments import check_static
from keras_vtr.layers.arguments import grid_for
from keras_vtr.layers.arguments import require_sides
from keras_vtr.layers.positions.interpolation import INTERPOLATIONS
from keras_vtr.layers.positions.interpolation import interpolation_matrix
from keras_vtr.layers.positions.interpolation import resize_grid

DEVIATION = 0.02  # of the tables at the start, as the authors' code has it


def grid_of(feature_map):
    """(rows, columns); numbers where they are known, else scalar tensors."""
    return tuple(keras.ops.shape(feature_map)[1:3])


@keras.saving.register_keras_serializable(package="keras_vtr")
class PositionEmbedding(keras.layers.Layer):
    """Adds to each token the learned vector of its place in the sequence.

    Attention alone can't tell one order of its tokens from another; the
    position must be in the token. Dosovitskiy et al. 2020 (ViT), section 3.1,
    equation 1: a table with one row a token, in raster order, is as good as
    two-dimensional ones (appendix D.4).

    With a `feature_map` the layer knows the grid that the patches were cut
    from, and other image sizes become possible: the part of the table that
    belongs to patches is resized to the new grid, in the graph (section 3.2,
    "2D interpolation of the pre-trained position embeddings").

    Args:
        grid_shape: (rows, columns) that the table is made for. Default: those
            of the `feature_map` that the layer is built with.
        num_leading_tokens: How many tokens stand in front of the grid's.
        interpolation: How the table is resized: `"bilinear"` (corners on
            corners, as Google's code), `"bicubic"` (torch's), or
            `"bicubic_antialias"` (timm's).

    Call arguments:
        tokens: (B, N, D), class tokens included. Without a grid, N fixes the
            table's size.
        feature_map: Optional (B, rows, columns, ...). Only its shape is read.

    Returns:
        (B, N, D).

    Raises:
        ValueError: If a size that fixes the table is unknown when the layer is
            built, or N is not the one that it was built for and there is no
            `feature_map`.

    Example:

    >>> tokens = keras.ops.ones((2, 7, 8))
    >>> print(tuple(keras_vtr.layers.PositionEmbedding()(tokens).shape))
    (2, 7, 8)
    """

    def __init__(
        self,
        grid_shape=None,
        num_leading_tokens=0,
        interpolation="bilinear",
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_grid_shape(grid_shape)
        check_count("num_leading_tokens", num_leading_tokens)
        check_choice("interpolation", interpolation, INTERPOLATIONS)
        self.grid_shape = grid_shape
        self.num_leading_tokens = num_leading_tokens
        self.interpolation = interpolation

    def build(self, tokens_shape, feature_map_shape=None):
        check_rank("tokens", tokens_shape, ("B", "N", "D"))
        check_static("tokens", tokens_shape, -1, "width D")
        self.grid = None
        if self.grid_shape is None and feature_map_shape is None:
            check_static("tokens", tokens_shape, -2, "length N")
            length = tokens_shape[1]
        else:
            self.grid = grid_for(self.grid_shape, feature_map_shape)
            length = self.num_leading_tokens + self.grid[0] * self.grid[1]
        self.position_embedding = self.add_weight(
            shape=(1, length, tokens_shape[-1]),
            initializer=keras.initializers.RandomNormal(stddev=DEVIATION),
            name="position_embedding",
        )

    def call(self, tokens, feature_map=None):
        table = self.position_embedding
        # Static shapes alone: in a graph the others are tensors.
        if feature_map is not None and self.grid != tuple(
            feature_map.shape[1:3]
        ):
            table = self._resized(grid_of(feature_map))
        elif tokens.shape[1] not in (None, table.shape[1]):
            raise ValueError(
                f"The layer {self.name!r} was built for {table.shape[1]} "
                f"tokens. Received: tokens.shape={tuple(tokens.shape)}. "
                "Resize the images to the size that the model was built for, "
                "or call the layer with a `feature_map`."
            )
        # One token, or one row of the table, would fit any number of the other.
        tokens = require_sides(
            tokens,
            [keras.ops.shape(table)[1]],
            "tokens_must_be_as_many_as_positions",
        )
        return tokens + keras.ops.cast(table, tokens.dtype)

    def compute_output_shape(self, tokens_shape, feature_map_shape=None):
        return tokens_shape

    def get_config(self):
        return {
            **super().get_config(),
            "grid_shape": self.grid_shape,
            "num_leading_tokens": self.num_leading_tokens,
            "interpolation": self.interpolation,
        }

    def _resized(self, grid):
        table = keras.ops.convert_to_tensor(self.position_embedding)
        first = table[:, : self.num_leading_tokens]
        rest = keras.ops.reshape(
            table[0, self.num_leading_tokens :], (*self.grid, table.shape[-1])
        )
        rest = resize_grid(rest, grid, self.interpolation)
        rest = keras.ops.reshape(rest, (1, grid[0] * grid[1], table.shape[-1]))
        return keras.ops.concatenate(
            [keras.ops.cast(first, rest.dtype), rest], axis=1
        )


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

    def build(self, feature_map_shape):
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
                initializer=keras.initializers.RandomNormal(stddev=DEVIATION),
                name=name,
            )
            for name, length in zip(
                ("row_embedding", "column_embedding"), self.grid, strict=True
            )
        )

    def call(self, feature_map):
        rows, columns = grid_of(feature_map)
        by_row = self._resized(self.row_embedding, rows)
        by_column = self._resized(self.column_embedding, columns)
        shape = (rows, columns, by_row.shape[-1])
        table = keras.ops.concatenate(
            [
                keras.ops.broadcast_to(by_row[:, None], shape),
                keras.ops.broadcast_to(by_column[None, :], shape),
            ],
            axis=-1,
        )
        return feature_map + keras.ops.cast(table, feature_map.dtype)

    def compute_output_shape(self, feature_map_shape):
        return feature_map_shape

    def get_config(self):
        return {
            **super().get_config(),
            "grid_shape": self.grid_shape,
            "interpolation": self.interpolation,
        }

    def _resized(self, table, length):
        table = keras.ops.cast(table, "float32")
        if isinstance(length, int) and length == table.shape[0]:
            return table
        matrix = interpolation_matrix(
            table.shape[0], length, self.interpolation
        )
        return keras.ops.matmul(matrix, table)
