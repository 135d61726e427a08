import pytest

from keras_vtr.data import SceneLayout
from keras_vtr.data.digits.layout import find_layout


def test_a_layout_is_found_by_its_name_or_given():
    assert find_layout("easy") == SceneLayout()
    assert find_layout("crowded").max_digits == 40
    own = SceneLayout(image_size=37)
    assert find_layout(own) is own


@pytest.mark.parametrize("layout", ["hard", None, {"max_digits": 7}])
def test_other_layouts_are_refused(layout):
    with pytest.raises(ValueError, match="`layout` must be one of"):
        find_layout(layout)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_size", 7),
        ("max_digits", 0),
        ("max_digits", 2.5),
        ("num_tries", 0),
        ("max_fragments", -1),
        ("digit_heights", (7, 20)),
        ("digit_heights", (20, 10)),
        ("digit_heights", (20, 65)),
        ("digit_heights", 20),
        ("max_overlap", 1.1),
    ],
)
def test_arguments_that_cannot_work_are_refused(name, value):
    with pytest.raises(
        ValueError, match=f"`{name}` must be .*Received: {name}"
    ):
        SceneLayout(**{name: value})
