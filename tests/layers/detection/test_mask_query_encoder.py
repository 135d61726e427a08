import keras
import numpy as np
import pytest

from keras_vtr.layers import FeedForward
from keras_vtr.layers import MaskPrediction
from keras_vtr.layers import MaskQueryEncoder
from keras_vtr.layers import MultiHeadAttention
from keras_vtr.layers import TransformerEncoderBlock
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy


def block():
    return TransformerEncoderBlock(MultiHeadAttention(2), FeedForward(9))


def encoder(**change):
    options = {"num_queries": 5, "num_query_blocks": 2}
    options |= {"num_leading_tokens": 1, "upsampling": 2, **change}
    return MaskQueryEncoder(block(), 3, **options)


def inputs(rng):
    tokens = rng.normal(size=(2, 13, 6)).astype("float32")
    return tokens, np.zeros((2, 3, 4, 6), "float32")


def test_without_training_it_is_an_encoder_of_tokens_and_queries(rng):
    layer = encoder(mask_steps=10)
    tokens, feature_map = inputs(rng)
    layer(tokens, feature_map)
    set_weights(layer)
    x = tokens
    for i, own in enumerate(layer.blocks):
        if i == 1:
            queries = np.repeat(to_numpy(layer.queries), 2, axis=0)
            x = np.concatenate([to_numpy(x), queries], axis=1)
        x = own(x)
    x = layer.output_norm(x)
    patches = keras.ops.reshape(x[:, 1:13], (2, 3, 4, 6))
    masks = layer.prediction(x[:, 13:], patches)
    found = layer(tokens, feature_map, training=False)
    np.testing.assert_allclose(found[0], to_numpy(x[:, 13:]), atol=1e-5)
    np.testing.assert_allclose(found[1], to_numpy(masks), atol=1e-4)


def test_a_masked_query_sees_the_patches_of_its_mask_only(rng):
    layer = encoder(num_query_blocks=1, mask_steps=10)
    tokens, feature_map = inputs(rng)
    layer(tokens, feature_map)
    set_weights(layer)
    masks = rng.normal(size=(2, 5, 6, 8)).astype("float32")
    bias = to_numpy(layer._bias(masks, (3, 4), 1.0))
    assert bias.shape == (2, 1, 18, 18)
    inside = masks.reshape(2, 5, 3, 2, 4, 2).mean(axis=(3, 5)) > 0
    expected = np.zeros((2, 18, 18), bool)
    expected[:, 13:, 1:13] = ~inside.reshape(2, 5, 12)
    np.testing.assert_array_equal(bias[:, 0] < -1e8, expected)
    assert (to_numpy(layer._bias(masks, (3, 4), 0.0)) == 0).all()
    trained = layer(tokens, feature_map, training=True)
    answered = layer(tokens, feature_map, training=False)
    assert not np.allclose(to_numpy(trained[0]), to_numpy(answered[0]))
    # The prediction before the masked block is the same.
    np.testing.assert_allclose(
        to_numpy(trained[3]), to_numpy(answered[3]), atol=1e-5
    )


def test_masks_are_annealed_one_block_after_the_other(rng):
    layer = encoder(num_query_blocks=3, mask_steps=60)
    layer(*inputs(rng))
    shares = []
    for step in range(61):
        assert float(layer.step) == step
        shares.append([float(x) for x in layer._shares_of_masked_queries(True)])
    shares = np.array(shares)
    starts, ends = (10, 25, 40), (20, 35, 50)  # sixths: 1 to 2, 2.5 to 3.5, ...
    for block_shares, start, end in zip(shares.T, starts, ends, strict=True):
        np.testing.assert_allclose(block_shares[: start + 1], 1.0, atol=1e-5)
        np.testing.assert_allclose(block_shares[end:], 0.0, atol=1e-5)
        middle = block_shares[(start + end) // 2]
        np.testing.assert_allclose(middle, 0.5**0.9, rtol=1e-4)
    assert layer._shares_of_masked_queries(False) == [None] * 3
    assert float(layer.step) == 61


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_query_blocks": 4}, "num_query_blocks=4, num_layers=3"),
        ({"num_queries": 0}, "num_queries=0"),
        ({"mask_steps": 0}, "mask_steps=0"),
    ],
)
def test_numbers_out_of_range_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        encoder(**change)


def test_an_upsampling_that_is_no_power_of_2_is_refused():
    with pytest.raises(ValueError, match="upsampling=3"):
        MaskPrediction(upsampling=3)
