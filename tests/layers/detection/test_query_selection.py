import keras
import numpy as np
import pytest

from keras_vtr.layers import AxisCenters
from keras_vtr.layers import QuerySelection
from tests.gradients import gradient
from tests.layer_checks import set_weights
from tests.layer_checks import to_numpy

ROWS, COLUMNS = 3, 5


def centers(images=2):
    return AxisCenters()(np.zeros((images, ROWS, COLUMNS, 1), "float32"))


def selection(memory, **change):
    layer = QuerySelection(
        **{"num_queries": 4, "num_classes": 3, "side": 0.1, **change}
    )
    layer(memory, centers(len(memory)))
    set_weights(layer)
    return layer


def memory(rng, images=2):
    return rng.normal(size=(images, ROWS * COLUMNS, 8)).astype("float32")


@pytest.mark.parametrize("classifier", ["sigmoid", "softmax"])
@pytest.mark.any_backend
def test_the_best_tokens_are_selected_best_first(rng, classifier):
    tokens = memory(rng)
    few = selection(tokens, classifier=classifier)
    every = selection(tokens, classifier=classifier, num_queries=15)
    found, all_of_them = (
        [to_numpy(x) for x in layer(tokens, centers())]
        for layer in (few, every)
    )
    for some, more in zip(found, all_of_them, strict=True):
        np.testing.assert_allclose(some, more[:, :4], atol=1e-6)
    logits = all_of_them[1]
    probabilities = 1 / (1 + np.exp(-logits))
    if classifier == "softmax":
        e = np.exp(logits)
        probabilities = (e / e.sum(axis=-1, keepdims=True))[..., :-1]
    scores = probabilities.max(axis=-1)
    assert (np.diff(scores) <= 1e-6).all()


def test_boxes_start_around_the_center_of_their_token(rng):
    tokens = memory(rng)
    layer = QuerySelection(15, 3, side=0.1)
    _, logits, boxes, references = layer(tokens, centers())
    x, y = (to_numpy(c)[0] for c in centers(1))
    expected = {(a, b) for a in x.round(4) for b in y.round(4)}
    references = to_numpy(references)
    found = {tuple(c) for c in references[0, :, :2].round(4)}
    assert found == expected
    np.testing.assert_allclose(references[..., 2:], 0.1)
    np.testing.assert_allclose(to_numpy(boxes), references, atol=0.02)
    # Of the prior, since nothing is learned yet.
    np.testing.assert_allclose(to_numpy(logits).mean(), -np.log(99), atol=1.5)


def test_half_precision_does_not_round_where_boxes_start(rng):
    exact, coarse = (
        QuerySelection(15, 3, dtype=dtype)(memory(rng), centers())[-1]
        for dtype in ("float32", "mixed_bfloat16")
    )
    exact, coarse = (np.unique(to_numpy(x)) for x in (exact, coarse))
    np.testing.assert_array_equal(coarse, exact)
    x, _ = AxisCenters(dtype="mixed_bfloat16")(np.zeros((1, 1, 7, 1), "f4"))
    np.testing.assert_allclose(
        to_numpy(x)[0], (np.arange(7) + 0.5) / 7, rtol=1e-6
    )


def test_tokens_permute_with_their_pixels(rng):
    """A token brings its own place: the order of the grid's rows is nothing."""
    tokens = memory(rng)
    layer = selection(tokens)
    x, y = centers()
    order = [2, 0, 1]
    swapped = tokens.reshape(2, ROWS, COLUMNS, 8)[:, order].reshape(2, -1, 8)
    expected = layer(tokens, (x, y))
    found = layer(swapped, (x, to_numpy(y)[:, order]))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(to_numpy(a), to_numpy(b), atol=1e-5)


def test_padding_is_not_selected(rng):
    tokens = memory(rng)
    layer = selection(tokens)
    mask = np.zeros((2, ROWS, COLUMNS), bool)
    mask[:, :2, :2] = True
    mask = mask.reshape(2, -1)
    *_, references = layer(tokens, centers(), padding_mask=mask)
    x, y = (to_numpy(c)[0] for c in centers(1))
    found = to_numpy(references)
    assert set(found[..., 0].ravel()) <= set(x[:2])
    assert set(found[..., 1].ravel()) <= set(y[:2])


def test_the_best_token_is_selected_again_where_there_are_too_few(rng):
    """However the image is padded, and in a graph of any number of tokens."""
    tokens = memory(rng)
    layer = selection(tokens, num_queries=15)
    for rows, columns in ((2, 2), (3, 4)):
        mask = np.zeros((2, ROWS, COLUMNS), bool)
        mask[:, :rows, :columns] = True
        padded = np.where(mask.reshape(2, -1, 1), tokens, 9.0)
        x, y = AxisCenters()(
            np.zeros((2, ROWS, COLUMNS, 1), "float32"), padding_mask=mask
        )
        found = layer(padded, (x, y), padding_mask=mask.reshape(2, -1))
        free = QuerySelection.from_config(layer.get_config())
        free(keras.Input((None, 8)), [keras.Input((None,))] * 2)
        free.set_weights(layer.get_weights())
        cut = tokens[mask.reshape(2, -1)].reshape(2, -1, 8)
        centers_of = (to_numpy(x)[:, :columns], to_numpy(y)[:, :rows])
        expected = free(cut, centers_of)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(to_numpy(a), to_numpy(b), atol=1e-5)
        again = to_numpy(expected[0])[:, rows * columns :]
        assert (again == to_numpy(expected[0])[:, :1]).all()


def test_anchors_are_the_boxes_without_gradient(rng):
    layer = selection(memory(rng))
    tokens = memory(rng)

    def total(index):
        def of(x):
            return layer(x, centers())[index][0, 0, 0]

        return of

    value, slope = gradient(total(0), tokens)
    same, other = gradient(total(2), tokens)
    assert value == same and not slope.any() and other.any()


def test_wrong_arguments_are_refused(rng):
    with pytest.raises(
        ValueError, match=r"num_queries=16, 15 tokens. Use fewer"
    ):
        QuerySelection(16, 3)(memory(rng), centers())
    with pytest.raises(ValueError, match="Received: num_classes=0"):
        QuerySelection(4, 0)
    with pytest.raises(ValueError, match="Received: side=0"):
        QuerySelection(4, 3, side=0)
    with pytest.raises(ValueError, match="`classifier` must be one of"):
        QuerySelection(4, 3, "focal")


def test_tokens_near_the_edge_are_not_selected(rng):
    tokens = memory(rng)
    layer = selection(tokens, num_queries=3, margin=0.2)
    references = to_numpy(layer(tokens, centers())[3])
    assert abs(references[..., :2] - 0.5).max() < 0.3
    # A column's center is at 0.1, a row's at 1 / 6: 3 of 15 tokens are left.
    assert len({tuple(x) for x in references[0].round(4)}) == 3


def test_learned_moves_change_the_anchors_alone(rng):
    tokens = memory(rng)
    layer = selection(tokens, learned_moves=True)
    layer.moves.assign(np.zeros(layer.moves.shape))
    before = [to_numpy(x) for x in layer(tokens, centers())]
    np.testing.assert_array_equal(before[0], before[2])
    moves = np.zeros(layer.moves.shape)
    moves[0, 1] = [1, 0, 0, np.log(2)]
    layer.moves.assign(moves)
    anchors, *others = (to_numpy(x) for x in layer(tokens, centers()))
    for found, expected in zip(others, before[1:], strict=True):
        np.testing.assert_array_equal(found, expected)
    expected = before[0].copy()
    expected[:, 1, 0] += expected[:, 1, 2]
    expected[:, 1, 3] *= 2
    np.testing.assert_allclose(anchors, expected, atol=1e-6)
