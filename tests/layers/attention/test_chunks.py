import re

import keras
import numpy as np
import pytest

from keras_vtr.layers import MultiHeadAttention
from keras_vtr.models import build_vit
from tests.gradients import gradient
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy

B, T, S, H, D = 2, 11, 7, 3, 12


def pair(size, *inputs, **arguments):
    """The layer without and with chunks, with the same weights."""
    layers = [
        MultiHeadAttention(H, query_chunk_size=x, **arguments)
        for x in (None, size)
    ]
    for layer in layers:
        layer(*inputs)
        set_weights(layer)
    return layers


def slopes(layer, inputs, weights, **options):
    """The derivatives of the weighted sum of the outputs."""

    def total(given):
        inputs, variables = given
        pairs = zip(layer.trainable_variables, variables, strict=True)
        with keras.StatelessScope(pairs):
            return keras.ops.sum(layer(**inputs, **options) * weights)

    variables = [x.numpy() for x in layer.trainable_variables]
    return gradient(total, (inputs, variables))[1]


def assert_same(found, expected, tolerance=1e-6):
    """Relative to the largest number of a tensor, or to 1."""
    for a, b in zip(*map(keras.tree.flatten, (found, expected)), strict=True):
        assert abs(a - b).max() < tolerance * max(1, abs(b).max())


CASES = {
    "plain": ({}, {}),
    "cross": ({"key": (B, S, 13), "value": (B, S, 17)}, {}),
    "causal": ({}, {"use_causal_mask": True}),
    "masks": (
        {"key": (B, S, 13)},
        {"padding_mask": (B, S), "attention_mask": (B, T, S)},
    ),
    "one mask for all": ({"key": (B, S, 13)}, {"attention_mask": (1, T, S)}),
    "bias": ({"attention_bias": (B, H, T, T)}, {"padding_mask": (B, T)}),
    "one bias for all": ({"attention_bias": (1, H, T, T)}, {}),
    "bias of the keys": ({"attention_bias": (1, 1, 1, T)}, {}),
    "positions": ({"query_positions": (B, T, D)}, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_chunks_change_neither_outputs_nor_gradients(rng, case, size=4):
    floats, options = CASES[case]
    inputs = {
        name: rng.normal(size=shape).astype("float32")
        for name, shape in {"query": (B, T, D), **floats}.items()
    }
    options = {
        name: rng.random(x) < 0.5 if isinstance(x, tuple) else x
        for name, x in options.items()
    }
    tokens = [inputs[x] for x in ("query", "key", "value") if x in inputs]
    plain, chunks = pair(size, *tokens)
    assert_same(
        to_numpy(chunks(**inputs, **options)),
        to_numpy(plain(**inputs, **options)),
    )
    weights = rng.normal(size=(B, T, D)).astype("float32") / T
    assert_same(
        slopes(chunks, inputs, weights, **options),
        slopes(plain, inputs, weights, **options),
    )


@pytest.mark.parametrize("size", [1, 10, 11, 12])
def test_any_size_of_a_chunk_does(rng, size):
    test_chunks_change_neither_outputs_nor_gradients(rng, "masks", size)


def test_weights_with_dropout_are_the_same_in_the_backward_pass(rng):
    x = rng.normal(size=(B, T, D)).astype("float32")
    _, layer = pair(4, x, attention_dropout=0.5)
    layer.value_projection.bias.assign(0 * layer.value_projection.bias)
    value, weights = rng.normal(size=(2, B, T, D)).astype("float32")
    state = layer.dropout.seed_generator.state
    seed = state.numpy()

    def total(value, query):
        with keras.StatelessScope([(state, seed)]):
            outputs = layer(query, x, value, training=True)
        outputs = outputs - layer.output_projection.bias
        return keras.ops.sum(outputs * weights)

    # Linear in the values, so that it is its gradient times them.
    found, slope = gradient(total, value, x)
    assert abs(found - (slope * value).sum()) < 1e-4
    # The query's gradient is that of the function that the forward pass is.
    step = 1e-2 * rng.normal(size=x.shape).astype("float32")
    _, slope = gradient(lambda x, value: total(value, x), x, value)
    rise = total(value, x + step) - total(value, x - step)
    np.testing.assert_allclose(rise / 2, (slope * step).sum(), 0.01, 1e-4)
    other = layer(x, training=True)
    assert abs(to_numpy(other) - to_numpy(layer(x, training=True))).max() > 0.01


def test_scores_are_those_of_all_queries_at_once(rng):
    x = rng.normal(size=(B, T, D)).astype("float32")
    plain, chunks = pair(4, x)
    assert_same(
        [to_numpy(y) for y in chunks(x, return_attention_scores=True)],
        [to_numpy(y) for y in plain(x, return_attention_scores=True)],
        1e-12,
    )


@pytest.mark.parametrize("size", [0, -1, 2.0, True])
def test_the_size_must_be_a_positive_integer(size):
    with pytest.raises(ValueError, match=f"Received: query_chunk_size={size}"):
        MultiHeadAttention(2, query_chunk_size=size)


def shapes_in_a_step(layer, x):
    """The shapes of all tensors that value and gradient take."""
    if keras.backend.backend() == "jax":
        import jax

        slope = jax.grad(lambda x: layer(x).sum())
        found = re.findall(r"f32\[([\d,]+)\]", str(jax.make_jaxpr(slope)(x)))
        return {tuple(map(int, shape.split(","))) for shape in found}
    import tensorflow as tf

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = keras.ops.sum(layer(x))
        return tape.gradient(total, x)

    graph = step.get_concrete_function(x).graph.as_graph_def(add_shapes=True)
    inner = [node for f in graph.library.function for node in f.node_def]
    return {
        tuple(side.size for side in shape.dim)
        for node in (*graph.node, *inner)
        for shape in node.attr["_output_shapes"].list.shape
    }


def test_the_table_of_weights_never_exists(rng):
    x = rng.normal(size=(B, T, D)).astype("float32")
    plain, chunks = (shapes_in_a_step(layer, x) for layer in pair(4, x))
    assert (B, H, T, T) in plain
    assert (B, H, 4, T) in chunks
    assert (B, H, T, T) not in chunks


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_model_with_chunks_takes_any_length(rng, jit_compile):
    inputs = keras.Input((None, D))
    layer = MultiHeadAttention(H, query_chunk_size=4, attention_dropout=0.1)
    model = keras.Model(inputs, layer(inputs))
    model.compile("sgd", "mse", jit_compile=jit_compile)
    plain = MultiHeadAttention(H)
    for length in (2, 4, 5, T, 17):
        x = rng.normal(size=(B, length, D)).astype("float32")
        assert np.isfinite(model.train_on_batch(x, x))
        plain(x)
        plain.set_weights(layer.get_weights())
        found = model.predict_on_batch(x)
        assert_same([found], [to_numpy(plain(x))])


@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="needs TensorFlow's lengths"
)
def test_an_exported_vit_with_chunks_answers_the_same(tmp_path, rng):
    import tensorflow as tf

    vit = build_vit(
        3,
        size="tiny",
        image_shape=(None, None, 3),
        position="rotary",
        num_layers=1,
        query_chunk_size=5,
    )
    images = rng.uniform(0, 255, size=(1, 48, 64, 3)).astype("float32")
    vit.export(tmp_path, verbose=False)
    loaded = tf.saved_model.load(tmp_path)
    assert_same([loaded.serve(images).numpy()], [to_numpy(vit(images))], 1e-5)
