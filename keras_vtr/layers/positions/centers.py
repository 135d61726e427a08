"""Coordinates of the pixels of a feature map."""

import keras

from keras_vtr.layers.arguments import check_feature_map


@keras.saving.register_keras_serializable(package="keras_vtr")
class PixelCenters(keras.layers.Layer):
    """Computes the coordinates of the center of each pixel of a feature map.

    They have the unit of boxes, so that both can be compared (Gao et al. 2021
    (SMCA), section 3.2): 0 is the upper left corner of the real image and 1
    the lower right one, with any padding.

    Args:
        **kwargs: Those of `keras.layers.Layer`.

    Call arguments:
        feature_map: (B, height, width, D). Only its shape is read.
        padding_mask: Optional (B, height, width) bool, True = real.

    Returns:
        (B, height * width, 2), x and y in raster order.

    Raises:
        ValueError: If a shape doesn't fit.

    Example:

    >>> feature_map = keras.ops.ones((1, 1, 2, 8))
    >>> print(np.array(keras_vtr.layers.PixelCenters()(feature_map)))
    [[[0.25 0.5 ]
      [0.75 0.5 ]]]
    """

    def build(self, feature_map_shape, padding_mask_shape=None):
        check_feature_map(feature_map_shape, padding_mask_shape)

    def call(self, feature_map, padding_mask=None):
        centers = [
            (count - 0.5) / keras.ops.maximum(total, 1.0)
            for count, total in count_real(feature_map, padding_mask, (2, 1))
        ]
        centers = keras.ops.stack(centers, axis=-1)
        centers = keras.ops.cast(centers, self.compute_dtype)
        return flatten_map(centers, feature_map)

    def compute_output_shape(self, feature_map_shape, padding_mask_shape=None):
        return flat_shape(feature_map_shape, 2)


@keras.saving.register_keras_serializable(package="keras_vtr")
class AxisCenters(keras.layers.Layer):
    """Computes the centers of the columns and of the rows of a feature map.

    The coordinates of `PixelCenters`, once for each axis, for biases of
    attention that are sums over the axes (Lin et al. 2023, "DETR Does Not Need
    Multi-Scale or Locality Design", section 4.1).

    Args:
        **kwargs: Those of `keras.layers.Layer`.

    Call arguments:
        feature_map: (B, height, width, D). Only its shape is read.
        padding_mask: Optional (B, height, width) bool, True = real, with
            padding on the right and below.

    Returns:
        (B, width), x of the columns, and (B, height), y of the rows; float32.

    Raises:
        ValueError: If a shape doesn't fit.

    Example:

    >>> x, y = keras_vtr.layers.AxisCenters()(keras.ops.ones((1, 1, 2, 8)))
    >>> print(np.array(x), np.array(y))
    [[0.25 0.75]] [[0.5]]
    """

    def build(self, feature_map_shape, padding_mask_shape=None):
        check_feature_map(feature_map_shape, padding_mask_shape)

    def call(self, feature_map, padding_mask=None):
        centers = []
        for axis in (2, 1):
            shape = (keras.ops.shape(feature_map)[i] for i in (0, axis))
            real = keras.ops.ones(tuple(shape))
            if padding_mask is not None:
                real = keras.ops.any(padding_mask, axis=3 - axis)
                real = keras.ops.cast(real, "float32")
            count = keras.ops.cumsum(real, axis=1)
            total = keras.ops.max(count, axis=1, keepdims=True)
            centers.append((count - 0.5) / keras.ops.maximum(total, 1.0))
        return tuple(centers)

    def compute_output_spec(self, feature_map, padding_mask=None):
        batch_size, height, width, _ = feature_map.shape
        return tuple(
            keras.KerasTensor((batch_size, side), "float32")
            for side in (width, height)
        )


def count_real(feature_map, padding_mask, axes):
    """For each axis: the number of real pixels up to each pixel, and in all."""
    if padding_mask is None:  # one image is enough for all of the batch
        padding_mask = keras.ops.ones((1, *keras.ops.shape(feature_map)[1:3]))
    real = keras.ops.cast(padding_mask, "float32")
    for axis in axes:
        count = keras.ops.cumsum(real, axis=axis)
        yield count, keras.ops.max(count, axis=axis, keepdims=True)


def flatten_map(x, feature_map):
    """(B or 1, height, width, X) -> (B, height * width, X)."""
    batch_size, height, width, _ = keras.ops.shape(feature_map)
    x = keras.ops.broadcast_to(x, (batch_size, height, width, x.shape[-1]))
    length = -1 if None in feature_map.shape[1:3] else height * width
    return keras.ops.reshape(x, (batch_size, length, x.shape[-1]))


def flat_shape(feature_map_shape, width):
    batch_size, rows, columns, _ = feature_map_shape
    length = None if None in (rows, columns) else rows * columns
    return (batch_size, length, width)
