import math

import keras
import numpy as np
from keras import ops
from keras.layers import Dense

from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.arguments import check_rank
from keras_vtr.layers.arguments import check_static
from keras_vtr.layers.parts import build_sublayer


@keras.saving.register_keras_serializable(package="keras_vtr")
class DeformableAttention(keras.layers.Layer):
    """Replaces each query by a weighted mean of a few points around its box.

    Zhu et al. 2020 (Deformable DETR), section 4.1, equation 2, on one feature
    map, around boxes as in appendix A.4, "iterative bounding box refinement":
    each head predicts from the query where to look, in units of the box's
    sides, and the weight of each point. Between pixels, values are
    interpolated (bilinear); outside of the map they are 0. To a reader who
    knows convolutions: a kernel whose places depend on the content (Dai et al.
    2017, "Deformable Convolutional Networks"). It costs P points a query
    instead of all N pixels. As `cross_attention` of a
    `TransformerDecoderBlock` it gets the boxes from `AnchorDecoder`.

    Args:
        num_heads: H. Must divide the width D of the queries.
        num_points: P, the number of points of each head.

    Call arguments:
        query: (B, Q, D).
        key: (B, height * width, ...), a feature map's pixels in raster order.
        boxes: (B, Q, 4), `rel_center_xywh`.
        centers: Of the map's columns (B, width) and rows (B, height), from
            `AxisCenters`.
        query_positions: Optional (B, Q, D), added to `query`.
        key_positions: Unused; for the call of `MultiHeadAttention`.
        padding_mask: Optional (B, height * width) bool, True = real. The value
            of padding is 0.
        return_attention_scores: If True, also return the weight of each pixel.

    Returns:
        (B, Q, D), and with `return_attention_scores` (B, H, Q, height * width).

    Raises:
        ValueError: If a number is out of its range, or a shape doesn't fit.

    Example:

    >>> layer = keras_vtr.layers.DeformableAttention(num_heads=2, num_points=3)
    >>> queries, memory = keras.ops.ones((2, 5, 8)), keras.ops.ones((2, 6, 8))
    >>> boxes = keras.ops.full((2, 5, 4), 0.5)
    >>> centers = keras.ops.ones((2, 3)), keras.ops.ones((2, 2))
    >>> print(tuple(layer(queries, memory, boxes, centers).shape))
    (2, 5, 8)
    """

    takes_boxes = True  # asked by `AnchorDecoder`

    def __init__(self, num_heads, num_points=4, **kwargs):
        # Boxes and centers stay float32: half precision is too coarse for them.
        super().__init__(autocast=False, **kwargs)
        check_positive_int("num_heads", num_heads)
        check_positive_int("num_points", num_points)
        self.num_heads = num_heads
        self.num_points = num_points

    def build(self, query_shape, key_shape, *shapes):
        check_rank("query", query_shape, ("B", "Q", "D"))
        check_static("query", query_shape, -1, "width D")
        hidden_dim = query_shape[-1]
        if hidden_dim % self.num_heads:
            raise ValueError(
                "`num_heads` must divide the width of `query`. Received: "
                f"num_heads={self.num_heads}, query.shape={tuple(query_shape)}"
            )
        num_points = self.num_heads * self.num_points

        def dense(name, units, shape=query_shape, **options):
            return build_sublayer(
                self, name, Dense, shape, units=units, **options
            )

        self.offset_projection = dense(
            "offset_projection",
            2 * num_points,
            kernel_initializer="zeros",
            bias_initializer=self._rings,
        )
        self.weight_projection = dense(
            "weight_projection", num_points, kernel_initializer="zeros"
        )
        self.value_projection = dense("value_projection", hidden_dim, key_shape)
        self.output_projection = dense("output_projection", hidden_dim)

    def call(
        self,
        query,
        key,
        boxes,
        centers,
        query_positions=None,
        key_positions=None,
        padding_mask=None,
        return_attention_scores=False,
    ):
        query = ops.cast(query, self.compute_dtype)
        if query_positions is not None:
            query = query + ops.cast(query_positions, self.compute_dtype)
        values = self.value_projection(key)  # (B, N, D)
        if padding_mask is not None:
            values = ops.where(padding_mask[..., None], values, 0.0)
        pixels, weights = self._corners(query, boxes, centers)
        attended = self._weighted_sum(values, pixels, weights)
        attended = self.output_projection(attended)
        if not return_attention_scores:
            return attended
        scores = ops.one_hot(pixels, ops.shape(values)[1], dtype="float32")
        scores = ops.sum(weights[..., None] * scores, axis=3)  # (B, Q, H, N)
        scores = ops.transpose(scores, (0, 2, 1, 3))
        return attended, ops.cast(scores, self.compute_dtype)

    def _corners(self, query, boxes, centers):
        """The four pixels around each point, as numbers, and their weights.

        Returns:
            Two of (B, Q, H, 4 P), int32 and float32.
        """
        shape = (*ops.shape(query)[:2], self.num_heads, self.num_points)
        offsets = ops.cast(self.offset_projection(query), "float32")
        offsets = ops.reshape(offsets, (*shape, 2))
        weights = ops.cast(self.weight_projection(query), "float32")
        weights = ops.softmax(ops.reshape(weights, shape), axis=-1)
        boxes = ops.cast(boxes, "float32")[:, :, None, None]  # (B, Q, 1, 1, 4)
        reach = 0.5 * boxes[..., 2:] / self.num_points
        points = boxes[..., :2] + offsets * reach  # (B, Q, H, P, 2)
        x, x_weights = _neighbors(points[..., 0], centers[0])
        y, y_weights = _neighbors(points[..., 1], centers[1])
        pixels = y[..., :, None] * ops.shape(centers[0])[1] + x[..., None, :]
        shares = y_weights[..., :, None] * x_weights[..., None, :]
        weights = weights[..., None, None] * shares  # (B, Q, H, P, 2, 2)
        shape = (*shape[:3], 4 * self.num_points)
        return ops.reshape(pixels, shape), ops.reshape(weights, shape)

    def _weighted_sum(self, values, pixels, weights):
        """(B, N, D), and pixels and weights (B, Q, H, 4 P) -> (B, Q, D)."""
        batch_size, length, hidden_dim = ops.shape(values)
        num_heads = self.num_heads
        width = hidden_dim // num_heads
        # One gather of rows, of which each pixel has one for each head.
        rows = ops.reshape(values, (batch_size * length * num_heads, width))
        first = ops.arange(batch_size, dtype="int32")[:, None, None, None]
        head = ops.arange(num_heads, dtype="int32")[:, None]
        pixels = (first * length + pixels) * num_heads + head
        found = ops.take(rows, pixels, axis=0)  # (B, Q, H, 4 P, D / H)
        weights = ops.cast(weights, values.dtype)
        attended = ops.sum(weights[..., None] * found, axis=3)
        shape = (*ops.shape(pixels)[:2], hidden_dim)
        return ops.reshape(attended, shape)

    def compute_output_spec(self, query, key, boxes, centers, **kwargs):
        output = keras.KerasTensor(query.shape, self.compute_dtype)
        if not kwargs.get("return_attention_scores"):
            return output
        shape = (query.shape[0], self.num_heads, query.shape[1], key.shape[1])
        return output, keras.KerasTensor(shape, self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "num_points": self.num_points,
        }

    def _rings(self, shape, dtype=None):
        """The authors' start: each head in a direction, points in a row."""
        angles = np.arange(self.num_heads) * (2 * math.pi / self.num_heads)
        rings = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        rings /= abs(rings).max(axis=-1, keepdims=True)  # on a square
        steps = np.arange(1, self.num_points + 1)
        points = rings[:, None] * steps[:, None]  # (H, P, 2)
        return ops.convert_to_tensor(points.reshape(-1), dtype=dtype)


def _neighbors(places, centers):
    """The two pixels around each place along an axis, and their weights.

    Args:
        places: (B, Q, H, P), relative to the real image.
        centers: (B, n), the first one half a pixel from the edge.

    Returns:
        Two of (B, Q, H, P, 2): numbers in 0..n-1, int32; and weights, 0 where
        the pixel is outside of the map.
    """
    count = ops.shape(centers)[1]
    size = 0.5 / ops.cast(centers[:, :1, None, None], "float32")
    last = ops.cast(count, "float32")
    places = ops.clip(places * size - 0.5, -1.0, last)
    before = ops.floor(places)
    share = places - before
    before = ops.cast(before, "int32")
    pixels = ops.stack([before, before + 1], axis=-1)
    is_inside = ops.logical_and(pixels >= 0, pixels < count)
    weights = ops.stack([1 - share, share], axis=-1)
    return (
        ops.clip(pixels, 0, count - 1),
        ops.where(is_inside, weights, 0.0),
    )
