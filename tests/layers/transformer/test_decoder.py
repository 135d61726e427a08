import keras
import numpy as np
import pytest

from keras_vtr import layers
from tests.layer_checks import make_inputs
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy
from tests.layers import numpy_reference
from tests.layers.tiny_blocks import decoder
from tests.layers.tiny_blocks import parts

SHAPES = {
    "queries": (2, 5, 12),
    "memory": (2, 7, 11),
    "query_positions": (2, 5, 12),
    "memory_positions": (2, 7, 11),
    "padding_mask": (2, 7),
}


def restate_block(weights, inputs, queries, normalize_first):
    options = (3, normalize_first, 1e-3)
    queries = numpy_reference.attention_block(
        numpy_reference.below(weights, "self_attention"),
        *options,
        queries,
        query_positions=inputs["query_positions"],
    )
    queries = numpy_reference.attention_block(
        numpy_reference.below(weights, "cross_attention"),
        *options,
        queries,
        inputs["memory"],
        inputs["query_positions"],
        inputs["memory_positions"],
        np.repeat(inputs["padding_mask"][:, None], 5, axis=1),
    )
    return numpy_reference.feed_forward(
        numpy_reference.below(weights, "feed_forward"),
        queries,
        numpy_reference.relu,
        normalize_first,
        1e-3,
    )


@pytest.mark.parametrize("normalize_first", [True, False])
def test_equals_the_numpy_restatement(normalize_first):
    inputs = make_inputs(SHAPES)
    layer = decoder(
        norm=keras.layers.LayerNormalization(epsilon=1e-3),
        normalize_first=normalize_first,
        return_every_layer=True,
    )
    layer(**inputs)
    set_weights(layer)
    output = to_numpy(layer(**inputs))
    weights = numpy_reference.weights_of(layer)
    norm = numpy_reference.below(weights, "norm")
    queries = inputs["queries"]
    for i in range(2):
        block = numpy_reference.below(weights, f"block_{i}")
        queries = restate_block(block, inputs, queries, normalize_first)
        expected = numpy_reference.layer_norm(norm, queries, 1e-3)
        np.testing.assert_allclose(output[:, i], expected, atol=2e-5)


def test_the_last_of_every_layer_is_the_output():
    inputs = make_inputs(SHAPES)
    every = decoder(return_every_layer=True)
    last = decoder()
    every(**inputs)
    last(**inputs)
    last.set_weights(every.get_weights())
    np.testing.assert_allclose(
        to_numpy(every(**inputs))[:, -1], to_numpy(last(**inputs)), atol=1e-6
    )


def test_permuting_the_queries_permutes_the_answers(rng):
    inputs = make_inputs(SHAPES)
    layer = decoder()
    output = to_numpy(layer(**inputs))
    order = rng.permutation(5)
    for name in ("queries", "query_positions"):
        inputs[name] = inputs[name][:, order]
    np.testing.assert_allclose(
        output[:, order], to_numpy(layer(**inputs)), atol=1e-5
    )


def test_padded_memory_changes_nothing():
    inputs = make_inputs(SHAPES)
    layer = decoder()
    inputs["padding_mask"] = np.tile(np.arange(7) < 4, (2, 1))
    padded = to_numpy(layer(**inputs))
    for name in ("memory", "memory_positions"):
        inputs[name] = inputs[name][:, :4]
    del inputs["padding_mask"]
    np.testing.assert_allclose(padded, to_numpy(layer(**inputs)), atol=1e-5)


def test_a_causal_decoder_never_sees_a_later_query():
    inputs = make_inputs(SHAPES)
    layer = decoder()
    before = to_numpy(layer(**inputs, use_causal_mask=True))
    inputs["queries"][:, 3:, ::2] += 1.0  # a norm undoes equal shifts
    after = to_numpy(layer(**inputs, use_causal_mask=True))
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert not np.allclose(before[:, 3:], after[:, 3:])


def test_cross_attention_may_be_another_one():
    inputs = make_inputs(SHAPES)
    block = layers.TransformerDecoderBlock(
        **parts(), cross_attention=layers.MultiHeadAttention(6)
    )
    layer = layers.TransformerDecoder(block, num_layers=2)
    _, scores = layer(**inputs, return_attention_scores=True)
    assert tuple(scores.shape) == (2, 2, 6, 5, 7)


def test_options_are_named():
    block = layers.TransformerDecoderBlock(**parts())
    with pytest.raises(TypeError, match="positional"):
        layers.TransformerDecoder(block, 6, 0.1)


@pytest.mark.parametrize("argument", ["num_layers", "num_heads", "mlp_dim"])
def test_counts_must_be_positive(argument):
    with pytest.raises(ValueError, match=f"Received: {argument}=0"):
        decoder(**{argument: 0})
