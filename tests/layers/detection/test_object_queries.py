import keras
import numpy as np
import pytest

from keras_vtr.layers import ObjectQueries
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy


def test_gives_every_image_the_same_queries_whatever_its_memory(rng):
    layer = ObjectQueries(num_queries=3)
    layer(np.ones((2, 5, 7)))
    set_weights(layer)
    output = to_numpy(layer(rng.normal(size=(2, 11, 7))))
    queries = layer.get_weights()[0]
    np.testing.assert_array_equal(output, np.repeat(queries, 2, axis=0))


def test_queries_start_apart():
    queries = to_numpy(ObjectQueries(50)(np.ones((1, 5, 64))))[0]
    assert 0.9 < queries.std() < 1.1


def test_num_queries_must_be_positive():
    with pytest.raises(ValueError, match="Received: num_queries=0"):
        ObjectQueries(num_queries=0)


def test_the_width_must_be_known():
    with pytest.raises(ValueError, match="must have a known width D"):
        ObjectQueries(3)(keras.Input((5, None)))
