import keras
import numpy as np
import pytest

from keras_vtr.box_ops import move_boxes
from keras_vtr.box_ops import relative_moves
from keras_vtr.layers import AxisCenters
from keras_vtr.layers import BoxPositionBias
from keras_vtr.layers import LogitRefinement
from keras_vtr.layers import RelativeRefinement
from tests.gradients import gradient
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy
from tests.layers.tiny_blocks import anchor_decoder

RULES = [LogitRefinement, RelativeRefinement]


def boxes(rng, *shape):
    return rng.uniform(0.2, 0.6, size=(*shape, 4)).astype("float32")


@pytest.mark.parametrize("rule", RULES)
def test_a_move_of_zero_leaves_the_box_where_it_is(rng, rule):
    start = boxes(rng, 2, 5)
    found = to_numpy(rule()(start, np.zeros_like(start)))
    np.testing.assert_allclose(found, start, atol=1e-6)


@pytest.mark.parametrize("rule", RULES)
def test_half_precision_does_not_round_boxes(rng, rule):
    start = boxes(rng, 2, 5)
    layer = rule(dtype="mixed_bfloat16")
    found = to_numpy(layer(start, np.zeros_like(start)))
    np.testing.assert_allclose(found, start, atol=1e-6)


def test_relative_moves_are_in_units_of_the_sides():
    start = np.array([[[0.5, 0.4, 0.2, 0.1]]], "float32")
    moves = np.array([[[0.5, -1.0, np.log(2), 0.0]]], "float32")
    np.testing.assert_allclose(
        to_numpy(RelativeRefinement()(start, moves)),
        [[[0.6, 0.3, 0.4, 0.1]]],
        rtol=1e-6,
    )


@pytest.mark.any_backend
def test_boxes_and_moves_are_inverse(rng):
    start, end = boxes(rng, 3, 7), boxes(rng, 3, 7)
    moves = relative_moves(start, end)
    np.testing.assert_allclose(
        to_numpy(move_boxes(start, moves)), end, rtol=1e-5
    )


def test_boxes_without_area_and_huge_moves_stay_finite():
    start = np.array([[0.5, 0.5, 0.0, 0.2], [0.5, 0.5, 0.9, 0.0]], "float32")
    moves = np.array([[1e3, 0, 1e3, -1e3]] * 2, "float32")
    assert np.isfinite(to_numpy(move_boxes(start, moves))).all()
    empty = np.zeros_like(start)

    def total(end):
        return keras.ops.sum(relative_moves(start, end))

    value, slope = gradient(total, empty)
    assert np.isfinite(value) and np.isfinite(slope).all()


@pytest.mark.parametrize("look_forward_twice", [False, True])
def test_whom_the_loss_of_a_box_trains(rng, look_forward_twice):
    """Zhang et al. 2022 (DINO), figure 6: the layer before it, but no earlier.

    Without encodings and biases, an anchor moves a box only by being its start.
    """
    layer = anchor_decoder(
        attention_bias=BoxPositionBias(2),
        box_refinement=RelativeRefinement(),
        look_forward_twice=look_forward_twice,
    )
    layer.build((1, 5, 8), (1, 5, 4), (1, 6, 8), ((1, 3), (1, 2)))
    set_weights(layer)
    for weight in layer.weights:
        if "encoding" in weight.path or "bias_" in weight.path:
            weight.assign(np.zeros(weight.shape))
    data = {
        "queries": rng.normal(size=(1, 5, 8)).astype("float32"),
        "memory": rng.normal(size=(1, 6, 8)).astype("float32"),
        "centers": AxisCenters()(np.zeros((1, 2, 3, 1), "float32")),
    }

    def slope(number):
        def center(anchors):
            return layer(anchors=anchors, **data)[1][0, number, 0, 0]

        return gradient(center, boxes(rng, 1, 5))[1][0, 0, 0]

    expected = [1, 1, 0] if look_forward_twice else [1, 0, 0]
    np.testing.assert_allclose([slope(i) for i in range(3)], expected)
