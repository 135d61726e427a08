import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vtr.data import AnnotationError
from keras_vtr.data import check_dataset
from keras_vtr.data import check_inputs
from keras_vtr.data import detection_dataset
from keras_vtr.data import read_coco
from tests.annotation_files import broken
from tests.annotation_files import content
from tests.annotation_files import write


def test_ids_become_classes_and_boxes_corners(tmp_path):
    dataset = read_coco(*write(tmp_path, content()))
    assert dataset.class_names == ("person", "drier", "toothbrush")
    assert dataset.category_ids == (1, 89, 90)
    first, second, third = dataset.records
    np.testing.assert_array_equal(
        first["boxes"], [[5, 5, 25, 15], [30, 10, 50, 30]]
    )
    assert first["labels"].tolist() == [2, 2] and second["labels"] == [1]
    assert third["boxes"].shape == (0, 4) and len(third["labels"]) == 0
    assert (
        str(dataset) == "3 images, 3 boxes, 1 crowds, 3 classes; left out: none"
    )


def test_a_crowd_s_outline_may_be_run_lengths(tmp_path):
    data = content()
    outline = {"counts": [0, 1200, 2000], "size": [40, 80]}
    (crowd,) = (x for x in data["annotations"] if x.get("iscrowd"))
    crowd |= {"segmentation": outline, "area": 1200.0}
    first = read_coco(*write(tmp_path, data)).records[0]
    assert len(first["boxes"]) == 2 and len(first["crowd_boxes"]) == 1
    np.testing.assert_array_equal(first["crowd_boxes"], [[0, 0, 60, 40]])


def test_batches_are_padded_and_relative_to_each_image(tmp_path):
    dataset = read_coco(*write(tmp_path, content()))
    batches = detection_dataset(
        dataset, 2, training=False, short_sides=(30,), length_multiple=4
    )
    (inputs, y_true), (last, _) = batches.as_numpy_iterator()
    assert inputs["images"].shape == (2, 45, 45, 3)
    assert last["images"].shape == (1, 30, 30, 3)
    mask = inputs["padding_mask"]
    assert mask[0, :30].all() and not mask[0, 30:].any()
    assert mask[1, :, :30].all() and not mask[1, :, 30:].any()
    np.testing.assert_allclose(inputs["images"][0][mask[0]], 50.0, atol=1e-3)
    assert (inputs["images"][1][~mask[1]] == 0).all()
    assert y_true["labels"].tolist() == [[2, 2, -1, -1], [1, -1, -1, -1]]
    np.testing.assert_allclose(
        y_true["boxes"][0, 0], [15 / 60, 10 / 40, 20 / 60, 10 / 40], rtol=1e-6
    )
    np.testing.assert_allclose(y_true["boxes"][1, 0], [0.5, 0.5, 1, 1])


def test_training_is_the_same_for_the_same_seed_and_differs_by_pass(tmp_path):
    dataset = read_coco(*write(tmp_path, content()))
    options = {
        "short_sides": (20, 24, 28),
        "crop_short_sides": (30, 40),
        "crop_range": (15, 30),
    }

    def first(number, seed):
        batches = detection_dataset(
            dataset, 3, training=True, seed=seed, **options
        )
        return [y["boxes"] for _, y in batches.take(number).as_numpy_iterator()]

    one, two, other = first(4, 0), first(4, 0), first(4, 1)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
    assert differ(zip(one, other, strict=True))
    assert differ(itertools.pairwise(one))


def differ(pairs):
    return any(not np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{", "can't be read"),
        ("[]", "has no list 'images'"),
        ({**content(), "categories": {}}, "has no list 'categories'"),
        (
            broken(annotations__0__bbox=[1, 2, 0, 4]),
            r"annotations\[0\] \(id 0\).bbox has no area.*\[1, 2, 0, 4\] in an",
        ),
        (broken(annotations__0__bbox=[1, 2, float("nan"), 4]), "is not a box"),
        (broken(annotations__0__bbox=[1, 2, 3]), "is not a box"),
        (broken(annotations__0__bbox=["a", 2, 3, 4]), "is not a box"),
        ({**content(), "images": [7]}, r"images\[0\] lacks"),
        (broken(annotations__0__bbox=[50, 2, 20, 4]), "not within its image"),
        (broken(annotations__0__bbox=[-5, 2, 20, 4]), "not within its image"),
        (
            broken(annotations__0__image_id=7),
            "image_id is not listed.*: 7",
        ),
        (broken(annotations__0__category_id=7), r"category_id is not listed"),
        (
            broken(annotations__1__id=0),
            "is the id of an earlier one. Received: 0",
        ),
        (broken(images__0__file_name="../../x.png"), "is outside of"),
        (broken(images__0__file_name="/etc/passwd"), "is outside of"),
        (
            broken(images__0__file_name="no.png"),
            "file_name does not exist",
        ),
    ],
)
def test_annotations_that_cannot_be_learned_are_refused(
    data, message, tmp_path
):
    with pytest.raises(AnnotationError, match=message):
        read_coco(*write(tmp_path, data))


def test_a_missing_field_is_named(tmp_path):
    data = content()
    del data["annotations"][1]["bbox"]
    with pytest.raises(
        AnnotationError, match=r"annotations\[1\] lacks \['bbox"
    ):
        read_coco(*write(tmp_path, data))


def test_invalid_boxes_can_be_dropped_and_are_counted(tmp_path):
    data = broken(annotations__0__bbox=[1, 2, 0, 4])
    dataset = read_coco(*write(tmp_path, data), invalid="drop")
    assert len(dataset.records[0]["boxes"]) == 1
    assert dataset.dropped == {"has no area": 1}
    with pytest.raises(ValueError, match="Received: 'skip'"):
        read_coco(*write(tmp_path, data), invalid="skip")


def inputs():
    mask = np.zeros((2, 6, 8), bool)
    mask[:, :4, :5] = True
    return {"images": np.zeros((2, 6, 8, 3), "float32"), "padding_mask": mask}


def test_a_padding_mask_is_checked():
    check_inputs(inputs())
    wrong = inputs()
    wrong["padding_mask"] = wrong["padding_mask"][:, :5]
    with pytest.raises(ValueError, match="must have the height and width"):
        check_inputs(wrong)
    wrong = inputs()
    wrong["padding_mask"][1] = False
    with pytest.raises(ValueError, match=r"all padding.*Received: image 1"):
        check_inputs(wrong)
    for place in ((0, 5, 7), (0, 5, 0), (0, 0, 7)):
        wrong = inputs()
        wrong["padding_mask"][place] = True
        with pytest.raises(ValueError, match="another form in image 0"):
            check_inputs(wrong)
    wrong["padding_mask"] = ~inputs()["padding_mask"]
    with pytest.raises(ValueError, match="rectangle in the upper left corner"):
        check_inputs(wrong)


def test_a_data_set_s_padding_masks_are_checked():
    y_true = {
        "labels": np.zeros((2, 1), "int32"),
        "boxes": np.full((2, 1, 4), 0.5, "float32"),
    }
    data = inputs()
    good = tf.data.Dataset.from_tensors((data, y_true))
    assert len(list(check_dataset(good, num_classes=1))) == 1
    data["padding_mask"][1] = False
    bad = tf.data.Dataset.from_tensors((data, y_true))
    with pytest.raises(tf.errors.InvalidArgumentError, match="all padding"):
        list(check_dataset(bad, num_classes=1))


def test_a_picture_of_another_size_than_annotated_is_refused(tmp_path):
    annotations, images = write(tmp_path, content())
    dataset = read_coco(annotations, images)
    keras.utils.array_to_img(np.zeros((60, 40, 3))).save(images / "0.png")
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match=r"0\.png.*size is 40 x 60",
    ):
        for _ in detection_dataset(dataset, 1, training=False):
            pass
