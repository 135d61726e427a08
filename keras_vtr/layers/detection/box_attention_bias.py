"""Biases of cross attention that tell a query where its box is."""

import math

import keras
import numpy as np
from keras import ops
from keras.layers import Dense

from keras_vtr.layers.arguments import check_positive_int
from keras_vtr.layers.parts import LayerWithParts
from keras_vtr.layers.parts import build_sublayer
from keras_vtr.layers.parts import set_part

LEAST = -3e4  # float16 ends at -65,504
SMALLEST = 0.05  # added to the sides of boxes and to the width of the Gaussian


class BoxBias(LayerWithParts):
    """A bias that is a sum over the two axes: of x, and of y.

    So nothing is computed for a pixel, only for a column and for a row. Your
    own bias is a registered subclass with `along`.
    """

    def __init__(self, num_heads, **kwargs):
        # Boxes and centers stay float32: float16 is too coarse for them.
        super().__init__(autocast=False, **kwargs)
        check_positive_int("num_heads", num_heads)
        self.num_heads = num_heads

    def build(self, boxes_shape, centers_shape):
        """Makes the weights; by default there are none."""

    def call(self, boxes, centers):
        boxes = ops.cast(boxes, "float32")  # (B, Q, 4)
        biases = []
        for axis, center in enumerate(centers):
            middle, side = boxes[..., axis], boxes[..., 2 + axis]
            center = ops.cast(center, "float32")
            biases.append(self.along(axis, middle, side, center))
        x, y = biases  # (B, H, Q, width), (B, H, Q, height)
        bias = y[..., :, None] + x[..., None, :]
        bias = ops.maximum(bias, LEAST)
        return ops.reshape(
            ops.cast(bias, self.compute_dtype), (*ops.shape(bias)[:3], -1)
        )

    def along(self, axis, middle, side, centers):
        """The bias of one axis.

        Args:
            axis: 0 for x, 1 for y.
            middle: (B, Q) float32, the boxes' centers.
            side: (B, Q), their widths or heights.
            centers: (B, n), of the columns or rows.

        Returns:
            (B, H, Q, n) float32.
        """
        raise NotImplementedError

    def compute_output_shape(self, boxes_shape, centers_shape):
        (_, width), (_, height) = centers_shape
        length = None if None in (width, height) else width * height
        return (boxes_shape[0], self.num_heads, boxes_shape[1], length)

    def get_config(self):
        return {**super().get_config(), "num_heads": self.num_heads}


@keras.saving.register_keras_serializable(package="keras_vtr")
class AnchorAttentionBias(BoxBias):
    """Computes a bias that directs each attention head to a part of a box.

    Gao et al. 2021 (SMCA), section 3.2, equations 4 and 5: the logarithm of a
    Gaussian is added to the logits of cross attention. Each head has a learned
    center and width of the Gaussian, in units of the box's width and height,
    as in the modulation of Liu et al. 2022 (DAB-DETR), section 4.4. There they
    are predicted from the content; here they are weights. The initial centers
    are on a ring around the center of the box.

    Args:
        num_heads: H.

    Call arguments:
        boxes: (B, Q, 4), `rel_center_xywh`.
        centers: Of columns (B, width) and rows (B, height), from
            `AxisCenters`.

    Returns:
        (B, H, Q, height * width), 0 at the center of a head's Gaussian, else
        negative.

    Raises:
        ValueError: If `num_heads` is not a positive integer.

    Example:

    >>> layer = keras_vtr.layers.AnchorAttentionBias(num_heads=4)
    >>> centers = keras.ops.ones((2, 7)), keras.ops.ones((2, 3))
    >>> print(tuple(layer(keras.ops.ones((2, 5, 4)), centers).shape))
    (2, 4, 5, 21)
    """

    def build(self, boxes_shape, centers_shape):
        self.offset = self.add_weight(
            shape=(self.num_heads, 2), initializer=_ring, name="offset"
        )
        self.width = self.add_weight(
            shape=(self.num_heads, 2),
            initializer=keras.initializers.Constant(0.5),
            name="width",
        )

    def along(self, axis, middle, side, centers):
        offset = ops.cast(self.offset, "float32")[:, axis, None]  # (H, 1)
        width = ops.abs(ops.cast(self.width, "float32")[:, axis, None])
        side = side[:, None] + SMALLEST  # (B, 1, Q)
        middle = middle[:, None] + offset * side  # (B, H, Q)
        width = (width + SMALLEST) * side
        distance = centers[:, None, None] - middle[..., None]
        return -0.5 * ops.square(distance / width[..., None])


@keras.saving.register_keras_serializable(package="keras_vtr")
class BoxPositionBias(BoxBias):
    """Computes a bias from the distances of a pixel to the sides of a box.

    Lin et al. 2023 ("DETR Does Not Need Multi-Scale or Locality Design"),
    section 4.1, "box-to-pixel relative position bias", equations 3 and 4: for
    each axis, a small network maps the distances of a column's center from the
    left and the right side of the box, or of a row's from top and bottom, to a
    number for each head. Differences: distances are relative to the image
    instead of pixels, so that the weights suit images of any size; and a
    `prior` can be added, with which the network starts at 0: with few images,
    it learns slowly from its initial weights to look at the box.

    Args:
        num_heads: H.
        mlp_dim: Width of the networks' inner layer.
        prior: Optional other bias that is added, such as an
            `AnchorAttentionBias`.

    Call arguments:
        boxes: (B, Q, 4), `rel_center_xywh`.
        centers: Of columns (B, width) and rows (B, height), from
            `AxisCenters`.

    Returns:
        (B, H, Q, height * width).

    Raises:
        ValueError: If a number is not a positive integer, or `prior` is no bias
            of as many heads.

    Example:

    >>> layer = keras_vtr.layers.BoxPositionBias(num_heads=4)
    >>> centers = keras.ops.ones((2, 7)), keras.ops.ones((2, 3))
    >>> print(tuple(layer(keras.ops.ones((2, 5, 4)), centers).shape))
    (2, 4, 5, 21)
    """

    PARTS = ("prior",)

    def __init__(self, num_heads, *, mlp_dim=512, prior=None, **kwargs):
        super().__init__(num_heads, **kwargs)
        check_positive_int("mlp_dim", mlp_dim)
        self.mlp_dim = mlp_dim
        set_part(self, "prior", prior, BoxBias, optional=True)
        if prior is not None and prior.num_heads != num_heads:
            raise ValueError(
                "`prior` must have as many heads as the bias it is added to. "
                f"Received: prior.num_heads={prior.num_heads}, "
                f"num_heads={num_heads}"
            )

    def build(self, boxes_shape, centers_shape):
        self.prior_bias = None
        if self.prior is not None:
            self.prior_bias = build_sublayer(
                self, "prior", self.prior, boxes_shape, centers_shape
            )
        shape = (None, None, None)
        inner = {"units": self.mlp_dim, "activation": "relu"}
        last = {"units": self.num_heads, "use_bias": False}
        if self.prior is not None:
            last["kernel_initializer"] = "zeros"
        self.networks = [
            [
                build_sublayer(self, f"{axis}_0", Dense, (*shape, 2), **inner),
                build_sublayer(
                    self, f"{axis}_1", Dense, (*shape, self.mlp_dim), **last
                ),
            ]
            for axis in ("x", "y")
        ]

    def along(self, axis, middle, side, centers):
        sides = ops.stack([middle - side / 2, middle + side / 2], axis=-1)
        distances = sides[:, :, None] - centers[:, None, :, None]
        x = ops.cast(distances, self.compute_dtype)  # (B, Q, n, 2)
        for layer in self.networks[axis]:
            x = layer(x)
        bias = ops.cast(ops.transpose(x, (0, 3, 1, 2)), "float32")
        if self.prior_bias is None:
            return bias
        return bias + self.prior_bias.along(axis, middle, side, centers)

    def get_config(self):
        return {**super().get_config(), "mlp_dim": self.mlp_dim}


def _ring(shape, dtype=None):
    """Half a box away from its center, each head in another direction."""
    angles = np.arange(shape[0]) * (2 * math.pi / shape[0])
    ring = 0.5 * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    return ops.convert_to_tensor(ring, dtype=dtype)
