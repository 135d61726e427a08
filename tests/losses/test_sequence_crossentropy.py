import keras
import numpy as np
import pytest

from keras_vtr.losses import SequenceCrossentropy
from tests.layer_checks import to_numpy


def restate(y_true, logits, smoothing):
    """Token by token, with the smoothed distribution written out."""
    losses = []
    for row, of_row in zip(y_true, logits, strict=True):
        for label, x in zip(row, of_row, strict=True):
            if label:
                x = x.astype("float64")
                logs = x - np.log(np.exp(x - x.max()).sum()) - x.max()
                target = np.full(len(x), smoothing / len(x))
                target[label] += 1 - smoothing
                losses.append(-(target * logs).sum())
    return np.mean(losses)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_it_is_the_mean_over_real_tokens(smoothing, rng):
    y_true = np.array([[3, 1, 4, 0, 0], [5, 0, 0, 0, 0]])
    logits = rng.normal(size=(2, 5, 7)).astype("float32")
    loss = SequenceCrossentropy(smoothing)(y_true, logits)
    expected = restate(y_true, logits, smoothing)
    np.testing.assert_allclose(to_numpy(loss), expected, rtol=1e-5)


def test_it_is_keras_s_without_smoothing_and_padding(rng):
    y_true = rng.integers(1, 7, size=(3, 4))
    logits = rng.normal(size=(3, 4, 7)).astype("float32")
    expected = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    np.testing.assert_allclose(
        to_numpy(SequenceCrossentropy(0.0)(y_true, logits)),
        to_numpy(expected(y_true, logits)),
        rtol=1e-5,
    )


def test_padding_changes_nothing(rng):
    y_true = rng.integers(1, 7, size=(2, 4))
    logits = rng.normal(size=(2, 4, 7)).astype("float32")
    loss = SequenceCrossentropy()
    padded = loss(
        np.pad(y_true, ((0, 0), (0, 3))),
        np.pad(logits, ((0, 0), (0, 3), (0, 0)), constant_values=9.0),
    )
    np.testing.assert_allclose(
        to_numpy(padded), to_numpy(loss(y_true, logits)), rtol=1e-6
    )
    nothing = loss(np.zeros((2, 3), int), logits[:, :3])
    assert to_numpy(nothing) == 0.0


def test_large_vocabularies_keep_their_labels():
    y_true = np.array([[40_001]])
    logits = np.zeros((1, 1, 40_002), "float32")
    logits[0, 0, 40_001] = 50.0
    assert to_numpy(SequenceCrossentropy(0.0)(y_true, logits)) < 1e-3


@pytest.mark.parametrize("wrong", [-0.1, 1.0])
def test_smoothing_leaves_something_of_the_truth(wrong):
    with pytest.raises(ValueError, match=f"label_smoothing={wrong}"):
        SequenceCrossentropy(wrong)
