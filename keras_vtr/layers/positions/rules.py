import keras
from keras import ops

from keras_vtr.layers.arguments import check_count
from keras_vtr.layers.arguments import check_positive


class PositionRule(keras.layers.Layer):
    """Combines positions with the queries and keys of an attention.

    Your own rule is a registered subclass with one of the two methods, an
    argument of `MultiHeadAttention`. The rule never sees values, and isn't
    called where an attention gets no positions.
    """

    def build(self, query_shape):
        """Makes the weights of a rule; by default there are none."""

    def on_tokens(self, tokens, positions):
        """Before the projection: (B, N, D) to (B, N, D)."""
        return tokens

    def on_heads(self, heads, positions):
        """After it: (B, H, N, key_dim) to (B, H, N, key_dim)."""
        return heads


@keras.saving.register_keras_serializable(package="keras_vtr")
class AddedPositions(PositionRule):
    """Adds positions to the tokens that become queries and keys.

    Carion et al. 2020 (DETR), appendix A.3 and figure 10.

    Call arguments:
        tokens: (B, N, D).
        positions: (B, N, D).

    Returns:
        (B, N, D).

    Raises:
        ValueError: If the shapes don't fit.

    Example:

    >>> attention = keras_vtr.layers.MultiHeadAttention(
    ...     2, position_rule=keras_vtr.layers.AddedPositions()
    ... )
    >>> tokens, positions = keras.ops.ones((2, 5, 8)), keras.ops.ones((1, 5, 8))
    >>> print(tuple(attention(tokens, query_positions=positions).shape))
    (2, 5, 8)
    """

    def call(self, tokens, positions):
        return self.on_tokens(tokens, positions)

    def on_tokens(self, tokens, positions):
        return tokens + positions


@keras.saving.register_keras_serializable(package="keras_vtr")
class RotaryPositions2D(PositionRule):
    """Rotates queries and keys by angles that are proportional to (x, y).

    Su et al. 2021 (RoFormer), section 3.2, equation 15, in the axial form of
    two dimensions of Heo et al. 2024 ("Rotary Position Embedding for Vision
    Transformer"), section 3.2, with the pairs of channels of Simeoni et al.
    2025 (DINOv3): channel i of a head is rotated with channel i + key_dim / 2,
    a quarter of the channels by y and the next quarter by x. A logit then
    depends only on the difference of two positions, on any grid.

    Args:
        base: Ratio of the largest angle to the smallest one, for the same
            distance.
        scale: Largest angle in radians for a distance of 1.
        origin: The coordinate, of both x and y, where the angle is 0.
        num_leading_tokens: Number of first tokens, class tokens and registers,
            that have no position and are not rotated.

    Call arguments:
        heads: (B, H, N, key_dim), key_dim a multiple of 4.
        positions: (B, N - num_leading_tokens, 2) or (1, ...), x and y, such as
            the output of `PixelCenters`. Where the tokens of several windows
            are merged, each window has its own leading tokens, and all of
            them come first.

    Returns:
        (B, H, N, key_dim).

    Raises:
        ValueError: If key_dim is not a multiple of 4, positions and tokens
            differ in number, or a number is out of its range.

    Example:

    >>> rule = keras_vtr.layers.RotaryPositions2D(scale=16.0)
    >>> attention = keras_vtr.layers.MultiHeadAttention(2, position_rule=rule)
    >>> feature_map = keras.ops.ones((2, 3, 5, 8))
    >>> centers = keras_vtr.layers.PixelCenters()(feature_map)  # (2, 15, 2)
    >>> tokens = keras.ops.reshape(feature_map, (2, 15, 8))
    >>> print(tuple(attention(tokens, query_positions=centers).shape))
    (2, 15, 8)
    """

    def __init__(
        self,
        *,
        base=100.0,
        scale=1.0,
        origin=0.0,
        num_leading_tokens=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_positive("base", base)
        check_positive("scale", scale)
        check_count("num_leading_tokens", num_leading_tokens)
        self.base = base
        self.scale = scale
        self.origin = origin
        self.num_leading_tokens = num_leading_tokens

    def call(self, heads, positions):
        return self.on_heads(heads, positions)

    def on_heads(self, heads, positions):
        key_dim = heads.shape[-1]
        if key_dim % 4:
            raise ValueError(
                "The width of a head must be a multiple of 4: two channels for "
                f"each angle, of two axes. Received: key_dim={key_dim}"
            )
        self._check_positions(positions.shape, heads.shape[2])
        # From the shapes, for merged windows; JAX (0.10) has the same symbol
        # for all lengths that are unknown when a model is built.
        num_leading = 0
        if self.num_leading_tokens:
            num_leading = ops.shape(heads)[2] - ops.shape(positions)[1]
        leading = heads[:, :, :num_leading]
        patches = ops.cast(heads[:, :, num_leading:], "float32")
        cosine, sine = self._angles(positions, key_dim // 4)
        rotated = patches * cosine + _rotate_by_90_degrees(patches) * sine
        rotated = ops.cast(rotated, heads.dtype)
        if not self.num_leading_tokens:
            return rotated
        return ops.concatenate([leading, rotated], axis=2)

    def _check_positions(self, shape, num_tokens):
        """Requires a position for each token; one would be broadcast to all."""
        fits = len(shape) == 3 and shape[2] == 2
        # An unknown length is None, or JAX's symbol.
        if fits and all(isinstance(x, int) for x in (num_tokens, shape[1])):
            num_leading = num_tokens - shape[1]
            window = self.num_leading_tokens
            fits = num_leading == window or (
                window and num_leading > 0 and num_leading % window == 0
            )
        if not fits:
            raise ValueError(
                "`positions` must be x and y of each token except the leading "
                "ones, (B, N - num_leading_tokens, 2). Received: "
                f"positions.shape={tuple(shape)}, N={num_tokens} tokens, "
                f"num_leading_tokens={self.num_leading_tokens}"
            )

    def _angles(self, positions, num_angles):
        """Cosine and sine of each channel's angle, (B, 1, N, key_dim)."""
        exponents = ops.arange(num_angles, dtype="float32") / num_angles
        scales = self.scale * ops.power(float(self.base), -exponents)
        positions = ops.cast(positions, "float32")[:, None]  # (B, 1, N, 2)
        positions = positions - self.origin
        x, y = positions[..., :1] * scales, positions[..., 1:] * scales
        angles = ops.concatenate([y, x, y, x], axis=-1)
        return ops.cos(angles), ops.sin(angles)

    def get_config(self):
        return {
            **super().get_config(),
            "base": self.base,
            "scale": self.scale,
            "origin": self.origin,
            "num_leading_tokens": self.num_leading_tokens,
        }


def _rotate_by_90_degrees(heads):
    """Each pair (a, b) of channels as (-b, a)."""
    first, second = ops.split(heads, 2, axis=-1)
    return ops.concatenate([-second, first], axis=-1)
