"""Rules by which a decoder layer moves a box."""

import keras
from keras import ops
from keras.layers import Dense

from keras_vtr.box_ops import move_boxes
from keras_vtr.layers.parts import build_sublayer

CLOSEST = 1e-3  # coordinates are clipped to [CLOSEST, 1 - CLOSEST]


class BoxRefinement(keras.layers.Layer):
    """Moves boxes by the numbers that a head predicts.

    Your own rule is a registered subclass with `call`, an argument of
    `AnchorDecoder`. Numbers of 0 must leave a box within the image where it is.
    """

    def __init__(self, **kwargs):
        # In float32: half precision is too coarse for boxes.
        super().__init__(autocast=False, **kwargs)

    def compute_output_spec(self, boxes, moves):
        return keras.KerasTensor(boxes.shape, "float32")


@keras.saving.register_keras_serializable(package="keras_vtr")
class LogitRefinement(BoxRefinement):
    """Adds the numbers to the logits of the box's coordinates.

    Liu et al. 2022 (DAB-DETR), section 4.3, after Zhu et al. 2020 (Deformable
    DETR), appendix A.4. A box moves little near the edges of the image, and
    stays a thousandth away from them.

    Args:
        **kwargs: Those of `keras.layers.Layer`.

    Call arguments:
        boxes: (B, Q, 4), `rel_center_xywh`.
        moves: (B, Q, 4).

    Returns:
        (B, Q, 4) float32, `rel_center_xywh` in (0, 1).

    Raises:
        ValueError: If the shapes don't fit.

    Example:

    >>> boxes = keras.ops.full((1, 1, 4), 0.5)
    >>> moves = keras.ops.array([[[0.0, 0.0, 9.0, -9.0]]])
    >>> layer = keras_vtr.layers.LogitRefinement()
    >>> print(np.array(layer(boxes, moves)).round(2))
    [[[0.5 0.5 1.  0. ]]]
    """

    def call(self, boxes, moves):
        boxes = ops.clip(ops.cast(boxes, "float32"), CLOSEST, 1 - CLOSEST)
        logits = ops.log(boxes) - ops.log(1.0 - boxes)
        return ops.sigmoid(ops.cast(moves, "float32") + logits)


@keras.saving.register_keras_serializable(package="keras_vtr")
class RelativeRefinement(BoxRefinement):
    """Moves a box in units of its own sides.

    Lin et al. 2023 ("DETR Does Not Need Multi-Scale or Locality Design"),
    section 4.3, "box reparameterization", after Girshick et al. 2014 (R-CNN),
    appendix C: the center moves by the first two numbers times the sides, and
    the sides grow by the exponentials of the last two, to 60 times or a
    sixtieth at most. A small box moves as easily as a large one.
    `keras_vtr.losses.RelativeBoxTerm` compares boxes in the same units.

    Args:
        **kwargs: Those of `keras.layers.Layer`.

    Call arguments:
        boxes: (B, Q, 4), `rel_center_xywh`.
        moves: (B, Q, 4).

    Returns:
        (B, Q, 4) float32, `rel_center_xywh`.

    Raises:
        ValueError: If the shapes don't fit.

    Example:

    >>> boxes = keras.ops.array([[[0.5, 0.5, 0.2, 0.2]]])
    >>> moves = keras.ops.array([[[1.0, 0.0, 0.0, 0.0]]])
    >>> layer = keras_vtr.layers.RelativeRefinement()
    >>> print(np.array(layer(boxes, moves)).round(2))
    [[[0.7 0.5 0.2 0.2]]]
    """

    def call(self, boxes, moves):
        return move_boxes(
            ops.cast(boxes, "float32"), ops.cast(moves, "float32")
        )


def build_move_head(owner, shape):
    """The sublayers that predict from answers (B, Q, D) how boxes move."""
    inner = {"units": shape[-1], "activation": "relu"}
    # Small, so that boxes hardly move at first.
    small = keras.initializers.RandomNormal(stddev=0.01)
    last = {"units": 4, "kernel_initializer": small, "dtype": "float32"}
    return [
        build_sublayer(owner, f"box_head_{i}", Dense, shape, **config)
        for i, config in enumerate([inner, inner, last])
    ]
