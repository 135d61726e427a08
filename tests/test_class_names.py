import numpy as np
import pytest

from keras_vtr.callbacks import DetectionPictures
from keras_vtr.class_names import check_class_names
from keras_vtr.data import DetectionRecords
from keras_vtr.serving import export_detector
from keras_vtr.visualization import draw_boxes
from keras_vtr.visualization import draw_query_attention
from tests.tiny_models import tiny_detr


@pytest.mark.parametrize(
    "names",
    [
        ["cat", "dog"],
        np.array(["cat", "dog"]),
        {1: "dog", 0: "cat"},
        {"1": "dog", "0": "cat"},
        {np.int64(0): " cat ", np.int64(1): "dog\n"},
    ],
)
def test_a_dict_is_as_good_as_a_list(names):
    assert check_class_names(names, 2) == ("cat", "dog")


def test_a_name_may_stand_twice_or_lack():
    assert check_class_names(["Car", None, "Car"]) == ("Car", None, "Car")
    with pytest.raises(ValueError, match=r"each class: a list.*\[None\]"):
        check_class_names(["cat", None], may_lack=False)


WRONG = (
    "cat",
    b"cat",
    7,
    None,
    pytest.param({"cat", "dog"}, id="a set"),
    [0, 1],
    [b"cat", b"dog"],
    ["cat", ""],
    ["cat", " "],
    ["cat", float("nan")],
    [["cat", "dog"]],
    {1: "cat", 2: "dog"},
    {0: "cat", "0": "dog"},
    {False: "cat", True: "dog"},
    {0.0: "cat", 1.0: "dog"},
    {"cat": 0, "dog": 1},
    {0: "cat", 1: 7},
)


@pytest.mark.parametrize("names", WRONG, ids=repr)
def test_all_else_is_refused(names):
    with pytest.raises(ValueError, match="`class_names` must be one string"):
        check_class_names(names)
    with pytest.raises(ValueError, match=r"of the 3 classes.*2 names"):
        check_class_names(["cat", "dog"], 3)


BOX = [[1, 1, 5, 5]]
USES = {
    "records": lambda names, _: DetectionRecords([], names, (), {}),
    "model": lambda names, model: setattr(model, "class_names", names),
    "boxes": lambda names, _: draw_boxes(
        np.zeros((9, 9, 3)), BOX, [0], class_names=names
    ),
    "attention": lambda names, model: draw_query_attention(
        model, np.zeros((16, 16, 1)), class_names=names
    ),
    "callback": lambda names, _: DetectionPictures([], "", class_names=names),
    "detector": lambda names, model: export_detector(
        model, "", class_names=names
    ),
}


@pytest.fixture(scope="module")
def model():
    return tiny_detr()


@pytest.mark.parametrize("name", USES)
def test_every_function_that_takes_names_refuses_numbers_and_a_text(
    name, model
):
    for names in ([0] * model.num_classes, "c" * model.num_classes):
        with pytest.raises(ValueError, match="`class_names` must be one str"):
            USES[name](names, model)


def test_a_dict_is_kept_by_a_model_in_order(model):
    names = {i: f"a {i}" for i in reversed(range(model.num_classes))}
    model.class_names = names
    assert model.class_names[:2] == ("a 0", "a 1")
    model.class_names = None


def test_a_label_without_a_name_is_drawn_as_its_number():
    image = np.zeros((60, 60, 3))

    def drawn(names):
        return np.array(draw_boxes(image, [[5, 30, 50, 50]], [1], **names))

    lacking = drawn({"class_names": ["cat", None]})
    np.testing.assert_array_equal(lacking, drawn({}))
    with pytest.raises(ValueError, match=r"num_classes=1 .*Received: 1 "):
        drawn({"class_names": ["cat"]})
