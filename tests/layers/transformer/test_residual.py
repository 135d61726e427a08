import keras
import numpy as np
import pytest

from keras_vtr.layers import FeedForward
from keras_vtr.layers import MultiHeadAttention
from keras_vtr.layers import Residual
from tests.layer_checks import make_inputs
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy
from tests.layers import numpy_reference

SELF = {"tokens": (2, 5, 12), "query_positions": (2, 5, 12)}
CROSS = {
    **SELF,
    "memory": (2, 7, 13),
    "key_positions": (2, 7, 13),
    "padding_mask": (2, 7),
}


def block(**change):
    attention = MultiHeadAttention(3, attention_dropout=0.2)
    norm = keras.layers.LayerNormalization(epsilon=1e-3)
    return Residual(attention, **{"norm": norm, "dropout": 0.1, **change})


@pytest.mark.parametrize("normalize_first", [True, False])
@pytest.mark.parametrize("shapes", [SELF, CROSS], ids=["self", "cross"])
def test_equals_the_numpy_restatement(shapes, normalize_first):
    inputs = make_inputs(shapes)
    layer = block(normalize_first=normalize_first)
    layer(**inputs)
    set_weights(layer)
    mask = inputs.get("padding_mask")
    expected = numpy_reference.attention_block(
        numpy_reference.weights_of(layer),
        3,
        normalize_first,
        1e-3,
        inputs["tokens"],
        inputs.get("memory"),
        inputs["query_positions"],
        inputs.get("key_positions", 0.0),
        None if mask is None else np.repeat(mask[:, None], 5, axis=1),
    )
    np.testing.assert_allclose(to_numpy(layer(**inputs)), expected, atol=1e-5)


def test_returns_attention_scores_that_sum_to_one():
    inputs = make_inputs(CROSS)
    layer = block()
    output, scores = layer(**inputs, return_attention_scores=True)
    assert tuple(output.shape) == (2, 5, 12)
    assert tuple(scores.shape) == (2, 3, 5, 7)
    np.testing.assert_allclose(to_numpy(scores).sum(axis=-1), 1.0, atol=1e-6)


def test_dropout_acts_in_training_only():
    inputs = make_inputs(SELF)
    layer = block(dropout=0.5)
    calm = to_numpy(layer(**inputs, training=False))
    np.testing.assert_array_equal(calm, to_numpy(layer(**inputs)))
    assert not np.allclose(calm, to_numpy(layer(**inputs, training=True)))


@pytest.mark.parametrize("normalize_first", [True, False])
def test_around_a_feed_forward_it_equals_the_numpy_restatement(
    normalize_first,
):
    inputs = make_inputs({"tokens": (2, 5, 7)})
    norm = keras.layers.LayerNormalization(epsilon=1e-3)
    layer = Residual(
        FeedForward(11), norm=norm, normalize_first=normalize_first
    )
    layer(**inputs)
    set_weights(layer)
    expected = numpy_reference.feed_forward(
        numpy_reference.weights_of(layer),
        inputs["tokens"],
        numpy_reference.gelu,
        normalize_first,
        1e-3,
    )
    np.testing.assert_allclose(to_numpy(layer(**inputs)), expected, atol=1e-5)


def test_a_branch_can_be_any_layer_and_a_norm_any_norm(rng):
    tokens = rng.normal(size=(2, 5, 7)).astype("float32")
    layer = Residual(
        keras.layers.Dense(7, use_bias=False),
        norm=keras.layers.RMSNormalization(epsilon=1e-3),
    )
    layer(tokens)
    set_weights(layer)
    weights = numpy_reference.weights_of(layer)
    size = np.sqrt((tokens**2).mean(axis=-1, keepdims=True) + 1e-3)
    normed = tokens / size * weights["norm/scale"]
    np.testing.assert_allclose(
        to_numpy(layer(tokens)),
        tokens + normed @ weights["layer/kernel"],
        atol=1e-5,
    )
    layer = Residual(keras.layers.Dense(7), norm=keras.layers.Identity())
    layer(tokens)
    assert len(layer.weights) == 2


@pytest.mark.parametrize(
    ("argument", "value"),
    [("dropout", 1.0), ("layer_scale", 0.0), ("stochastic_depth", -0.1)],
)
def test_arguments_must_be_in_range(argument, value):
    with pytest.raises(ValueError, match=f"Received: {argument}={value}"):
        block(**{argument: value})


def test_a_part_is_a_layer_without_weights(rng):
    built = keras.layers.LayerNormalization()
    built.build((None, 5, 12))
    for norm, message in (
        (built, "`norm` must not be built yet.*which has 2 weights"),
        (keras.activations.relu, "`norm` must be a Keras layer"),
        (keras.layers.LayerNormalization, "`norm` must be a Keras layer"),
    ):
        with pytest.raises(ValueError, match=message):
            block(norm=norm)
    with pytest.raises(ValueError, match="`layer` must be a Keras layer"):
        Residual(lambda x: x)
    half = keras.layers.LayerNormalization(dtype="float16")
    with pytest.raises(
        ValueError, match=r"must have the dtype of the layer.*16"
    ):
        block(norm=half)


def test_a_part_stays_as_it_is_and_can_be_handed_in_again(rng):
    tokens = rng.normal(size=(2, 5, 12)).astype("float32")
    attention = MultiHeadAttention(3)
    one, other = Residual(attention), Residual(attention)
    assert not np.allclose(to_numpy(one(tokens)), to_numpy(other(tokens)))
    assert not attention.built
    assert len(one.weights) == len(other.weights) == 10
