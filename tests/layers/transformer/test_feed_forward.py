import keras
import numpy as np
import pytest
from scipy import special

from keras_vtr.layers import FeedForward
from keras_vtr.layers.activations import exact_gelu
from keras_vtr.layers.activations import quick_gelu
from tests.layer_checks import make_inputs
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy
from tests.layers import numpy_reference

SHAPES = {"tokens": (2, 5, 7)}


@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_equals_the_numpy_restatement(activation):
    inputs = make_inputs(SHAPES)
    layer = FeedForward(11, activation=activation)
    layer(**inputs)
    set_weights(layer)
    expected = numpy_reference.two_layers(
        numpy_reference.weights_of(layer),
        inputs["tokens"],
        getattr(numpy_reference, activation),
    )
    np.testing.assert_allclose(to_numpy(layer(**inputs)), expected, atol=1e-5)


@keras.saving.register_keras_serializable(package="tests")
def cube(x):
    return x**3


def test_an_activation_can_be_any_function(rng):
    tokens = rng.normal(size=(2, 5, 7)).astype("float32")
    layer = FeedForward(11, activation=cube)
    again = FeedForward.from_config(layer.get_config())
    layer(tokens)
    again(tokens)
    again.set_weights(layer.get_weights())
    expected = numpy_reference.two_layers(
        numpy_reference.weights_of(layer), tokens, cube
    )
    np.testing.assert_allclose(to_numpy(again(tokens)), expected, atol=1e-5)


def test_gelu_is_x_times_the_normal_distribution_function():
    x = np.linspace(-6, 6, 1001).astype("float32")
    expected = x.astype("float64") * special.ndtr(x.astype("float64"))
    np.testing.assert_allclose(to_numpy(exact_gelu(x)), expected, atol=1e-6)
    np.testing.assert_allclose(
        to_numpy(exact_gelu(x)),
        to_numpy(keras.ops.gelu(x, approximate=False)),
        atol=1e-6,
    )


def test_quick_gelu_is_near_gelu():
    x = np.linspace(-6, 6, 1001).astype("float32")
    found = to_numpy(quick_gelu(x))
    np.testing.assert_allclose(found, x * special.expit(1.702 * x), atol=1e-6)
    assert 0.01 < np.abs(found - to_numpy(exact_gelu(x))).max() < 0.03


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("mlp_dim", 0),
        ("dropout", 1.5),
        ("activation", "swishy"),
    ],
)
def test_arguments_must_be_in_range(argument, value):
    with pytest.raises(ValueError, match=f"Received: {argument}={value!r}"):
        FeedForward(**{"mlp_dim": 11, argument: value})
