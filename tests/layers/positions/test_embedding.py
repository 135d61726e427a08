import keras
import numpy as np
import pytest

from keras_vtr.layers import PositionEmbedding
from keras_vtr.layers import PositionEmbedding2D
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy


def test_adds_the_same_table_to_every_image(rng):
    tokens = rng.normal(size=(2, 5, 7)).astype("float32")
    layer = PositionEmbedding()
    layer(tokens)
    set_weights(layer)
    table = layer.get_weights()[0]
    assert table.shape == (1, 5, 7)
    np.testing.assert_array_equal(to_numpy(layer(tokens)), tokens + table)


def test_another_number_of_tokens_is_refused():
    layer = PositionEmbedding(name="positions")
    layer(np.ones((2, 5, 7)))
    with pytest.raises(ValueError, match=r"'positions' was built for 5 tokens"):
        layer(np.ones((2, 1, 7)))


def test_the_number_of_tokens_must_be_known():
    with pytest.raises(ValueError, match="must have a known length N"):
        PositionEmbedding()(keras.Input((None, 7)))


GRID = {"tokens": (2, 16, 8), "feature_map": (2, 3, 5, 8)}


def test_another_grid_gets_a_resized_table_and_the_class_token_its_own(rng):
    layer = PositionEmbedding(grid_shape=(2, 2), num_leading_tokens=1)
    layer(np.zeros((1, 5, 1)), feature_map=np.zeros((1, 2, 2, 1)))
    layer.set_weights([np.array([9, 0, 2, 4, 6], "float32")[None, :, None]])
    found = layer(np.zeros((1, 10, 1)), feature_map=np.zeros((1, 3, 3, 1)))
    expected = [9, 0, 1, 2, 2, 3, 4, 4, 5, 6]
    np.testing.assert_allclose(to_numpy(found)[0, :, 0], expected, atol=1e-6)


def padded(x, length):
    """(B, rows, columns, D) with zeros below and on the right."""
    more = [(0, 0), (0, length - x.shape[1]), (0, length - x.shape[2]), (0, 0)]
    return np.pad(x, more)


@pytest.mark.parametrize(
    "interpolation", ["bilinear", "bicubic", "bicubic_antialias"]
)
@pytest.mark.parametrize("grid", [(2, 3), (5, 7), (3, 1)])
def test_padding_changes_no_position_of_what_is_real(interpolation, grid, rng):
    options = {"grid_shape": (2, 3), "interpolation": interpolation}
    flat = PositionEmbedding(num_leading_tokens=1, **options)
    by_sides = PositionEmbedding2D(**options)
    real = rng.normal(size=(2, *grid, 4)).astype("float32")
    mask = padded(np.ones((2, *grid, 1), bool), 8)[..., 0]
    mask[1, 1:] = mask[1, :, 1:] = False  # the second image is one patch
    expected = by_sides(real)
    found = to_numpy(by_sides(padded(real, 8), padding_mask=mask))
    np.testing.assert_allclose(
        found[0, : grid[0], : grid[1]], to_numpy(expected)[0], atol=1e-6
    )
    one = to_numpy(by_sides(real[1:, :1, :1]))
    np.testing.assert_allclose(found[1, 0, 0], one[0, 0, 0], atol=1e-6)
    assert np.isfinite(found).all()
    nothing = by_sides(padded(real, 8), padding_mask=np.zeros_like(mask))
    assert np.isfinite(to_numpy(nothing)).all()

    def add(feature_map, padding_mask=None):
        tokens = feature_map.reshape(2, -1, 4)
        tokens = np.concatenate([np.zeros((2, 1, 4)), tokens], axis=1)
        found = flat(tokens, feature_map, padding_mask=padding_mask)
        rows, columns = feature_map.shape[1:3]
        found = to_numpy(found)
        return found[:, 0], found[:, 1:].reshape(2, rows, columns, 4)

    first, expected = add(real)
    leading, found = add(padded(real, 8), mask)
    np.testing.assert_array_equal(leading, first)
    np.testing.assert_allclose(
        found[0, : grid[0], : grid[1]], expected[0], atol=1e-6
    )


def test_half_of_the_channels_is_the_rows_and_half_the_columns():
    layer = PositionEmbedding2D()
    feature_map = np.zeros((1, 2, 3, 4), "float32")
    layer(feature_map)
    rows = np.array([[1, 2], [3, 4]], "float32")
    columns = np.array([[5, 6], [7, 8], [9, 10]], "float32")
    layer.set_weights([rows, columns])
    found = to_numpy(layer(feature_map))[0]
    for row in range(2):
        for column in range(3):
            np.testing.assert_array_equal(
                found[row, column], [*rows[row], *columns[column]]
            )


def test_an_odd_width_is_refused():
    with pytest.raises(ValueError, match="must be even"):
        PositionEmbedding2D()(np.ones((1, 2, 3, 5)))
    with pytest.raises(ValueError, match="Received: interpolation='nearest'"):
        PositionEmbedding2D(interpolation="nearest")
