import keras
import numpy as np
import pytest

from keras_vtr import layers
from tests.layer_checks import make_inputs
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy
from tests.layers import numpy_reference
from tests.layers.tiny_blocks import encoder
from tests.layers.tiny_blocks import parts
from tests.tiny_models import tiny_vit

SHAPES = {
    "tokens": (2, 5, 12),
    "positions": (2, 5, 12),
    "padding_mask": (2, 5),
}


def restate_block(weights, inputs, normalize_first):
    mask = np.repeat(inputs["padding_mask"][:, None], 5, axis=1)
    tokens = numpy_reference.attention_block(
        numpy_reference.below(weights, "self_attention"),
        3,
        normalize_first,
        1e-3,
        inputs["tokens"],
        query_positions=inputs["positions"],
        mask=mask,
    )
    return numpy_reference.feed_forward(
        numpy_reference.below(weights, "feed_forward"),
        tokens,
        numpy_reference.relu,
        normalize_first,
        1e-3,
    )


@pytest.mark.parametrize("normalize_first", [True, False])
@pytest.mark.parametrize("norm", ["layer norm", "none", None])
def test_equals_the_numpy_restatement(normalize_first, norm):
    inputs = make_inputs(SHAPES)
    norms = {
        "layer norm": keras.layers.LayerNormalization(epsilon=1e-3),
        "none": keras.layers.Identity(),
        None: None,
    }
    layer = encoder(norm=norms[norm], normalize_first=normalize_first)
    layer(**inputs)
    set_weights(layer)
    output = to_numpy(layer(**inputs))
    weights = numpy_reference.weights_of(layer)
    for name in ("block_0", "block_1"):
        block = numpy_reference.below(weights, name)
        tokens = restate_block(block, inputs, normalize_first)
        inputs["tokens"] = tokens
    if norm == "layer norm" or (norm is None and normalize_first):
        norm = numpy_reference.below(weights, "norm")
        tokens = numpy_reference.layer_norm(norm, tokens, 1e-3)
    np.testing.assert_allclose(output, tokens, atol=2e-5)


def test_permuting_tokens_without_positions_permutes_the_output(rng):
    tokens = rng.normal(size=(2, 5, 12)).astype("float32")
    layer = encoder()
    order = rng.permutation(5)
    np.testing.assert_allclose(
        to_numpy(layer(tokens))[:, order],
        to_numpy(layer(tokens[:, order])),
        atol=1e-5,
    )


def test_a_padded_token_changes_no_real_one(rng):
    tokens = rng.normal(size=(2, 5, 12)).astype("float32")
    layer = encoder()
    padding_mask = np.tile(np.arange(5) < 3, (2, 1))
    padded = to_numpy(layer(tokens, padding_mask=padding_mask))
    alone = to_numpy(layer(tokens[:, :3]))
    np.testing.assert_allclose(padded[:, :3], alone, atol=1e-5)


def test_a_batch_of_two_equals_two_batches_of_one(rng):
    tokens = rng.normal(size=(2, 5, 12)).astype("float32")
    layer = encoder()
    together = to_numpy(layer(tokens))
    for i in range(2):
        alone = to_numpy(layer(tokens[i : i + 1]))
        # Products of other sizes may be summed in another order.
        np.testing.assert_allclose(together[i], alone[0], atol=1e-5)


def test_a_causal_encoder_never_sees_a_later_token(rng):
    tokens = rng.normal(size=(2, 5, 12)).astype("float32")
    layer = encoder()
    before = to_numpy(layer(tokens, use_causal_mask=True))
    tokens[:, 3:, ::2] += 1.0  # a norm undoes equal shifts
    after = to_numpy(layer(tokens, use_causal_mask=True))
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert not np.allclose(before[:, 3:], after[:, 3:])


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("num_layers", 0),
        ("num_heads", 0),
        ("mlp_dim", -3),
        ("dropout", 1.0),
        ("stochastic_depth", 2.0),
    ],
)
def test_arguments_must_be_in_range(argument, value):
    with pytest.raises(ValueError, match=f"Received: {argument}={value!r}"):
        encoder(**{argument: value})


def test_options_are_named():
    block = layers.TransformerEncoderBlock(**parts())
    with pytest.raises(TypeError, match="positional"):
        layers.TransformerEncoder(block, 6, 0.1)
    with pytest.raises(ValueError, match="`block` must be a Keras layer"):
        layers.TransformerEncoder(6, 8)


def test_num_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="`num_heads` must divide"):
        encoder(num_heads=5)(np.ones((2, 5, 12)))


def test_stochastic_depth_grows_over_the_copies():
    layer = encoder(num_layers=4, stochastic_depth=0.2)
    layer(np.ones((2, 5, 12)))
    rates = [block.stochastic_depth for block in layer.blocks]
    np.testing.assert_allclose(rates, [0.05, 0.1, 0.15, 0.2])


@keras.saving.register_keras_serializable(package="tests")
class Narrower(keras.layers.Layer):
    def call(self, tokens):
        return tokens[..., :-1]


def test_a_block_must_keep_the_shape():
    layer = layers.TransformerEncoder(Narrower(), num_layers=2)
    with pytest.raises(
        ValueError, match=r"(?s)`block` must return tokens.*Nar"
    ):
        layer(np.ones((2, 5, 12), "float32"))


@keras.saving.register_keras_serializable(package="tests")
class LengthIsLost(keras.layers.Layer):
    def call(self, tokens):
        shape = keras.ops.shape(tokens)
        return keras.ops.reshape(tokens, (shape[0], -1, tokens.shape[-1]))


def test_a_block_may_leave_a_length_open():
    layer = layers.TransformerEncoder(LengthIsLost(), num_layers=2)
    assert layer(keras.Input((None, 12))).shape[-1] == 12
    assert layer(np.ones((2, 5, 12), "float32")).shape == (2, 5, 12)


def test_a_frozen_encoder_is_frozen_when_it_is_reloaded(tmp_path):
    vit = tiny_vit(num_heads=3)
    vit.get_layer("encoder").trainable = False
    vit.save(tmp_path / "vit.keras")
    again = keras.models.load_model(tmp_path / "vit.keras")
    trained = [weight.path for weight in again.trainable_weights]
    assert trained == [weight.path for weight in vit.trainable_weights]
    again.get_layer("encoder").trainable = True
    assert len(again.trainable_weights) == len(again.weights)
