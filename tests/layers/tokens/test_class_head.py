import keras
import numpy as np
import pytest

from keras_vtr.layers import ClassHead
from keras_vtr.layers.tokens.class_head import class_names_of


def test_it_is_a_dense_layer(rng):
    features = rng.normal(size=(2, 5)).astype("float32")
    layer, dense = ClassHead(3, name="same"), keras.layers.Dense(3, name="same")
    layer.build((None, 5)), dense.build((None, 5))
    dense.set_weights(layer.get_weights())
    np.testing.assert_array_equal(layer(features), dense(features))


def test_names_must_be_as_many_as_classes():
    with pytest.raises(ValueError, match="each of 3 logits, except 'no obj"):
        ClassHead(3, ["a"])


def test_names_are_those_of_the_last_layer_with_weights():
    features = keras.Input((5,))
    named = ClassHead(3, ["a", "b", "c"])(features)
    model = keras.Model(features, named)
    assert class_names_of(model) == ("a", "b", "c")
    softmax = keras.Sequential([features, model, keras.layers.Softmax()])
    assert class_names_of(softmax) == ("a", "b", "c")
    outputs = {"logits": named[:, None] + 1.0}
    assert class_names_of(keras.Model(features, outputs)) == ("a", "b", "c")
    for other in (keras.layers.Dense(3)(named), features):
        assert class_names_of(keras.Model(features, other)) is None
    assert class_names_of(keras.Sequential()) is None
    assert class_names_of(None) is None
