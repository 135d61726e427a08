import keras

from keras_vtr.layers.arguments import check_choice
from keras_vtr.layers.arguments import check_count
from keras_vtr.layers.arguments import check_grid_shape
from keras_vtr.layers.arguments import check_rank
from keras_vtr.layers.arguments import check_static
from keras_vtr.layers.arguments import grid_for
from keras_vtr.layers.arguments import require_sides
from keras_vtr.layers.positions.interpolation import INTERPOLATIONS
from keras_vtr.layers.positions.interpolation import resize_grid

INITIAL_STD = 0.02  # of the tables, as in the authors' code


def grid_of(feature_map):
    """(rows, columns); numbers where they are known, else scalar tensors."""
    return tuple(keras.ops.shape(feature_map)[1:3])


def real_grid_of(padding_mask):
    """Rows and columns of each image that are real, (B,) each; None for all."""
    if padding_mask is None:
        return None, None
    return tuple(
        keras.ops.sum(
            keras.ops.cast(keras.ops.any(padding_mask, axis=axis), "int32"),
            axis=1,
        )
        for axis in (2, 1)
    )


@keras.saving.register_keras_serializable(package="keras_vtr")
class PositionEmbedding(keras.layers.Layer):
    """Adds to each token the learned vector of its position in the sequence.

    Attention alone can't tell one order of its tokens from another; the
    position must be in the token. Dosovitskiy et al. 2020 (ViT), section 3.1,
    equation 1: a table with one row a token, in raster order, is as good as
    two-dimensional ones (appendix D.4).

    With a `feature_map` other image sizes are possible: the rows of the table
    that belong to patches are resized to the map's grid, in the graph (section
    3.2, "2D interpolation of the pre-trained position embeddings"). With a
    `padding_mask` they are resized to the real part of each image, which then
    has the same positions however much padding follows.

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
        padding_mask: Optional (B, rows, columns) bool, True = real, which
            needs a `feature_map`.

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

    def build(
        self, tokens_shape, feature_map_shape=None, padding_mask_shape=None
    ):
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
            initializer=keras.initializers.RandomNormal(stddev=INITIAL_STD),
            name="position_embedding",
        )

    def call(self, tokens, feature_map=None, padding_mask=None):
        table = self.position_embedding
        # Static shapes alone: in a graph the others are tensors.
        is_resized = padding_mask is not None or (
            feature_map is not None
            and self.grid != tuple(feature_map.shape[1:3])
        )
        if is_resized:
            table = self._resized(feature_map, padding_mask)
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

    def compute_output_shape(self, tokens_shape, *other_shapes):
        return tokens_shape

    def get_config(self):
        return {
            **super().get_config(),
            "grid_shape": self.grid_shape,
            "num_leading_tokens": self.num_leading_tokens,
            "interpolation": self.interpolation,
        }

    def _resized(self, feature_map, padding_mask):
        """(B or 1, T, D): the leading tokens' rows as they are."""
        grid = grid_of(feature_map)
        table = keras.ops.convert_to_tensor(self.position_embedding)
        first = table[:, : self.num_leading_tokens]
        rest = keras.ops.reshape(
            table[0, self.num_leading_tokens :], (*self.grid, table.shape[-1])
        )
        rest = resize_grid(
            rest, grid, self.interpolation, real_grid_of(padding_mask)
        )
        rest = keras.ops.reshape(rest, (-1, grid[0] * grid[1], table.shape[-1]))
        if padding_mask is not None:
            first = keras.ops.repeat(first, keras.ops.shape(rest)[0], axis=0)
        return keras.ops.concatenate(
            [keras.ops.cast(first, rest.dtype), rest], axis=1
        )
