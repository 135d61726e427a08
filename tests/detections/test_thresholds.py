"""A least score for each class."""

import numpy as np
import pytest

from keras_vtr.detections import class_thresholds
from keras_vtr.detections import decode_detections
from keras_vtr.detections import detect
from keras_vtr.detections.thresholds import thresholds_by_name
from tests.tiny_models import tiny_detr

NAMES = ("cat", None, "dog")


def outputs_of(rng):
    return {
        "logits": rng.normal(size=(2, 11, 4)).astype("float32"),
        "boxes": rng.uniform(0.2, 0.4, size=(2, 11, 4)).astype("float32"),
    }


def decoded(outputs, threshold):
    found = decode_detections(outputs, (5, 7), score_threshold=threshold)
    return {key: np.asarray(x) for key, x in found.items()}


def test_each_class_has_its_own_and_a_constant_is_one_number(rng):
    outputs = outputs_of(rng)
    every, equal, one = (decoded(outputs, x) for x in (0.0, [0.4] * 3, 0.4))
    for key, value in one.items():
        np.testing.assert_array_equal(equal[key], value)
    assert 0 < (one["labels"] >= 0).sum() < one["labels"].size
    thresholds = np.array([0.3, 1.0, 0.5])
    some = decoded(outputs, thresholds)
    is_found = every["scores"] >= thresholds[every["labels"]]
    for i in range(2):
        for key in some:
            kept = every[key][i][is_found[i]]
            np.testing.assert_array_equal(some[key][i][: len(kept)], kept)
            assert (some["labels"][i][len(kept) :] == -1).all()
    assert set(some["labels"].ravel()) == {-1, 0, 2}


def test_names_are_put_into_the_order_of_the_classes():
    thresholds = class_thresholds({"dog": 0.4, "cat": 0.7}, 3, NAMES)
    assert thresholds.tolist() == [0.7, 1.0, 0.4]
    names = ("a", "b", "c")
    by_name = thresholds_by_name(thresholds, names)
    assert by_name == {"a": 0.7, "b": 1.0, "c": 0.4}
    np.testing.assert_array_equal(
        class_thresholds(by_name, 3, names), thresholds
    )
    # No name says which class is meant.
    for unclear in (NAMES, ("a", "b", "a"), None):
        assert thresholds_by_name(thresholds, unclear) == [0.7, 1.0, 0.4]
    assert thresholds_by_name(0.3, names) == 0.3


@pytest.mark.parametrize(
    ("thresholds", "names", "message"),
    [
        ({"cat": 0.5, "dog": 0.5, "cow": 0.5}, NAMES, "has no class 'cow'"),
        ({"cat": 0.5}, NAMES, "is none for 'dog'; its classes are .*'cat'"),
        ({"cat": 0.5}, ("cat", "cat", None), "has twice 'cat'"),
        ({"cat": 0.5}, None, "numbers, in the order of the classes"),
        ({"cat": 0.5, "dog": np.nan}, NAMES, r"nan for class 2 \(dog\)"),
        ({"cat": 1.5, "dog": 0.5}, NAMES, r"1.5 for class 0 \(cat\)"),
        ({"cat": "high", "dog": 0.5}, NAMES, "must be a number within"),
        ([0.1, 0.2], None, "each of the 3 classes. Received"),
        ([[0.1, 0.2, 0.3]], None, "each of the 3 classes. Received"),
        ([0.1, 0.2, -0.3], None, "-0.3 for class 2"),
        (np.nan, None, "within .*=nan"),
        ("best", None, "must be a number within"),
    ],
)
def test_other_thresholds_are_refused(thresholds, names, message):
    with pytest.raises(ValueError, match=message):
        class_thresholds(thresholds, 3, names)


def test_thresholds_for_classes_that_a_model_lacks_are_refused_at_once():
    detr = tiny_detr(class_names=NAMES)
    with pytest.raises(ValueError, match="The model has no class 'cow'"):
        detect(detr, [], score_threshold={"cat": 0.1, "dog": 0.2, "cow": 0.3})
    picture = np.zeros((16, 16, 1), "uint8")
    (every,) = detect(detr, [picture], score_threshold=0.0)
    by_name = {"cat": 0.0, "dog": 1.0}
    (some,) = detect(detr, [picture], score_threshold=by_name)
    assert some["names"] == [x for x in every["names"] if x == "cat"]
