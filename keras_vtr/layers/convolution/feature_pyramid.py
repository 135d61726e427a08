import keras
from keras.layers import Conv2D
from keras.layers import Conv2DTranspose

from keras_vtr.layers.activations import exact_gelu
from keras_vtr.layers.arguments import check_feature_map
from keras_vtr.layers.arguments import check_static
from keras_vtr.layers.parts import build_sublayer
from keras_vtr.layers.parts import default_norm

SCALES = (4, 2, 1, 0.5)
CONVOLUTION = {
    "kernel_size": 2,
    "strides": 2,
    "padding": "same",
    "data_format": "channels_last",
}


@keras.saving.register_keras_serializable(package="keras_vtr")
class FeaturePyramid(keras.layers.Layer):
    """Makes feature maps of several sizes from a single one.

    Li et al. 2022 (ViTDet), section 3, "Simple feature pyramid": a plain ViT
    has one map, and transposed convolutions of its last features are as good
    as a pyramid of the features of several stages. Each of them doubles height
    and width and halves the channels; the first of two is followed by a norm
    and GELU. Half the size is a convolution with stride 2 instead of the
    paper's maximum, so that padding can count as zeros.

    Args:
        scales: Sizes of the maps in sizes of the input, of 4, 2, 1 and 0.5,
            in descending order: the finest first, as detectors take them.

    Call arguments:
        feature_map: (B, height, width, C), C a multiple of 2 for a scale of 2,
            of 4 for one of 4.
        padding_mask: Optional (B, height, width) bool, True = real.

    Returns:
        A list of (B, height * scale, width * scale, C / scale), one for each
        scale; sides of half the size are rounded up, and their channels are C.

    Raises:
        ValueError: If a scale is none of these, or a shape doesn't fit.

    Example:

    >>> layer = keras_vtr.layers.FeaturePyramid(scales=(2, 1))
    >>> maps = layer(keras.ops.ones((2, 3, 5, 8)))
    >>> print([tuple(x.shape) for x in maps])
    [(2, 6, 10, 4), (2, 3, 5, 8)]
    """

    def __init__(self, scales=(2, 1), **kwargs):
        super().__init__(**kwargs)
        check_scales(scales)
        self.scales = scales

    def build(self, feature_map_shape, padding_mask_shape=None):
        check_feature_map(feature_map_shape, padding_mask_shape, "C")
        check_static("feature_map", feature_map_shape, -1, "width C")
        channels = feature_map_shape[-1]
        if any(channels % max(scale, 1) for scale in self.scales):
            raise ValueError(
                "The channels of `feature_map` must be a multiple of each "
                f"scale. Received: feature_map.shape={feature_map_shape}, "
                f"scales={self.scales!r}"
            )
        if 4 in self.scales:
            finer = (*feature_map_shape[:-1], channels // 2)
            self.first = self._doubling("first_doubling", feature_map_shape)
            self.norm = build_sublayer(self, "norm", default_norm(), finer)
            self.second = self._doubling("second_doubling", finer)
        if 2 in self.scales:
            self.doubling = self._doubling("doubling", feature_map_shape)
        if 0.5 in self.scales:
            self.halving = build_sublayer(
                self,
                "halving",
                Conv2D,
                feature_map_shape,
                filters=channels,
                **CONVOLUTION,
            )

    def call(self, feature_map, padding_mask=None):
        return [self._resize(feature_map, padding_mask, x) for x in self.scales]

    def compute_output_shape(self, feature_map_shape, padding_mask_shape=None):
        batch_size, *sides, channels = feature_map_shape
        return [
            (
                batch_size,
                *(side and -int(-side * scale // 1) for side in sides),
                channels // max(scale, 1),
            )
            for scale in self.scales
        ]

    def get_config(self):
        return {**super().get_config(), "scales": self.scales}

    def _doubling(self, name, shape):
        return build_sublayer(
            self,
            name,
            Conv2DTranspose,
            shape,
            filters=shape[-1] // 2,
            **CONVOLUTION,
        )

    def _resize(self, feature_map, padding_mask, scale):
        if scale == 4:
            x = exact_gelu(self.norm(self.first(feature_map)))
            return self.second(x)
        if scale == 2:
            return self.doubling(feature_map)
        if scale == 1:
            return feature_map
        if padding_mask is not None:
            real = keras.ops.cast(padding_mask, feature_map.dtype)
            feature_map = feature_map * real[..., None]
        return self.halving(feature_map)


def check_scales(scales):
    """Requires some of `SCALES`, the finest first."""
    fits = isinstance(scales, (tuple, list)) and scales
    if not fits or list(scales) != [x for x in SCALES if x in scales]:
        raise ValueError(
            f"`scales` must be some of {SCALES}, in this order, such as (2, 1)."
            f" Received: scales={scales!r}"
        )
