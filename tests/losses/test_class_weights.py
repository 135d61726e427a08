import keras
import numpy as np
import pytest

from keras_vtr.losses import BoxTerm
from keras_vtr.losses import FocalTerm
from keras_vtr.losses import HungarianLoss
from keras_vtr.losses import IoUAwareTerm
from keras_vtr.losses import LabelTerm
from tests.gradients import gradient

# Three queries, three classes; queries 1 and 0 are those of the two targets.
Y_TRUE = {
    "boxes": np.array([[[0.3, 0.3, 0.2, 0.4], [0.7, 0.6, 0.4, 0.2]]], "f4"),
    "labels": np.array([[2, 0]]),
}
BOXES = [[0.7, 0.65, 0.4, 0.2], [0.3, 0.35, 0.2, 0.4], [0.1, 0.9, 0.1, 0.1]]
LOGITS = np.array(
    [[[0.5, -1.0, 0.1], [-2.0, 1.5, 0.7], [0.3, 0.2, -0.4]]], "f4"
)
Y_PRED = {
    "boxes": np.array([BOXES], "float32"),
    "logits": np.concatenate([LOGITS, np.ones((1, 3, 1), "f4")], axis=-1),
    "sigmoid_logits": LOGITS,
}
WEIGHTS = (3.0, 1.0, 0.5)


def losses(kind, class_weights):
    """The label term's value, and the gradient of its logits."""
    term = kind(cost_weight=0.0, class_weights=class_weights)
    loss = HungarianLoss([term, BoxTerm(0.0, cost_weight=1.0)])
    key = kind.classifier.key
    y_pred = {"boxes": Y_PRED["boxes"]}
    value, slope = gradient(
        lambda x: loss(Y_TRUE, {**y_pred, key: x}), Y_PRED[key]
    )
    return float(value), np.array(slope)


@pytest.mark.parametrize("kind", [LabelTerm, FocalTerm, IoUAwareTerm])
def test_weights_of_one_change_nothing(kind):
    value, slope = losses(kind, None)
    same, same_slope = losses(kind, [1, 1, 1])
    assert value == same
    np.testing.assert_array_equal(slope, same_slope)


def test_a_class_counts_by_its_weight_in_sum_and_normalizer():
    value, slope = losses(LabelTerm, WEIGHTS)
    logits = Y_PRED["logits"][0].astype("float64")
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    labels, weights = np.array([0, 2, 3]), np.array([3.0, 0.5, 0.1])
    own = log_p[[0, 1, 2], labels]
    np.testing.assert_allclose(value, -weights @ own / weights.sum(), rtol=1e-5)
    expected = weights[:, None] * (np.exp(log_p) - np.eye(4)[labels])
    np.testing.assert_allclose(slope[0], expected / weights.sum(), atol=1e-6)


@pytest.mark.parametrize("kind", [FocalTerm, IoUAwareTerm])
def test_of_sigmoids_only_the_query_s_own_class_is_weighted(kind):
    before, after = (losses(kind, x)[1][0] for x in (None, WEIGHTS))
    before, after = 2 * before, 3.5 * after  # the normalizers
    factors = np.ones((3, 3))
    factors[0, 0], factors[1, 2] = 3.0, 0.5
    np.testing.assert_allclose(after, factors * before, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kind", [LabelTerm, FocalTerm])
def test_weights_are_kept_and_checked(kind):
    term = kind(class_weights=WEIGHTS)
    config = keras.saving.serialize_keras_object(term)
    again = keras.saving.deserialize_keras_object(config)
    assert tuple(again.class_weights) == WEIGHTS
    for wrong in ([], [1, 0], [1, np.nan], [1, np.inf]):
        with pytest.raises(ValueError, match="a number above 0 for each class"):
            kind(class_weights=wrong)
    with pytest.raises(ValueError, match=r"must have 3 numbers.*Received: 2"):
        losses(kind, [1, 2])
