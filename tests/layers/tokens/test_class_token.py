import keras
import numpy as np
import pytest

from keras_vtr.layers import ClassToken
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy


def test_the_same_tokens_come_first_for_every_image(rng):
    tokens = rng.normal(size=(2, 5, 7)).astype("float32")
    layer = ClassToken(num_tokens=3)
    layer(tokens)
    set_weights(layer)
    output = to_numpy(layer(tokens))
    learned = layer.get_weights()[0]
    np.testing.assert_array_equal(output[:, :3], np.repeat(learned, 2, axis=0))
    np.testing.assert_array_equal(output[:, 3:], tokens)


def test_num_tokens_must_be_positive():
    with pytest.raises(ValueError, match="Received: num_tokens=0"):
        ClassToken(num_tokens=0)


def test_tokens_must_have_a_known_width():
    with pytest.raises(ValueError, match="`tokens` must have a known width D"):
        ClassToken()(keras.Input((5, None)))
    with pytest.raises(ValueError, match=r"must have the shape \(B, N, D\)"):
        ClassToken()(np.ones((2, 5)))
