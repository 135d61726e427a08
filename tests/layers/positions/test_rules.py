import keras
import numpy as np
import pytest

from keras_vtr.layers import MultiHeadAttention
from keras_vtr.layers import PixelCenters
from keras_vtr.layers import RotaryPositions2D
from keras_vtr.models.vit.tokens import rotary_rule
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy

H, KEY_DIM = 3, 8


def logits(rule, queries, keys, positions):
    """(B, H, N, N) products of rotated queries and keys."""
    queries, keys = (
        to_numpy(rule.on_heads(x, positions)).astype("float64")
        for x in (queries, keys)
    )
    return queries @ keys.transpose(0, 1, 3, 2)


def heads(rng, num_tokens):
    shape = (2, H, num_tokens, KEY_DIM)
    return [rng.normal(size=shape).astype("float32") for _ in range(2)]


def centers(rows, columns):
    feature_map = np.zeros((1, rows, columns, 1), "float32")
    return to_numpy(PixelCenters()(feature_map))


def test_pairs_of_channels_are_rotated():
    """Two of eight channels rotate by y, two by x, with those 4 further on."""
    rule = RotaryPositions2D(base=4.0, scale=np.pi)
    x, y = 0.5, 1.0
    heads = np.arange(1.0, 9.0)[None, None, None].astype("float32")
    found = to_numpy(rule.on_heads(heads, np.array([[[x, y]]], "float32")))
    angles = np.pi * np.array([y, y / 2, x, x / 2])
    a, b = heads[0, 0, 0, :4], heads[0, 0, 0, 4:]
    expected = np.concatenate(
        [
            a * np.cos(angles) - b * np.sin(angles),
            b * np.cos(angles) + a * np.sin(angles),
        ]
    )
    np.testing.assert_allclose(found[0, 0, 0], expected, atol=1e-5)


def test_logits_depend_on_the_differences_of_positions_alone(rng):
    rule = RotaryPositions2D(scale=5.0)
    positions = rng.uniform(size=(1, 7, 2)).astype("float32")
    moved = positions + np.array([0.25, -0.5], "float32")
    queries, keys = heads(rng, 7)
    expected = logits(rule, queries, keys, positions)
    np.testing.assert_allclose(
        logits(rule, queries, keys, moved), expected, atol=1e-5
    )
    other = logits(rule, queries, keys, positions[:, ::-1])
    assert abs(other - expected).max() > 0.1


def test_lengths_are_kept(rng):
    rule = RotaryPositions2D()
    queries, _ = heads(rng, 7)
    positions = rng.uniform(size=(2, 7, 2)).astype("float32")
    np.testing.assert_allclose(
        np.linalg.norm(to_numpy(rule.on_heads(queries, positions)), axis=-1),
        np.linalg.norm(queries, axis=-1),
        rtol=1e-5,
    )


def test_leading_tokens_are_not_rotated(rng):
    rule = RotaryPositions2D(num_leading_tokens=2)
    queries, _ = heads(rng, 7)
    positions = rng.uniform(size=(1, 5, 2)).astype("float32")
    found = to_numpy(rule.on_heads(queries, positions))
    np.testing.assert_array_equal(found[:, :, :2], queries[:, :, :2])
    alone = RotaryPositions2D().on_heads(queries[:, :, 2:], positions)
    np.testing.assert_array_equal(found[:, :, 2:], to_numpy(alone))


def test_merged_windows_have_their_leading_tokens_first(rng):
    rule = RotaryPositions2D(num_leading_tokens=1)
    queries, _ = heads(rng, 7)
    positions = rng.uniform(size=(1, 5, 2)).astype("float32")
    found = to_numpy(rule.on_heads(queries, positions))
    expected = RotaryPositions2D(num_leading_tokens=2)
    expected = to_numpy(expected.on_heads(queries, positions))
    np.testing.assert_array_equal(found, expected)


def test_it_is_exact_at_another_grid(rng):
    """Patches of two grids at the same position are rotated alike."""
    rule = RotaryPositions2D(scale=12.0)
    queries, _ = heads(rng, 9)
    coarse = to_numpy(rule.on_heads(queries, centers(3, 3)))
    fine = np.zeros((2, H, 81, KEY_DIM), "float32")
    where = [9 * row + column for row in (1, 4, 7) for column in (1, 4, 7)]
    fine[:, :, where] = queries
    fine = to_numpy(rule.on_heads(fine, centers(9, 9)))
    np.testing.assert_allclose(fine[:, :, where], coarse, atol=1e-5)


def test_attention_without_positions_rotates_nothing(rng):
    tokens = rng.normal(size=(2, 5, 24)).astype("float32")
    plain = MultiHeadAttention(3)
    rotary = MultiHeadAttention(3, position_rule=RotaryPositions2D())
    for layer in (plain, rotary):
        layer(tokens)
        set_weights(layer)
    np.testing.assert_array_equal(
        to_numpy(plain(tokens)), to_numpy(rotary(tokens))
    )
    positions = rng.uniform(size=(1, 5, 2)).astype("float32") * 9
    rotated = to_numpy(rotary(tokens, query_positions=positions))
    assert abs(rotated - to_numpy(plain(tokens))).max() > 1e-3


def test_wrong_arguments_are_refused(rng):
    for argument in ("base", "scale"):
        with pytest.raises(ValueError, match=f"`{argument}` must be a number"):
            RotaryPositions2D(**{argument: 0.0})
    with pytest.raises(ValueError, match="`num_leading_tokens` must be an int"):
        RotaryPositions2D(num_leading_tokens=-1)
    with pytest.raises(ValueError, match=r"multiple of 4.*key_dim=6"):
        RotaryPositions2D().on_heads(
            np.zeros((1, 2, 3, 6)), np.zeros((1, 3, 2))
        )
    heads = np.zeros((1, 2, 3, 8), "float32")
    for shape in ((1, 1, 2), (1, 4, 2), (1, 3, 8), (3, 2)):
        with pytest.raises(ValueError, match="`positions` must be x and y"):
            RotaryPositions2D().on_heads(heads, np.zeros(shape, "float32"))
    with pytest.raises(ValueError, match="`position_rule` must be a Positi"):
        MultiHeadAttention(2, position_rule="rotary")
    with pytest.raises(ValueError, match=r"must be a PositionRule.*Dense"):
        MultiHeadAttention(2, position_rule=keras.layers.Dense(3))


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")  # theirs
def test_a_vit_rotates_as_dinov3(rng):
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip(
        "transformers.models.dinov3_vit.modeling_dinov3_vit"
    )
    config = theirs.DINOv3ViTConfig(
        hidden_size=H * KEY_DIM, num_attention_heads=H, patch_size=8
    )
    embedding = theirs.DINOv3ViTRopePositionEmbedding(config).eval()
    both = heads(rng, 2 + 3 * 5)
    with torch.no_grad():
        cosine_and_sine = embedding(torch.zeros(1, 3, 24, 40))
        expected = theirs.apply_rotary_pos_emb(
            *(torch.tensor(x) for x in both), *cosine_and_sine
        )
    rule = rotary_rule(num_leading_tokens=2)
    for ours, answer in zip(both, expected, strict=True):
        np.testing.assert_allclose(
            to_numpy(rule.on_heads(ours, centers(3, 5))),
            answer.numpy(),
            atol=1e-5,
        )
