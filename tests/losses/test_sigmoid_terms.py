import keras
import numpy as np
import pytest

from keras_vtr.losses import FocalTerm
from keras_vtr.losses import HungarianLoss
from keras_vtr.losses import IoUAwareTerm
from keras_vtr.losses import RelativeBoxTerm
from keras_vtr.losses import detr_terms
from keras_vtr.losses import sigmoid_terms
from tests.gradients import gradient
from tests.layer_checks import to_numpy
from tests.losses.numpy_reference import corners
from tests.numpy_boxes import restate

# Two targets and one padding, three queries, two classes.
Y_TRUE = {
    "boxes": np.array(
        [[[0.3, 0.3, 0.2, 0.4], [0.7, 0.6, 0.4, 0.2], [0, 0, 0, 0]]], "float32"
    ),
    "labels": np.array([[1, 0, -1]]),
}
Y_PRED = {
    "sigmoid_logits": np.array([[[0.5, -1.0], [-2.0, 1.5], [0.3, 0.2]]], "f4"),
    "boxes": np.array(
        [[[0.7, 0.65, 0.4, 0.2], [0.3, 0.35, 0.2, 0.4], [0.1, 0.9, 0.1, 0.1]]],
        "float32",
    ),
}
QUERIES = (1, 0)  # of the two targets


def restated(term, focal):
    """The label term once more, class by class, in Python floats."""
    logits = Y_PRED["sigmoid_logits"][0].astype("float64")
    total = 0.0
    for query, row in enumerate(logits):
        for label, logit in enumerate(row):
            p = 1 / (1 + np.exp(-logit))
            yes, no = 0.0, p**term.gamma * (1 - term.alpha if focal else 1)
            if query in QUERIES:
                target = QUERIES.index(query)
                if Y_TRUE["labels"][0, target] == label:
                    overlap, _ = restate(
                        corners(Y_PRED["boxes"][0, query].astype("float64")),
                        corners(Y_TRUE["boxes"][0, target].astype("float64")),
                    )
                    yes = p**term.alpha * overlap ** (1 - term.alpha)
                    no = 1 - yes
                    if focal:
                        yes, no = term.alpha * (1 - p) ** term.gamma, 0.0
            total -= yes * np.log(p) + no * np.log(1 - p)
    return total / 2


@pytest.mark.parametrize("focal", [True, False])
@pytest.mark.parametrize("change", [{}, {"alpha": 0.6, "gamma": 1.5}])
@pytest.mark.any_backend
def test_the_value_is_that_of_the_equations(focal, change):
    term = (FocalTerm if focal else IoUAwareTerm)(**change)
    loss = HungarianLoss([term, *detr_terms()[1:]])
    found = loss.term_values(Y_TRUE, Y_PRED)
    np.testing.assert_allclose(
        to_numpy(found["label_loss"]), [restated(term, focal)], rtol=1e-5
    )


def test_known_targets_cost_nothing():
    y_pred = {
        "sigmoid_logits": np.array([[[-90.0, 90.0], [90.0, -90.0]]], "float32"),
        "boxes": Y_TRUE["boxes"][:, :2],
    }
    y_true = {key: x[:, :2] for key, x in Y_TRUE.items()}
    loss = HungarianLoss(sigmoid_terms())
    assert float(loss(y_true, y_pred)) < 1e-5
    focal = HungarianLoss([FocalTerm(), *detr_terms()[1:]])
    assert float(focal(y_true, y_pred)) < 1e-5


def test_a_better_box_is_worth_a_higher_score():
    """The gradient pulls the score of a fitting box up, of a poor one down."""

    def pull(shift):
        def loss(logits):
            boxes = Y_TRUE["boxes"][:, :1] + np.array([shift, 0, 0, 0], "f4")
            y_true = {key: x[:, :1] for key, x in Y_TRUE.items()}
            y_pred = {"sigmoid_logits": logits, "boxes": boxes}
            return HungarianLoss(sigmoid_terms())(y_true, y_pred)

        logits = np.array([[[-3.0, 1.0]]], "float32")
        return gradient(loss, logits)[1][0, 0, 1]

    assert pull(0.0) < 0 < pull(0.15)


def test_images_without_objects_teach_that_there_are_none():
    y_true = {**Y_TRUE, "labels": np.full((1, 3), -1)}
    loss = HungarianLoss(sigmoid_terms())
    p = 1 / (1 + np.exp(-Y_PRED["sigmoid_logits"].astype("float64")))
    expected = -(p**2 * np.log(1 - p)).sum()
    np.testing.assert_allclose(float(loss(y_true, Y_PRED)), expected, rtol=1e-5)
    groups = {f"group_{key}": x[:, None] for key, x in Y_PRED.items()}
    twice = {key: np.concatenate([x, x], axis=2) for key, x in groups.items()}
    for further in (groups, twice):  # a mean over the groups
        found = float(loss(y_true, {**Y_PRED, **further}))
        np.testing.assert_allclose(found, 2 * expected, rtol=1e-5)


@pytest.mark.parametrize("huge", [50.0, 3e4, 1e30])
@pytest.mark.parametrize("kind", [FocalTerm, IoUAwareTerm])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_value_and_gradient_are_finite_for_finite_logits(huge, kind, gamma):
    logits = np.array([[[huge, -huge], [-huge, huge], [huge, huge]]], "float32")

    terms = [kind(gamma=gamma), *detr_terms()[1:]]

    def loss(y_pred):
        return HungarianLoss(terms)(Y_TRUE, y_pred)

    value, slopes = gradient(loss, {**Y_PRED, "sigmoid_logits": logits})
    assert np.isfinite(value)
    for slope in slopes.values():
        assert np.isfinite(slope).all()


def test_padding_changes_no_bit(rng):
    loss = HungarianLoss(sigmoid_terms())
    expected = float(loss(Y_TRUE, Y_PRED))
    for most in (2, 3):
        y_true = {key: x[:, :most] for key, x in Y_TRUE.items()}
        assert float(loss(y_true, Y_PRED)) == expected


def test_relative_boxes_are_compared_in_units_of_the_reference():
    reference = np.array([[[0.5, 0.5, 0.2, 0.1]]], "float32")
    y_pred = {
        "logits": np.zeros((1, 1, 3), "float32"),
        "boxes": np.array([[[0.6, 0.5, 0.2, 0.2]]], "float32"),
        "reference_boxes": reference,
    }
    y_true = {
        "labels": np.array([[1]]),
        "boxes": np.array([[[0.5, 0.45, 0.1, 0.1]]], "float32"),
    }
    loss = HungarianLoss([RelativeBoxTerm(2.0)])
    found = loss.term_values(y_true, y_pred)["box_loss"]
    expected = 0.1 / 0.2 + 0.05 / 0.1 + np.log(2) + np.log(2)
    np.testing.assert_allclose(to_numpy(found), [expected], rtol=1e-5)
    np.testing.assert_allclose(
        float(loss(y_true, y_pred)), 2 * expected, rtol=1e-5
    )


def test_terms_of_the_other_classifier_are_refused():
    with pytest.raises(
        ValueError, match=r"'label_loss' must get 'logits'.*Use"
    ):
        HungarianLoss()(Y_TRUE, Y_PRED)
    softmax = {"logits": np.ones((1, 3, 3)), "boxes": Y_PRED["boxes"]}
    with pytest.raises(ValueError, match=r"must get 'sigmoid_logits'.*softmax"):
        HungarianLoss(sigmoid_terms())(Y_TRUE, softmax)
    with pytest.raises(ValueError, match="'reference_boxes'"):
        HungarianLoss([*sigmoid_terms(), RelativeBoxTerm(name="moves")])(
            Y_TRUE, Y_PRED
        )


@pytest.mark.parametrize(
    "wrong", [{"alpha": 1.5}, {"gamma": -1.0}, {"weight": -1.0}]
)
@pytest.mark.parametrize("kind", [FocalTerm, IoUAwareTerm])
def test_arguments_out_of_range_are_refused(kind, wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"Received: {name}={value}"):
        kind(**wrong)


def test_the_loss_is_saved_with_its_terms():
    terms = [IoUAwareTerm(alpha=0.3), FocalTerm(gamma=1.0, name="focal")]
    loss = HungarianLoss([*terms, RelativeBoxTerm(3.0)])
    again = HungarianLoss.from_config(loss.get_config())
    assert again.get_config() == loss.get_config()
    assert keras.saving.serialize_keras_object(again.terms[0])["config"] == {
        "name": "label_loss",
        "weight": 1.0,
        "cost_weight": 2.0,
        "alpha": 0.3,
        "gamma": 2.0,
        "class_weights": None,
    }
