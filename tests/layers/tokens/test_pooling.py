import numpy as np
import pytest

from keras_vtr.layers import AttentionPooling
from keras_vtr.layers import FeedForward
from keras_vtr.layers import MultiHeadAttention
from keras_vtr.layers import TokenPooling
from tests.layer_checks import make_inputs
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy
from tests.layers import numpy_reference

TOKENS = {"tokens": (2, 5, 12)}


def test_the_mean_is_over_the_patches_alone(rng):
    tokens = rng.normal(size=(2, 5, 3)).astype("float32")
    both = TokenPooling("class_token_and_mean", num_leading_tokens=2)(tokens)
    expected = np.concatenate([tokens[:, 0], tokens[:, 2:].mean(1)], axis=-1)
    np.testing.assert_allclose(to_numpy(both), expected, atol=1e-6)


def test_attention_pooling_equals_the_numpy_restatement():
    inputs = make_inputs({**TOKENS, "padding_mask": (2, 5)})
    layer = AttentionPooling(MultiHeadAttention(3), FeedForward(7))
    layer(**inputs)
    set_weights(layer)
    weights = numpy_reference.weights_of(layer)
    probe = np.repeat(weights["probe"], 2, axis=0)
    attended, _ = numpy_reference.attention(
        numpy_reference.below(weights, "attention"),
        3,
        probe,
        inputs["tokens"],
        inputs["tokens"],
        mask=inputs["padding_mask"][:, None],
    )
    expected = numpy_reference.feed_forward(
        numpy_reference.below(weights, "feed_forward"),
        attended,
        numpy_reference.gelu,
        True,
        1e-6,
    )[:, 0]
    np.testing.assert_allclose(to_numpy(layer(**inputs)), expected, atol=1e-5)


def test_attention_pooling_ignores_the_order_of_tokens(rng):
    tokens = rng.normal(size=(2, 5, 12)).astype("float32")
    layer = AttentionPooling(MultiHeadAttention(3), FeedForward(7))
    np.testing.assert_allclose(
        to_numpy(layer(tokens)),
        to_numpy(layer(tokens[:, [3, 0, 4, 1, 2]])),
        atol=1e-5,
    )


def test_arguments_must_be_in_range():
    with pytest.raises(ValueError, match="Received: pooling='max'"):
        TokenPooling("max")
    with pytest.raises(ValueError, match="Received: num_leading_tokens=-1"):
        TokenPooling("mean", num_leading_tokens=-1)
    with pytest.raises(ValueError, match="`attention` must be a Keras layer"):
        AttentionPooling(3, 7)
