import keras
import numpy as np
import pytest

from keras_vtr.layers import MultiHeadAttention
from keras_vtr.layers import RelativePositionBias
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy

MAP = {"feature_map": (1, 3, 5, 7)}


def test_the_bias_depends_on_the_offset_alone():
    layer = RelativePositionBias(num_heads=2)
    layer(np.ones((1, 3, 5, 4)))
    set_weights(layer)
    table = layer.get_weights()[0]  # (5, 9, H)
    bias = to_numpy(layer(np.ones((1, 3, 5, 4))))[0]
    for query in range(15):
        for key in range(15):
            row = query // 5 - key // 5 + 2
            column = query % 5 - key % 5 + 4
            np.testing.assert_array_equal(
                bias[:, query, key], table[row, column]
            )


def test_class_tokens_have_three_numbers_a_head():
    layer = RelativePositionBias(num_heads=2, num_leading_tokens=1)
    layer(np.ones((1, 2, 2, 4)))
    set_weights(layer)
    to_patch, from_patch, among = layer.get_weights()[1]
    bias = to_numpy(layer(np.ones((1, 2, 2, 4))))[0]
    for head in range(2):
        assert bias[head, 0, 0] == among[head]
        np.testing.assert_array_equal(bias[head, 0, 1:], to_patch[head])
        np.testing.assert_array_equal(bias[head, 1:, 0], from_patch[head])


def test_another_grid_stretches_the_table():
    layer = RelativePositionBias(num_heads=1, grid_shape=(2, 2))
    layer(np.ones((1, 2, 2, 4)))
    table = np.array([[0, 1, 2], [3, 4, 5], [6, 7, 8]], "float32")[..., None]
    layer.set_weights([table])
    bias = to_numpy(layer(np.ones((1, 3, 3, 4))))[0, 0]
    # From the lower right corner to the upper left: the table's last entry.
    assert (bias[8, 0], bias[4, 4], bias[0, 8]) == (8, 4, 0)
    assert bias[4, 3] == 4.5  # one column of two


def test_attention_adds_it_to_the_logits(rng):
    tokens = rng.normal(size=(2, 5, 6)).astype("float32")
    attention = MultiHeadAttention(num_heads=2)
    bias = np.full((1, 2, 5, 5), -1e9, "float32")
    bias[:, 0, :, 3] = bias[:, 1, :, 0] = 0.0
    _, scores = attention(
        tokens, attention_bias=bias, return_attention_scores=True
    )
    expected = np.zeros((2, 2, 5, 5))
    expected[:, 0, :, 3] = expected[:, 1, :, 0] = 1.0
    np.testing.assert_allclose(to_numpy(scores), expected, atol=1e-6)


def test_the_grid_must_be_known():
    with pytest.raises(ValueError, match="must have a known height"):
        RelativePositionBias(2)(keras.Input((None, 5, 4)))
    with pytest.raises(ValueError, match=r"Received: grid_shape=\(3,\)"):
        RelativePositionBias(2, grid_shape=(3,))
    with pytest.raises(ValueError, match="Received: columns of grid_shape=0"):
        RelativePositionBias(2, grid_shape=(3, 0))
