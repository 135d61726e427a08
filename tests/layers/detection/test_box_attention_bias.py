import keras
import numpy as np
import pytest

from keras_vtr.layers import AnchorAttentionBias
from keras_vtr.layers import AnchorDecoder
from keras_vtr.layers import AxisCenters
from keras_vtr.layers import BoxPositionBias
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy
from tests.layers.tiny_blocks import anchor_decoder

H, ROWS, COLUMNS = 3, 5, 7


def grid(rows=ROWS, columns=COLUMNS, images=1):
    return AxisCenters()(np.zeros((images, rows, columns, 1), "float32"))


def boxes(rng, *shape):
    return rng.uniform(0.2, 0.6, size=(*shape, 4)).astype("float32")


def biases():
    return {
        "gaussian": AnchorAttentionBias(H),
        "network": BoxPositionBias(H, mlp_dim=11),
        "both": BoxPositionBias(H, mlp_dim=11, prior=AnchorAttentionBias(H)),
    }


def built(name, queries):
    layer = biases()[name]
    layer(queries, grid(images=len(queries)))
    set_weights(layer)
    return layer


@pytest.mark.parametrize("name", biases())
@pytest.mark.any_backend
def test_shifting_boxes_and_pixels_together_changes_nothing(rng, name):
    queries = boxes(rng, 2, 4)
    layer = built(name, queries)
    x, y = (to_numpy(center) for center in grid(images=2))
    shift = np.array([0.11, -0.07], "float32")
    moved = queries + np.array([*shift, 0, 0], "float32")
    np.testing.assert_allclose(
        to_numpy(layer(moved, (x + shift[0], y + shift[1]))),
        to_numpy(layer(queries, (x, y))),
        rtol=1e-3,
        atol=1e-5,
    )


def test_the_network_sees_the_distances_of_both_sides(rng):
    queries = boxes(rng, 2, 4)
    layer = built("network", queries)
    x, y = (to_numpy(center)[0] for center in grid())
    found = to_numpy(layer(queries, grid(images=2)))
    weights = [to_numpy(weight) for weight in layer.weights]
    expected = np.zeros((2, H, 4, ROWS, COLUMNS))
    for b, q, row, column in np.ndindex(2, 4, ROWS, COLUMNS):
        box = queries[b, q]
        for axis, center in enumerate((x[column], y[row])):
            low = box[axis] - box[2 + axis] / 2 - center
            high = box[axis] + box[2 + axis] / 2 - center
            kernel, bias, last = weights[3 * axis : 3 * axis + 3]
            inner = np.maximum(np.array([low, high]) @ kernel + bias, 0.0)
            expected[b, :, q, row, column] += inner @ last
    np.testing.assert_allclose(
        found.reshape(expected.shape), expected, atol=1e-5
    )


def test_it_starts_as_its_prior(rng):
    queries = boxes(rng, 2, 4)
    layer, prior = biases()["both"], biases()["gaussian"]
    centers = grid(images=2)
    np.testing.assert_array_equal(
        to_numpy(layer(queries, centers)), to_numpy(prior(queries, centers))
    )


@pytest.mark.parametrize("name", biases())
def test_any_grid_will_do(rng, name):
    queries = boxes(rng, 1, 4)
    layer = built(name, queries)
    fine, coarse = (
        to_numpy(layer(queries, grid(rows, columns))).reshape(
            H, 4, rows, columns
        )
        for rows, columns in ((9, 3), (3, 1))
    )
    # The middle of three pixels is where the coarse one is.
    np.testing.assert_allclose(fine[..., 1::3, 1:2], coarse, atol=1e-5)


def test_nothing_is_computed_for_each_pixel_before_the_last_sum():
    """Every tensor but the bias itself has one number a row or a column."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("reads TensorFlow's graph")
    import tensorflow as tf

    layer = BoxPositionBias(H, mlp_dim=16, prior=AnchorAttentionBias(H))
    x, y = grid(32, 32)

    @tf.function(input_signature=[tf.TensorSpec((1, 50, 4))])
    def call(queries):
        return layer(queries, (x, y))

    graph = call.get_concrete_function().graph
    sizes = [
        np.prod(output.shape)
        for operation in graph.get_operations()
        for output in operation.outputs
        if output.shape.is_fully_defined()
    ]
    pixels = 50 * H * 32 * 32
    assert {size for size in sizes if size > 50 * 16 * 32} == {pixels}


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="Received: mlp_dim=0"):
        BoxPositionBias(2, mlp_dim=0)
    with pytest.raises(ValueError, match=r"prior.num_heads=3, num_heads=2"):
        BoxPositionBias(2, prior=AnchorAttentionBias(3))
    with pytest.raises(ValueError, match="`prior` must be a BoxBias"):
        BoxPositionBias(2, prior=keras.layers.Dense(3))
    block = anchor_decoder().block
    with pytest.raises(ValueError, match=r"attention_bias.num_heads=3, block"):
        AnchorDecoder(block, 2, attention_bias=AnchorAttentionBias(3))
