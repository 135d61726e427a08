import keras
from keras import ops
from keras.layers import Dense

from keras_vtr.layers.arguments import check_choice
from keras_vtr.layers.arguments import check_feature_map
from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.arguments import check_static
from keras_vtr.layers.arguments import require_sides
from keras_vtr.layers.attention.masking import masked_softmax
from keras_vtr.layers.parts import build_sublayer

PADDINGS = ("same", "valid")


@keras.saving.register_keras_serializable(package="keras_vtr")
class LocalAttention2D(keras.layers.Layer):
    """Maps a feature map to another one by attention within local windows.

    Ramachandran et al. 2019, "Stand-Alone Self-Attention in Vision Models",
    section 3, equations 1 to 3: the query is the pixel in the middle of a
    window of k x k pixels, `softmax(q (key + position) / sqrt(key_dim)) value`.
    Half of a relative position's channels embed its row in the window, half
    its column. To a reader who knows convolutions: a kernel whose weights are
    computed for every pixel from the contents of its window. The layer takes
    the arguments of `keras.layers.Conv2D`, has its output shape, and can
    replace it.

    The attention weights need memory for height x width x k x k numbers,
    instead of (height x width)^2 as in full attention. Only the 2 k position
    embeddings grow with k, no other parameters.

    Differences from the paper: the logits are divided by `sqrt(key_dim)` as in
    Vaswani et al. 2017; pixels outside of the image are not attended to;
    strides skip queries, where the paper pools afterwards.

    Args:
        filters: Number of output channels, a multiple of `2 * num_heads`.
        kernel_size: Side k of the window, odd, 3 or more.
        num_heads: H.
        strides: Step from one query to the next.
        padding: "same", or "valid" for windows within the image only. The
            windows are those of `Conv2D`.

    Call arguments:
        feature_map: (B, height, width, C), of any size.
        padding_mask: Optional (B, height, width) bool, True = real. Padding
            is not attended to.
        return_attention_scores: If True, also return the attention weights.

    Returns:
        (B, height', width', filters), and with `return_attention_scores` the
        weights (B, height', width', H, k * k), each window in raster order.

    Raises:
        ValueError: If an argument is out of its range or a shape doesn't fit.

    Example:

    >>> feature_map = keras.ops.ones((2, 9, 7, 3))
    >>> layer = keras_vtr.layers.LocalAttention2D(
    ...     filters=8, kernel_size=3, num_heads=2, strides=2
    ... )
    >>> print(tuple(layer(feature_map).shape))
    (2, 5, 4, 8)
    """

    def __init__(
        self,
        filters,
        kernel_size,
        num_heads,
        strides=1,
        padding="same",
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_positive_int("filters", filters)
        check_positive_int("kernel_size", kernel_size)
        check_positive_int("num_heads", num_heads)
        check_positive_int("strides", strides)
        check_choice("padding", padding, PADDINGS)
        if kernel_size % 2 == 0 or kernel_size == 1:
            raise ValueError(
                "`kernel_size` must be odd and 3 or more: the query is the "
                f"middle of its window. Received: kernel_size={kernel_size}"
            )
        if filters % (2 * num_heads):
            raise ValueError(
                "`filters` must be a multiple of 2 * `num_heads`: half of a "
                "head's channels embed the row, half the column. Received: "
                f"filters={filters}, num_heads={num_heads}"
            )
        self.filters = filters
        self.kernel_size = kernel_size
        self.num_heads = num_heads
        self.strides = strides
        self.padding = padding

    def build(self, feature_map_shape, padding_mask_shape=None):
        check_feature_map(feature_map_shape, padding_mask_shape, "C")
        check_static("feature_map", feature_map_shape, -1, "number of channels")
        self._check_sides(feature_map_shape)
        self.key_dim = self.filters // self.num_heads

        config = {"units": self.filters, "use_bias": False}
        self.query_projection, self.key_projection, self.value_projection = (
            build_sublayer(self, name, Dense, feature_map_shape, **config)
            for name in [f"{x}_projection" for x in ("query", "key", "value")]
        )
        shape = (self.kernel_size, self.num_heads, self.key_dim // 2)
        self.row_embedding, self.column_embedding = (
            self.add_weight(name=name, shape=shape, initializer="random_normal")
            for name in ("row_embedding", "column_embedding")
        )

    def call(
        self, feature_map, padding_mask=None, return_attention_scores=False
    ):
        sides = ops.shape(feature_map)[1:3]
        self._check_sides(feature_map.shape)
        if self.padding == "valid":
            feature_map = require_sides(
                feature_map,
                [ops.maximum(side, self.kernel_size) for side in sides],
                "height_and_width_must_be_kernel_size_or_more",
            )
        real = ops.ones((1, *sides, 1), "bool")
        if padding_mask is not None:
            real = ops.cast(padding_mask, "bool")[..., None]
        keys = self._split_heads(self.key_projection(feature_map))
        values = self._split_heads(self.value_projection(feature_map))
        pixels = self._neighbors(feature_map, sides)[len(self._offsets) // 2]
        # Scaled before the product, which could overflow float16 otherwise.
        queries = self.query_projection(pixels) * self.key_dim**-0.5
        queries = self._split_heads(queries)  # (B, height', width', H, key_dim)

        # One neighbor at a time, so that no window is stored.
        logits = [
            ops.sum(queries * (key + self._position(*offset)), axis=-1)
            for offset, key in zip(
                self._offsets, self._neighbors(keys, sides), strict=True
            )
        ]  # k * k of (B, height', width', H)
        scores = masked_softmax(
            ops.stack(logits, axis=-1),
            ops.stack(self._neighbors(real, sides), axis=-1),
        )
        scores = ops.cast(scores, self.compute_dtype)
        attended = sum(
            scores[..., n, None] * value
            for n, value in enumerate(self._neighbors(values, sides))
        )
        attended = ops.reshape(
            attended, (*ops.shape(attended)[:3], self.filters)
        )
        return (attended, scores) if return_attention_scores else attended

    def compute_output_shape(self, feature_map_shape, padding_mask_shape=None):
        batch_size, *sides, _ = feature_map_shape
        sides = [
            None if side is None else self._windows(side)[1] for side in sides
        ]
        return (batch_size, *sides, self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "num_heads": self.num_heads,
            "strides": self.strides,
            "padding": self.padding,
        }

    @property
    def _offsets(self):
        """Row and column of each pixel of a window, in raster order."""
        side = range(self.kernel_size)
        return [(row, column) for row in side for column in side]

    def _check_sides(self, feature_map_shape):
        if self.padding == "valid" and any(
            side is not None and side < self.kernel_size
            for side in feature_map_shape[1:3]
        ):
            raise ValueError(
                'With padding="valid" the sides of `feature_map` must be '
                "`kernel_size` or more. Received: kernel_size="
                f"{self.kernel_size}, feature_map.shape="
                f"{tuple(feature_map_shape)}"
            )

    def _windows(self, side):
        """The middle of the first window along a side, and the number of
        windows, as in `Conv2D`.
        """
        kernel, strides = self.kernel_size, self.strides
        if self.padding == "valid":
            return kernel // 2, (side - kernel) // strides + 1
        count = (side + strides - 1) // strides
        missing = (count - 1) * strides + kernel - side
        missing = (missing + abs(missing)) // 2  # at least 0, tensors too
        return kernel // 2 - missing // 2, count

    def _neighbors(self, x, sides):
        """For each offset in the window, that neighbor of each query."""
        margin = self.kernel_size // 2
        padding = [(0, 0), (margin, margin), (margin, margin)]
        x = ops.pad(x, padding + [(0, 0)] * (len(x.shape) - 3))
        (top, height), (left, width) = map(self._windows, sides)
        rows, columns = (
            (count - 1) * self.strides + 1 for count in (height, width)
        )
        return [
            x[
                :,
                top + row : top + row + rows : self.strides,
                left + column : left + column + columns : self.strides,
            ]
            for row, column in self._offsets
        ]

    def _position(self, row, column):
        """The embedding of a relative position, (H, key_dim)."""
        parts = (self.row_embedding[row], self.column_embedding[column])
        return ops.concatenate(parts, axis=-1)

    def _split_heads(self, pixels):
        """(B, height, width, filters) -> (B, height, width, H, key_dim)."""
        shape = (*ops.shape(pixels)[:3], self.num_heads, self.key_dim)
        return ops.reshape(pixels, shape)
