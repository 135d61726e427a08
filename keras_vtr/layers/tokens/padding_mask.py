import keras
from keras import ops

from keras_vtr.layers.arguments import check_feature_map
from keras_vtr.layers.positions.interpolation import resize_nearest


@keras.saving.register_keras_serializable(package="keras_vtr")
class MaskPadding(keras.layers.Layer):
    """Sets the padding of images or feature maps to zero.

    Carion et al. 2020 (DETR), section 4, "Technical details", and the authors'
    `NestedTensor`: images are padded with zeros, after the normalization of
    their pixels, to the largest sides of their batch.

    Args:
        **kwargs: Those of `keras.layers.Layer`.

    Call arguments:
        feature_map: (B, height, width, C).
        padding_mask: (B, height, width) bool, True = real.

    Returns:
        (B, height, width, C).

    Raises:
        ValueError: If the mask doesn't have the map's height and width.

    Example:

    >>> padding_mask = keras.ops.array([[[True, True, False]]])
    >>> feature_map = keras.ops.ones((1, 1, 3, 1))
    >>> layer = keras_vtr.layers.MaskPadding()
    >>> print(np.array(layer(feature_map, padding_mask)).ravel())
    [1. 1. 0.]
    """

    def build(self, feature_map_shape, padding_mask_shape):
        check_feature_map(feature_map_shape, padding_mask_shape, "C")

    def call(self, feature_map, padding_mask):
        for map_side, mask_side in zip(
            feature_map.shape[1:3], padding_mask.shape[1:3], strict=True
        ):
            # Unknown sides are None, or JAX's symbols.
            known = isinstance(map_side, int) and isinstance(mask_side, int)
            if known and map_side != mask_side:
                raise ValueError(
                    "`padding_mask` must have the height and width of the "
                    "images. Received: "
                    f"padding_mask.shape={tuple(padding_mask.shape)}, "
                    f"images of shape {tuple(feature_map.shape)}"
                )
        return (
            feature_map * ops.cast(padding_mask, feature_map.dtype)[..., None]
        )


@keras.saving.register_keras_serializable(package="keras_vtr")
class ResizePaddingMask(keras.layers.Layer):
    """Resizes the padding mask of images to the size of a feature map.

    Carion et al. 2020 (DETR), section 4, "Technical details": images are padded
    to the largest sides of their batch, and attention sees real pixels only.
    As in the authors' code, the mask is resized to the nearest neighbor: row i
    takes row `floor(i * height of images / height of map)`.

    Args:
        **kwargs: Those of `keras.layers.Layer`.

    Call arguments:
        padding_mask: (B, height, width) bool, True = real.
        feature_map: (B, height', width', C). Only its shape is read.

    Returns:
        (B, height', width') bool.

    Raises:
        ValueError: If a shape doesn't fit.

    Example:

    >>> padding_mask = keras.ops.array([[[True] * 40 + [False] * 24] * 32])
    >>> feature_map = keras.ops.ones((1, 1, 2, 8))
    >>> layer = keras_vtr.layers.ResizePaddingMask()
    >>> print(np.array(layer(padding_mask, feature_map)))
    [[[ True  True]]]
    """

    def build(self, padding_mask_shape, feature_map_shape):
        check_feature_map(feature_map_shape, padding_mask_shape, "C")

    def call(self, padding_mask, feature_map):
        padding_mask = ops.cast(padding_mask, "bool")
        return resize_nearest(padding_mask, *ops.shape(feature_map)[1:3])

    def compute_output_shape(self, padding_mask_shape, feature_map_shape):
        return tuple(feature_map_shape[:-1])

    def compute_output_spec(self, padding_mask, feature_map):
        shape = self.compute_output_shape(padding_mask.shape, feature_map.shape)
        return keras.KerasTensor(shape, "bool")
