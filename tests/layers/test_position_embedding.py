import keras
import numpy as np
import pytest

from keras_vtr.layers import PositionEmbedding
from tests.layer_checks import check_layer
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy


def test_passes_the_layer_check(tmp_path):
    check_layer(
        PositionEmbedding,
        {},
        {"tokens": (2, 5, 7)},
        (2, 5, 7),
        tmp_path=tmp_path,
    )


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
