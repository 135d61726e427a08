import math

import keras

from keras_vtr.layers.arguments import check_positive
from keras_vtr.layers.arguments import check_rank
from keras_vtr.layers.arguments import check_static


@keras.saving.register_keras_serializable(package="keras_vtr")
class SinePositionEncoding1D(keras.layers.Layer):
    """Gives each token of a sequence a fixed vector that tells its place.

    Vaswani et al. 2017, section 3.5: channel 2i is `sin(place /
    temperature^(2i / D))`, channel 2i + 1 the cosine; places count from 0. A
    step to the right turns each pair of channels by an angle of its own,
    whatever the place. The encoding isn't added here, as in
    `SinePositionEncoding2D`; the original Transformer adds it once, to its
    embeddings.

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
        place = keras.ops.arange(shape[1], dtype="float32")
        waves = sine_waves(place, shape[2], self.temperature)  # (N, D)
        waves = keras.ops.cast(waves, self.compute_dtype)
        return keras.ops.broadcast_to(waves[None], shape)

    def compute_output_shape(self, tokens_shape):
        return tokens_shape

    def get_config(self):
        return {**super().get_config(), "temperature": self.temperature}


@keras.saving.register_keras_serializable(package="keras_vtr")
class SinePositionEncoding2D(keras.layers.Layer):
    """Gives each pixel of a feature map a fixed vector that tells its place.

    Vaswani et al. 2017, section 3.5, carried to two dimensions by Parmar et
    al. 2018 and Carion et al. 2020 (DETR), appendix A.4: the first half of the
    channels encodes y, the second half x; neighbouring channels are a sine and
    a cosine of the same wavelength. As in DETR's code, y and x are counted
    from 1 over the *real* pixels and divided by the real extent, so the lower
    right real pixel is at (2 pi, 2 pi) however much padding follows it.

    The encoding isn't added here: DETR adds it to queries and keys, never to
    values, in every attention (`query_positions`, `key_positions`).

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
        letters = ("B", "height", "width", "D")
        check_rank("feature_map", feature_map_shape, letters)
        check_static("feature_map", feature_map_shape, -1, "width D")
        if padding_mask_shape is not None:
            check_rank("padding_mask", padding_mask_shape, letters[:3])
        if feature_map_shape[-1] % 4:
            raise ValueError(
                "The width D of `feature_map` must be a multiple of 4: a sine "
                "and a cosine for each of y and x. Received: "
                f"feature_map.shape={tuple(feature_map_shape)}"
            )

    def call(self, feature_map, padding_mask=None):
        batch_size, height, width, hidden_dim = keras.ops.shape(feature_map)
        if padding_mask is None:  # one image's worth serves the whole batch
            padding_mask = keras.ops.ones((1, height, width))
        real = keras.ops.cast(padding_mask, "float32")
        encodings = [
            self._encode(real, axis, hidden_dim // 2) for axis in (1, 2)
        ]
        positions = keras.ops.concatenate(encodings, axis=-1)
        positions = keras.ops.broadcast_to(
            keras.ops.cast(positions, self.compute_dtype),
            (batch_size, height, width, hidden_dim),
        )
        length = -1 if None in feature_map.shape[1:3] else height * width
        return keras.ops.reshape(positions, (batch_size, length, hidden_dim))

    def compute_output_shape(self, feature_map_shape, padding_mask_shape=None):
        batch_size, height, width, hidden_dim = feature_map_shape
        length = None if None in (height, width) else height * width
        return (batch_size, length, hidden_dim)

    def get_config(self):
        return {**super().get_config(), "temperature": self.temperature}

    def _encode(self, real, axis, num_channels):
        """(B, height, width) of 1 = real -> (B, height, width, channels)."""
        place = keras.ops.cumsum(real, axis=axis)
        extent = keras.ops.max(place, axis=axis, keepdims=True)
        place = place / (extent + 1e-6) * (2 * math.pi)
        return sine_waves(place, num_channels, self.temperature)


@keras.saving.register_keras_serializable(package="keras_vtr")
class PixelCenters(keras.layers.Layer):
    """Tells where the center of each pixel of a feature map is.

    In the unit of boxes, so that both can be compared, as Gao et al. 2021
    (SMCA), section 3.2, do: 0 is the upper left corner of the real image and 1
    the lower right one, however much padding follows.

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
        letters = ("B", "height", "width", "D")
        check_rank("feature_map", feature_map_shape, letters)
        if padding_mask_shape is not None:
            check_rank("padding_mask", padding_mask_shape, letters[:3])

    def call(self, feature_map, padding_mask=None):
        batch_size, height, width, _ = keras.ops.shape(feature_map)
        if padding_mask is None:  # one image's worth serves the whole batch
            padding_mask = keras.ops.ones((1, height, width))
        real = keras.ops.cast(padding_mask, "float32")
        centers = []
        for axis in (2, 1):
            place = keras.ops.cumsum(real, axis=axis)
            extent = keras.ops.max(place, axis=axis, keepdims=True)
            centers.append((place - 0.5) / keras.ops.maximum(extent, 1.0))
        centers = keras.ops.broadcast_to(
            keras.ops.cast(keras.ops.stack(centers, -1), self.compute_dtype),
            (batch_size, height, width, 2),
        )
        length = -1 if None in feature_map.shape[1:3] else height * width
        return keras.ops.reshape(centers, (batch_size, length, 2))

    def compute_output_shape(self, feature_map_shape, padding_mask_shape=None):
        batch_size, height, width, _ = feature_map_shape
        length = None if None in (height, width) else height * width
        return (batch_size, length, 2)


def sine_waves(place, num_channels, temperature):
    """(...) angles -> (..., channels): sine and cosine of each wavelength."""
    pair = keras.ops.arange(num_channels // 2, dtype="float32")
    wavelength = temperature ** (pair * (2 / num_channels))
    angle = place[..., None] / wavelength
    waves = keras.ops.stack(
        [keras.ops.sin(angle), keras.ops.cos(angle)], axis=-1
    )  # (..., channels / 2, 2)
    return keras.ops.reshape(waves, (*keras.ops.shape(place), num_channels))
