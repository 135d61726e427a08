import hypothesis
import hypothesis.extra.numpy
import hypothesis.strategies as st
import numpy as np
import pytest

from keras_vtr.data import check_dataset
from keras_vtr.data import check_targets


def targets(boxes=((0.5, 0.5, 0.2, 0.2),), labels=(1,)):
    return {
        "boxes": np.array([boxes], "float32"),
        "labels": np.array([labels], "int32"),
    }


def test_good_targets_pass():
    check_targets(targets(), num_classes=2, num_queries=1)
    check_targets(targets(boxes=((0.5, 0.5, 1.0, 1.0),)))
    check_targets(targets(boxes=((9.0, np.nan, 0.0, -1.0),), labels=(-1,)))
    empty = {"boxes": np.zeros((2, 0, 4)), "labels": np.zeros((2, 0), int)}
    check_targets(empty, num_classes=2, num_queries=1)


@pytest.mark.parametrize("label", [-2, 3, 90])
def test_labels_out_of_range_are_refused(label):
    with pytest.raises(
        ValueError, match=rf"0 to num_classes - 1.*: {label} as"
    ):
        check_targets(targets(labels=(label,)), num_classes=3)


@pytest.mark.parametrize(
    "box",
    [
        (320.0, 240.0, 64.0, 48.0),
        (0.05, 0.5, 0.2, 0.2),
        (0.5, 0.95, 0.2, 0.2),
        (np.nan, 0.5, 0.2, 0.2),
        (0.5, 0.5, np.inf, 0.2),
    ],
)
def test_boxes_that_are_not_relative_are_refused(box):
    with pytest.raises(ValueError, match="Boxes must be relative to the image"):
        check_targets(targets(boxes=(box,)))


@pytest.mark.parametrize("size", [(0.0, 0.2), (0.2, 0.0), (-0.1, 0.2)])
def test_boxes_without_area_are_refused(size):
    with pytest.raises(ValueError, match="a width and a height above 0"):
        check_targets(targets(boxes=((0.5, 0.5, *size),)))


def test_the_message_tells_where_and_what():
    y_true = {
        "boxes": np.full((3, 4, 4), 0.25),
        "labels": np.zeros((3, 4), int),
    }
    y_true["labels"][2, 1] = 7
    with pytest.raises(ValueError, match="7 as target 1 of image 2 of the bat"):
        check_targets(y_true, num_classes=7)


def test_more_objects_than_queries_are_refused():
    box = (0.5, 0.5, 0.2, 0.2)
    y_true = targets(boxes=(box,) * 3, labels=(0, -1, 0))
    check_targets(y_true, num_queries=2)
    with pytest.raises(ValueError, match="2 objects in image 0"):
        check_targets(y_true, num_queries=1)


@pytest.mark.parametrize(
    ("y_true", "message"),
    [
        ([1, 2], "must be a dict with the keys"),
        ({"boxes": np.ones((1, 1, 4))}, "must be a dict with the keys"),
        (
            {"boxes": np.ones((1, 4)), "labels": np.ones((1, 1), int)},
            r"boxes.shape=\(1, 4\)",
        ),
        (
            {"boxes": np.ones((1, 2, 4)), "labels": np.ones((1, 3), int)},
            r"labels.shape=\(1, 3\)",
        ),
        (
            {"boxes": np.ones((1, 2, 4)), "labels": np.ones((1, 2))},
            "`labels` must be integers",
        ),
    ],
)
def test_a_wrong_structure_is_refused(y_true, message):
    with pytest.raises(ValueError, match=message):
        check_targets(y_true)


def test_any_numbers_pass_or_are_refused_in_words():
    outcomes = set()

    @hypothesis.given(
        hypothesis.extra.numpy.arrays(
            "float32",
            (1, 2, 4),
            elements=st.floats(0.25, 0.5, width=32) | st.floats(width=32),
        ),
        hypothesis.extra.numpy.arrays(
            "int32", (1, 2), elements=st.integers(-3, 4)
        ),
    )
    @hypothesis.settings(deadline=None)
    def check(boxes, labels):
        try:
            check_targets({"boxes": boxes, "labels": labels}, 3, 2)
        except ValueError as error:
            assert "Received: " in str(error)
            outcomes.add("refused")
            return
        outcomes.add("passed")
        real = boxes[labels >= 0]
        assert np.isfinite(real).all() and (real[:, 2:] > 0).all()
        assert ((labels >= -1) & (labels < 3)).all()

    check()
    assert outcomes == {"passed", "refused"}


def test_a_data_set_is_checked_on_its_way():
    import tensorflow as tf

    images = np.zeros((4, 8, 8, 1), "float32")
    y_true = {
        "boxes": np.full((4, 2, 4), 0.5, "float32"),
        "labels": np.array([[0, 1], [1, -1], [0, 9], [0, 0]], "int32"),
    }
    dataset = tf.data.Dataset.from_tensor_slices((images, y_true)).batch(2)
    checked = check_dataset(dataset, num_classes=2, num_queries=2)
    assert checked.element_spec == dataset.element_spec
    batches = iter(checked)
    _, first = next(batches)
    np.testing.assert_array_equal(first["labels"], y_true["labels"][:2])
    with pytest.raises(tf.errors.InvalidArgumentError, match="9 as target 1"):
        next(batches)
