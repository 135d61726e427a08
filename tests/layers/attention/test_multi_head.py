import keras
import numpy as np
import pytest

from keras_vtr.layers import MultiHeadAttention
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy
from tests.layers import numpy_reference

B, T, S, H, D = 2, 5, 7, 3, 12


@pytest.fixture
def tokens(rng):
    def make(length, width=D):
        return rng.normal(size=(B, length, width)).astype("float32")

    return make


def built(*inputs, **arguments):
    layer = MultiHeadAttention(num_heads=H, **arguments)
    layer(*inputs)
    set_weights(layer)
    return layer


@pytest.mark.parametrize("use_causal_mask", [False, True])
def test_equals_the_numpy_restatement(tokens, rng, use_causal_mask):
    query, key, value = tokens(T), tokens(S, 13), tokens(S, 17)
    query_positions, key_positions = tokens(T), tokens(S, 13)
    padding_mask = rng.random((B, S)) < 0.6
    layer = built(query, key, value)
    output, scores = layer(
        query,
        key,
        value,
        query_positions=query_positions,
        key_positions=key_positions,
        padding_mask=padding_mask,
        use_causal_mask=use_causal_mask,
        return_attention_scores=True,
    )
    mask = np.repeat(padding_mask[:, None], T, axis=1)
    if use_causal_mask:
        mask = mask & np.tril(np.ones((T, S), bool))
    expected = numpy_reference.attention(
        numpy_reference.weights_of(layer),
        H,
        query,
        key,
        value,
        query_positions,
        key_positions,
        mask,
    )
    np.testing.assert_allclose(to_numpy(output), expected[0], atol=1e-5)
    np.testing.assert_allclose(to_numpy(scores), expected[1], atol=1e-6)


@pytest.mark.parametrize("use_causal_mask", [False, True])
def test_equals_keras_where_no_row_is_fully_masked(
    tokens, rng, use_causal_mask
):
    query, memory = tokens(T), tokens(S)
    padding_mask = rng.random((B, S)) < 0.6
    padding_mask[:, 0] = True
    ours = built(query, memory)
    theirs = keras.layers.MultiHeadAttention(num_heads=H, key_dim=D // H)
    theirs.build(query.shape, memory.shape, memory.shape)
    weights = numpy_reference.weights_of(ours)
    split = {"kernel": (D, H, D // H), "bias": (H, D // H)}
    parts = []
    for name in ("query", "key", "value"):
        for part, shape in split.items():
            parts.append(weights[f"{name}_projection/{part}"].reshape(shape))
    parts.append(weights["output_projection/kernel"].reshape((H, D // H, D)))
    parts.append(weights["output_projection/bias"])
    theirs.set_weights(parts)
    output, scores = ours(
        query,
        memory,
        padding_mask=padding_mask,
        use_causal_mask=use_causal_mask,
        return_attention_scores=True,
    )
    expected, expected_scores = theirs(
        query,
        memory,
        key_mask=padding_mask,
        use_causal_mask=use_causal_mask,
        return_attention_scores=True,
    )
    np.testing.assert_allclose(to_numpy(output), to_numpy(expected), atol=1e-5)
    np.testing.assert_allclose(
        to_numpy(scores), to_numpy(expected_scores), atol=1e-6
    )


def test_one_head_of_one_channel_can_be_worked_out_by_hand():
    layer = MultiHeadAttention(num_heads=1)
    query = np.array([[[1.0]]])
    key, value = np.array([[[0.0], [np.log(3.0)]]]), np.array([[[4.0], [8.0]]])
    layer(query, key, value)
    layer.set_weights([np.ones((1, 1)), np.zeros(1)] * 4)
    output, scores = layer(query, key, value, return_attention_scores=True)
    np.testing.assert_allclose(to_numpy(scores)[0, 0, 0], [0.25, 0.75], 1e-6)
    np.testing.assert_allclose(to_numpy(output), [[[7.0]]], 1e-6)


@pytest.mark.parametrize("attention_dropout", [0.0, 0.3])
@pytest.mark.parametrize("return_attention_scores", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_a_fully_masked_row_gathers_zeros_on_every_path(
    tokens, attention_dropout, return_attention_scores, training
):
    query, memory = tokens(T), tokens(S)
    layer = built(query, memory, attention_dropout=attention_dropout)
    padding_mask = np.ones((B, S), bool)
    padding_mask[1] = False
    output = layer(
        query,
        memory,
        padding_mask=padding_mask,
        return_attention_scores=return_attention_scores,
        training=training,
    )
    output = output[0] if return_attention_scores else output
    bias = numpy_reference.weights_of(layer)["output_projection/bias"]
    np.testing.assert_allclose(to_numpy(output)[1], np.tile(bias, (T, 1)))
    assert np.isfinite(to_numpy(output)).all()


def test_a_padded_key_changes_nothing(tokens):
    query, memory = tokens(T), tokens(S)
    layer = built(query, memory)
    padding_mask = np.arange(S) < S - 2
    padding_mask = np.tile(padding_mask, (B, 1))
    other = memory.copy()
    other[:, -2:] = 1e4
    np.testing.assert_array_equal(
        to_numpy(layer(query, memory, padding_mask=padding_mask)),
        to_numpy(layer(query, other, padding_mask=padding_mask)),
    )
    np.testing.assert_allclose(
        to_numpy(layer(query, memory, padding_mask=padding_mask)),
        to_numpy(layer(query, memory[:, :-2])),
        atol=1e-6,
    )


def test_a_causal_query_never_sees_a_later_token(tokens):
    x = tokens(T)
    layer = built(x)
    changed = x.copy()
    changed[:, 3:] += 1.0
    before = to_numpy(layer(x, use_causal_mask=True))
    after = to_numpy(layer(changed, use_causal_mask=True))
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert not np.allclose(before[:, 3:], after[:, 3:])


def test_permuting_the_keys_changes_nothing(tokens, rng):
    query, memory = tokens(T), tokens(S)
    layer = built(query, memory)
    order = rng.permutation(S)
    np.testing.assert_allclose(
        to_numpy(layer(query, memory)),
        to_numpy(layer(query, memory[:, order])),
        atol=1e-5,
    )


def test_positions_of_self_attention_enter_keys_but_not_values(tokens):
    x, positions = tokens(T), tokens(T)
    layer = built(x)
    np.testing.assert_allclose(
        to_numpy(layer(x, query_positions=positions)),
        to_numpy(layer(x + positions, x + positions, x)),
        atol=1e-5,
    )


def test_huge_float16_activations_stay_finite(tokens):
    x = tokens(T) * 200
    layer = MultiHeadAttention(num_heads=1, dtype="mixed_float16")
    layer(x)
    padding_mask = np.tile(np.arange(T) < 3, (B, 1))
    assert np.isfinite(to_numpy(layer(x, padding_mask=padding_mask))).all()


@pytest.mark.parametrize("num_heads", [0, -1, 2.0, True])
def test_num_heads_must_be_a_positive_integer(num_heads):
    with pytest.raises(ValueError, match=f"Received: num_heads={num_heads}"):
        MultiHeadAttention(num_heads=num_heads)


def test_num_heads_must_divide_the_width(tokens):
    with pytest.raises(
        ValueError, match=r"num_heads=5, query.shape=\(2, 5, 12"
    ):
        MultiHeadAttention(num_heads=5)(tokens(T))


@pytest.mark.parametrize("attention_dropout", [-0.1, 1.0, "0.1"])
def test_dropout_must_be_a_fraction(attention_dropout):
    with pytest.raises(ValueError, match="`attention_dropout` must be a numb"):
        MultiHeadAttention(2, attention_dropout=attention_dropout)


def test_a_query_must_be_a_batch_of_tokens(rng):
    with pytest.raises(ValueError, match=r"`query` must have the shape"):
        MultiHeadAttention(num_heads=2)(rng.normal(size=(2, 3, 4, 8)))


def test_a_padding_mask_must_be_one_row_an_image(tokens):
    layer = built(tokens(T))
    with pytest.raises(ValueError, match=r"`padding_mask` must have the sh"):
        layer(tokens(T), padding_mask=np.ones((B, T, T), bool))


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({"padding_mask": (2, 4)}, r"`padding_mask` .*\(B=2, S=5\)"),
        ({"padding_mask": (3, 5)}, r"`padding_mask` .*\(3, 5\)"),
        ({"padding_mask": (2, 1)}, r"`padding_mask` .*\(2, 1\)"),
        ({"padding_mask": (2, 5, 1)}, r"`padding_mask` .*\(2, 5, 1\)"),
        ({"attention_mask": (2, 5, 3)}, r"\(B=2, T=3, S=5\).*\(2, 5, 3\)"),
        ({"attention_mask": (3, 5)}, r"`attention_mask` .*\(3, 5\)"),
    ],
)
def test_a_mask_of_the_wrong_shape_is_refused(masks, message):
    layer = MultiHeadAttention(num_heads=2)
    arguments = {name: np.ones(shape, bool) for name, shape in masks.items()}
    query, key = np.ones((2, 3, 4)), np.ones((2, 5, 4))
    with pytest.raises(ValueError, match=message):
        layer(query, key, **arguments)


def test_one_mask_may_serve_the_whole_batch(rng):
    layer = MultiHeadAttention(num_heads=2)
    query, key = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 5, 4))
    mask = np.array([[True, False, True, True, False]])
    expected = layer(query, key, padding_mask=np.repeat(mask, 2, axis=0))
    found = layer(query, key, padding_mask=mask)
    np.testing.assert_array_equal(to_numpy(found), to_numpy(expected))


def test_one_key_alone_is_attended_to_without_a_warning(rng):
    layer = MultiHeadAttention(num_heads=2)
    _, scores = layer(
        rng.normal(size=(1, 3, 4)),
        rng.normal(size=(1, 1, 4)),
        return_attention_scores=True,
    )
    np.testing.assert_array_equal(to_numpy(scores), np.ones((1, 2, 3, 1)))
