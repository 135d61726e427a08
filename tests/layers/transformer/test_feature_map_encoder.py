import keras
import numpy as np
import pytest

from keras_vtr.layers import FeatureMapEncoder
from keras_vtr.layers import FeedForward
from keras_vtr.layers import MultiHeadAttention
from keras_vtr.layers import TransformerEncoder
from keras_vtr.layers import TransformerEncoderBlock
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy

GRID = (3, 5)
D = 12


def block(**change):
    return TransformerEncoderBlock(
        MultiHeadAttention(3), FeedForward(13), **change
    )


def tokens_and_map(rng, num_leading=0):
    patches = rng.normal(size=(2, *GRID, D)).astype("float32")
    leading = rng.normal(size=(2, num_leading, D)).astype("float32")
    tokens = np.concatenate([leading, patches.reshape(2, 15, D)], axis=1)
    return tokens, patches


def encoder(tokens, patches, num_layers=2, **config):
    """With weights that are the same for the same blocks."""
    config["num_leading_tokens"] = tokens.shape[1] - 15
    layer = FeatureMapEncoder(block(), num_layers, **config)
    layer(tokens, patches)
    set_weights(layer)
    return layer


def plain(tokens, num_layers=2):
    layer = TransformerEncoder(block(), num_layers)
    layer(tokens)
    set_weights(layer)
    return layer


def test_without_options_it_is_an_encoder_and_a_reshape(rng):
    tokens, patches = tokens_and_map(rng, 2)
    ours, theirs = encoder(tokens, patches), plain(tokens)
    expected = to_numpy(theirs(tokens))[:, 2:].reshape(2, *GRID, D)
    found = ours(tokens, patches)
    np.testing.assert_allclose(to_numpy(found), expected, atol=1e-5)
    paths = [x.path.split("/", 1)[1] for x in theirs.weights]
    assert [x.path.split("/", 1)[1] for x in ours.weights] == paths


@pytest.mark.parametrize("window_size", [7, (3, 5), (4, 9)])
def test_one_window_is_none(window_size, rng):
    tokens, patches = tokens_and_map(rng, 2)
    expected = encoder(tokens, patches)(tokens, patches)
    for global_blocks in ((), (0, 1)):
        layer = encoder(
            tokens,
            patches,
            window_size=window_size,
            global_blocks=global_blocks,
        )
        np.testing.assert_allclose(
            to_numpy(layer(tokens, patches)), to_numpy(expected), atol=1e-5
        )


@pytest.mark.parametrize(("counts", "sizes"), [(2, (2, 3)), ((3, 1), (1, 5))])
def test_a_number_of_windows_is_a_size_that_fits_the_map(counts, sizes, rng):
    tokens, patches = tokens_and_map(rng, 2)
    assert patches.shape[1:3] == (3, 5)
    found, expected = (
        encoder(tokens, patches, global_blocks=(1,), **options)(tokens, patches)
        for options in ({"num_windows": counts}, {"window_size": sizes})
    )
    np.testing.assert_array_equal(to_numpy(found), to_numpy(expected))


def test_where_all_blocks_are_global_windows_change_nothing(rng):
    tokens, patches = tokens_and_map(rng)
    expected = encoder(tokens, patches)(tokens, patches)
    layer = encoder(tokens, patches, window_size=2, global_blocks=(0, 1))
    found = layer(tokens, patches)
    np.testing.assert_allclose(to_numpy(found), to_numpy(expected), atol=1e-5)


def test_each_window_is_encoded_as_if_alone(rng):
    """Those at the edge, which are cut, without their padding."""
    tokens, patches = tokens_and_map(rng, 2)
    layer = encoder(tokens, patches, window_size=2, global_blocks=())
    found = to_numpy(layer(tokens, patches))
    alone = plain(tokens)
    for row in (0, 2):
        for column in (0, 2, 4):
            where = np.s_[:, row : row + 2, column : column + 2]
            window = patches[where]
            expected = alone(
                np.concatenate([tokens[:, :2], window.reshape(2, -1, D)], 1)
            )[:, 2:]
            np.testing.assert_allclose(
                found[where].reshape(2, -1, D), to_numpy(expected), atol=1e-5
            )


@pytest.mark.parametrize("global_blocks", [(), (1,), None])
def test_only_a_global_block_sees_other_windows(global_blocks, rng):
    """By default the last block, the end of a quarter, is one."""
    tokens, patches = tokens_and_map(rng)
    layer = encoder(
        tokens, patches, window_size=(3, 2), global_blocks=global_blocks
    )
    other = tokens.copy()
    other[:, 4, 0] += 1.0  # row 0, column 4: in the last window
    change = to_numpy(layer(tokens, patches)) - to_numpy(layer(other, patches))
    change = abs(change).max(axis=(0, 3))
    assert (change[:, 4] > 1e-4).all()
    sees_others = global_blocks != ()
    assert (change[:, :4] > 1e-5).all() == sees_others
    assert change[:, :4].any() == sees_others


def test_features_of_a_block_are_those_of_a_shorter_encoder(rng):
    tokens, patches = tokens_and_map(rng, 1)
    layer = encoder(tokens, patches, 3, feature_blocks=(0, 1))
    assert len(layer.blocks) == 2
    found = to_numpy(layer(tokens, patches))
    for i in range(2):
        shorter = encoder(tokens, patches, i + 1)
        for ours, theirs in zip(shorter.blocks, layer.blocks, strict=False):
            ours.set_weights(theirs.get_weights())
        shorter.output_norm.set_weights(layer.output_norm.get_weights())
        expected = to_numpy(shorter(tokens, patches))
        part = found[..., i * D : (i + 1) * D]
        np.testing.assert_allclose(part, expected, atol=1e-5)


@pytest.mark.parametrize("global_blocks", [(), (0,)])
def test_padding_changes_nothing_and_is_finite(global_blocks, rng):
    """Columns 2 to 4 are padding, and with them complete windows."""
    tokens, patches = tokens_and_map(rng, 1)
    options = {"window_size": 2, "global_blocks": global_blocks}
    layer = encoder(tokens, patches, **options)
    mask = np.zeros((2, *GRID), bool)
    mask[:, :, :2] = True
    found = to_numpy(layer(tokens, patches, padding_mask=mask))
    assert np.isfinite(found).all()
    real = patches[:, :, :2]
    alone = np.concatenate([tokens[:, :1], real.reshape(2, 6, D)], axis=1)
    np.testing.assert_allclose(
        found[:, :, :2], to_numpy(layer(alone, real)), atol=1e-5
    )


def test_the_global_blocks_of_vitdet_end_each_quarter():
    for num_layers, expected in (
        (12, (2, 5, 8, 11)),
        (24, (5, 11, 17, 23)),
        (3, (0, 1, 2)),
        (1, (0,)),
    ):
        layer = FeatureMapEncoder(block(), num_layers, window_size=2)
        layer.build((None, None, D))
        assert layer.seen_globally == expected


def test_an_attention_bias_passes_without_windows(rng):
    tokens, patches = tokens_and_map(rng)
    bias = rng.normal(size=(1, 3, 15, 15)).astype("float32")
    layer, alone = encoder(tokens, patches), plain(tokens)
    expected = to_numpy(alone(tokens, attention_bias=bias))
    found = to_numpy(layer(tokens, patches, attention_bias=bias))
    np.testing.assert_allclose(found.reshape(2, 15, D), expected, atol=1e-5)
    layer = encoder(tokens, patches, window_size=2)
    with pytest.raises(ValueError, match="must be None with windows"):
        layer(tokens, patches, attention_bias=bias)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"feature_blocks": (0, 3)}, "`feature_blocks` must be .* from 0 to 2"),
        ({"feature_blocks": (-1,)}, "`feature_blocks` must be numbers"),
        ({"feature_blocks": (1, 0)}, "in ascending order"),
        ({"feature_blocks": 2}, r"Received: feature_blocks=2"),
        ({"feature_blocks": ()}, "`feature_blocks` must name a block"),
        (
            {"global_blocks": (1, 1), "window_size": 2},
            "`global_blocks` must be numbers of blocks",
        ),
        ({"global_blocks": (1,)}, "`global_blocks` needs a `window_size`"),
        ({"window_size": 2, "num_windows": 2}, "must not both be given"),
        ({"num_windows": (2,)}, "`num_windows` must be a number, or a pair"),
        ({"window_size": 0}, "`window_size` must be a positive integer"),
        ({"window_size": (2, 2, 2)}, "must be a number, or a pair of them"),
        ({"num_leading_tokens": -1}, "`num_leading_tokens` must be an int"),
    ],
)
def test_wrong_arguments_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        FeatureMapEncoder(block(), 3, **arguments)


def test_tokens_that_are_no_grid_are_refused(rng):
    tokens, patches = tokens_and_map(rng)
    layer = FeatureMapEncoder(block(), 1)
    with pytest.raises(ValueError, match=r"`tokens` must have the length 0 \+"):
        layer(tokens[:, :14], patches)
    with pytest.raises(ValueError, match="`positions` must have the length"):
        layer(tokens, patches, positions=tokens[:, :3])
    with pytest.raises(ValueError, match="`feature_map` must have the shape"):
        layer(tokens, tokens)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="JAX knows all sides"
)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_sides_may_be_unknown_in_a_graph(jit_compile, rng):
    import tensorflow as tf

    tokens, patches = tokens_and_map(rng, 1)
    layer = encoder(tokens, patches, window_size=2, global_blocks=(1,))
    expected = to_numpy(layer(tokens, patches))
    signature = [
        tf.TensorSpec((None, None, D)),
        tf.TensorSpec((None, None, None, D)),
    ]
    function = tf.function(layer, signature, jit_compile=jit_compile)
    found = to_numpy(function(tokens, patches))
    np.testing.assert_allclose(found, expected, atol=1e-5)
