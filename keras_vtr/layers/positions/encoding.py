import math

import keras

from keras_vtr.layers.arguments import check_feature_map
from keras_vtr.layers.arguments import check_positive
from keras_vtr.layers.arguments import check_rank
from keras_vtr.layers.arguments import check_static
from keras_vtr.layers.positions.centers import count_real
from keras_vtr.layers.positions.centers import flat_shape
from keras_vtr.layers.positions.centers import flatten_map


@keras.saving.register_keras_serializable(package="keras_vtr")
class SinePositionEncoding1D(keras.layers.Layer):
    """Computes a fixed position encoding for each token of a sequence.

    Vaswani et al. 2017, section 3.5: channel 2i is `sin(position /
    temperature^(2i / D))`, channel 2i + 1 the cosine; positions count from 0.
    From one position to the next, each pair of channels is rotated by the same
    angle. The layer doesn't add the encoding; the original Transformer adds it
    once, to its embeddings.

    Args:
        temperature: Ratio of the longest wavelength to the shortest one.

    Call arguments:
        tokens: (B, N, D), D even. Only its shape is read.

    Returns:
        (B, N, D) positions.

    Raises:
        ValueError: If D is odd or the shape doesn't fit.

    Example:

    >>> tokens = keras.ops.ones((1, 2, 4))
    >>> layer = keras_vtr.layers.SinePositionEncoding1D()
    >>> print(np.array(layer(tokens)).round(2)[0, 0])
    [0. 1. 0. 1.]
    """

    def __init__(self, temperature=10000, **kwargs):
        super().__init__(**kwargs)
        check_positive("temperature", temperature)
        self.temperature = temperature

    def build(self, tokens_shape):
        check_rank("tokens", tokens_shape, ("B", "N", "D"))
        check_static("tokens", tokens_shape, -1, "width D")
        if tokens_shape[-1] % 2:
            raise ValueError(
                "The width D of `tokens` must be even: a sine and a cosine of "
                f"each wavelength. Received: tokens.shape={tuple(tokens_shape)}"
            )

    def call(self, tokens):
        shape = keras.ops.shape(tokens)
        positions = keras.ops.arange(shape[1], dtype="float32")
        waves = sine_waves(positions, shape[2], self.temperature)  # (N, D)
        waves = keras.ops.cast(waves, self.compute_dtype)
        return keras.ops.broadcast_to(waves[None], shape)

    def compute_output_shape(self, tokens_shape):
        return tokens_shape

    def get_config(self):
        return {**super().get_config(), "temperature": self.temperature}


@keras.saving.register_keras_serializable(package="keras_vtr")
class SinePositionEncoding2D(keras.layers.Layer):
    """Computes a fixed position encoding for each pixel of a feature map.

    Vaswani et al. 2017, section 3.5, extended to two dimensions by Parmar et
    al. 2018 and Carion et al. 2020 (DETR), appendix A.4: the first half of the
    channels encodes y, the second half x; neighboring channels are a sine and
    a cosine of the same wavelength. As in DETR's code, y and x are counted
    from 1 over the *real* pixels and divided by the number of real pixels, so
    that the lower right real pixel is at (2 pi, 2 pi) with any padding.

    The layer doesn't add the encoding: DETR adds it to queries and keys, never
    to values, in every attention (`query_positions`, `key_positions`).

    Args:
        temperature: Ratio of the longest wavelength to the shortest one.

    Call arguments:
        feature_map: (B, height, width, D), D a multiple of 4. Only its shape
            is read.
        padding_mask: Optional (B, height, width) bool, True = real.

    Returns:
        (B, height * width, D) positions in raster order.

    Raises:
        ValueError: If D is not a multiple of 4 or a shape doesn't fit.

    Example:

    >>> feature_map = keras.ops.ones((2, 3, 5, 8))
    >>> layer = keras_vtr.layers.SinePositionEncoding2D()
    >>> print(tuple(layer(feature_map).shape))
    (2, 15, 8)
    """

    def __init__(self, temperature=10000, **kwargs):
        super().__init__(**kwargs)
        check_positive("temperature", temperature)
        self.temperature = temperature

    def build(self, feature_map_shape, padding_mask_shape=None):
        check_feature_map(feature_map_shape, padding_mask_shape)
        check_static("feature_map", feature_map_shape, -1, "width D")
        if feature_map_shape[-1] % 4:
            raise ValueError(
                "The width D of `feature_map` must be a multiple of 4: a sine "
                "and a cosine for each of y and x. Received: "
                f"feature_map.shape={tuple(feature_map_shape)}"
            )

    def call(self, feature_map, padding_mask=None):
        num_channels = feature_map.shape[-1] // 2
        encodings = []
        for count, total in count_real(feature_map, padding_mask, (1, 2)):
            angles = count / (total + 1e-6) * (2 * math.pi)
            waves = sine_waves(angles, num_channels, self.temperature)
            encodings.append(waves)
        encodings = keras.ops.concatenate(encodings, axis=-1)
        encodings = keras.ops.cast(encodings, self.compute_dtype)
        return flatten_map(encodings, feature_map)

    def compute_output_shape(self, feature_map_shape, padding_mask_shape=None):
        return flat_shape(feature_map_shape, feature_map_shape[-1])

    def get_config(self):
        return {**super().get_config(), "temperature": self.temperature}


def sine_waves(positions, num_channels, temperature):
    """(...) -> (..., channels): sine and cosine of each wavelength."""
    pair = keras.ops.arange(num_channels // 2, dtype="float32")
    wavelength = temperature ** (pair * (2 / num_channels))
    angle = positions[..., None] / wavelength
    waves = keras.ops.stack(
        [keras.ops.sin(angle), keras.ops.cos(angle)], axis=-1
    )  # (..., channels / 2, 2)
    return keras.ops.reshape(waves, (*keras.ops.shape(positions), num_channels))
