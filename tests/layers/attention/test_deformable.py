import keras
import numpy as np
import pytest

from keras_vtr.layers import AxisCenters
from keras_vtr.layers import DeformableAttention
from tests.gradients import gradient
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy
from tests.layers.numpy_reference import below
from tests.layers.numpy_reference import dense
from tests.layers.numpy_reference import weights_of

ROWS, COLUMNS, HEADS, POINTS, WIDTH = 3, 5, 2, 3, 8


def centers(real=None):
    shape = (2, ROWS, COLUMNS, 1)
    return AxisCenters()(np.zeros(shape, "float32"), padding_mask=real)


def make_inputs(rng):
    return {
        "query": rng.normal(size=(2, 7, WIDTH)).astype("float32"),
        "key": rng.normal(size=(2, ROWS * COLUMNS, 11)).astype("float32"),
        "boxes": rng.uniform(0.1, 0.9, size=(2, 7, 4)).astype("float32"),
        "centers": centers(),
    }


def build(inputs):
    layer = DeformableAttention(HEADS, POINTS)
    layer(**inputs)
    set_weights(layer)
    return layer


def restated(weights, query, key, boxes, real=None, size=(COLUMNS, ROWS)):
    """Point by point, pixel by pixel, in float64.

    Args:
        real: (B, N) bool.
        size: (columns, rows) of the real part.
    """
    values = dense(below(weights, "value_projection"), key)
    if real is not None:
        values = values * real[..., None]
    offsets = dense(below(weights, "offset_projection"), query)
    logits = dense(below(weights, "weight_projection"), query)
    output = np.zeros(query.shape)
    part = WIDTH // HEADS
    for b, q, h in np.ndindex(*query.shape[:2], HEADS):
        own = logits[b, q].reshape(HEADS, POINTS)[h]
        shares = np.exp(own) / np.exp(own).sum()
        for p in range(POINTS):
            move = offsets[b, q].reshape(HEADS, POINTS, 2)[h, p] / POINTS / 2
            place = boxes[b, q, :2] + move * boxes[b, q, 2:]
            x, y = place * size - 0.5
            for row, column in np.ndindex(ROWS, COLUMNS):
                near = max(0, 1 - abs(x - column)) * max(0, 1 - abs(y - row))
                value = values[b, row * COLUMNS + column]
                own = slice(h * part, (h + 1) * part)
                output[b, q, own] += shares[p] * near * value[own]
    return dense(below(weights, "output_projection"), output)


@pytest.mark.any_backend
def test_it_equals_a_restatement_in_numpy(rng):
    inputs = make_inputs(rng)
    layer = build(inputs)
    positions = rng.normal(size=(2, 7, WIDTH)).astype("float32")
    inputs["boxes"][0, 0] = [0.02, 0.99, 0.9, 0.9]  # points outside of the map
    found = to_numpy(layer(**inputs, query_positions=positions))
    query = inputs["query"] + positions
    expected = restated(
        weights_of(layer), query, inputs["key"], inputs["boxes"]
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_padding_counts_as_zeros_and_boxes_are_of_the_real_image(rng):
    inputs = make_inputs(rng)
    layer = build(inputs)
    real = np.zeros((2, ROWS, COLUMNS), bool)
    real[:, :2, :4] = True
    inputs["centers"] = centers(real)
    mask = real.reshape(2, -1)
    found = to_numpy(layer(**inputs, padding_mask=mask))
    expected = restated(
        weights_of(layer),
        *(inputs[key] for key in ("query", "key", "boxes")),
        mask,
        size=(4, 2),
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_scores_are_the_weights_of_pixels(rng):
    inputs = make_inputs(rng)
    layer = build(inputs)
    output, scores = layer(**inputs, return_attention_scores=True)
    assert tuple(scores.shape) == (2, HEADS, 7, ROWS * COLUMNS)
    values = to_numpy(layer.value_projection(inputs["key"]))
    values = values.reshape(2, -1, HEADS, WIDTH // HEADS)
    expected = np.einsum("bhqn,bnhd->bqhd", to_numpy(scores), values)
    expected = layer.output_projection(expected.reshape(2, 7, WIDTH))
    np.testing.assert_allclose(to_numpy(output), to_numpy(expected), atol=1e-5)


def test_gradients_are_those_of_small_changes(rng):
    inputs = make_inputs(rng)
    layer = build(inputs)
    mix = rng.normal(size=(2, 7, WIDTH)).astype("float32")

    def value(boxes):
        output = layer(**{**inputs, "boxes": boxes})
        return keras.ops.sum(output * mix)

    _, slope = gradient(value, inputs["boxes"])
    step = 1e-3
    for place in [(0, 1, 0), (1, 3, 1), (0, 5, 2), (1, 6, 3)]:
        change = np.zeros_like(inputs["boxes"])
        change[place] = step
        up, down = (
            float(value(inputs["boxes"] + sign * change)) for sign in (1, -1)
        )
        expected = (up - down) / (2 * step)
        np.testing.assert_allclose(slope[place], expected, rtol=0.05, atol=0.02)


def test_at_first_each_head_looks_into_its_own_direction():
    layer = DeformableAttention(4, 2)
    inputs = make_inputs(np.random.default_rng(1))
    layer(**inputs)
    bias = to_numpy(layer.offset_projection.bias).reshape(4, 2, 2)
    expected = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])
    np.testing.assert_allclose(bias[:, 0], expected, atol=1e-6)
    np.testing.assert_allclose(bias[:, 1], 2 * expected, atol=1e-6)


def test_wrong_arguments_are_refused(rng):
    with pytest.raises(ValueError, match="`num_points` must be a positive int"):
        DeformableAttention(2, 0)
    with pytest.raises(ValueError, match="`num_heads` must divide the width"):
        DeformableAttention(3)(**make_inputs(rng))
