"""Arrays that users hand in are judged before anything is computed of them."""

import keras
import numpy as np
import pytest

from keras_vtr.detection_checks import check_detections
from keras_vtr.detection_checks import height_and_width
from keras_vtr.detection_checks import sides_of
from keras_vtr.detections import decode_detections
from keras_vtr.metrics import CocoAveragePrecision
from keras_vtr.models import decode_segments
from keras_vtr.visualization import draw_boxes
from keras_vtr.visualization import draw_comparison

NAN, INF = np.nan, np.inf
TRUTH = {
    "boxes": np.array([[[0.5, 0.5, 0.5, 0.5]] * 2]),
    "labels": np.array([[0, -1]]),
}
FOUND = {
    "boxes": np.array([[[8.0, 8.0, 24.0, 24.0], [NAN] * 4]]),
    "scores": np.array([[0.9, NAN]]),
    "labels": np.array([[0, -1]]),
}
WRONG = {
    "box NaN": ({"boxes": np.full((1, 2, 4), NAN)}, "finite `xyxy`"),
    "box inf": ({"boxes": np.full((1, 2, 4), -INF)}, "finite `xyxy`"),
    "xywh": ({"boxes": np.tile([8.0, 8, 4, 16], (1, 2, 1))}, "corner first"),
    "score NaN": ({"scores": np.full((1, 2), NAN)}, "within .0, 1"),
    "a logit": ({"scores": np.array([[3.5, 0]])}, "3.5 as detection 0 of im"),
    "below -1": ({"labels": np.array([[-2, 0]])}, "0 to num_classes - 1"),
    "float": ({"labels": np.array([[0.0, -1]])}, "must be integers"),
    "one box less": ({"boxes": np.ones((1, 1, 4))}, r"boxes.shape=\(1, 1, 4\)"),
    "scores of classes": ({"scores": np.ones((1, 2, 3))}, r"of \(B, n\)"),
    "no batch": ({key: x[0] for key, x in FOUND.items()}, r"\(B, n, 4\)"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_wrong_detections_are_refused_where_they_come_in(change, message):
    wrong = {**FOUND, **change}
    with pytest.raises(ValueError, match=message):
        check_detections(wrong)
    with pytest.raises(ValueError, match=message):
        CocoAveragePrecision((32, 32)).update_state(TRUTH, wrong)
    with pytest.raises(ValueError, match=message):
        draw_comparison(np.zeros((1, 32, 32, 3)), TRUTH, wrong)


def test_padding_of_detections_may_hold_anything():
    check_detections(FOUND, num_images=1, num_classes=1)
    with pytest.raises(ValueError, match="num_classes=1"):
        check_detections({**FOUND, "labels": np.array([[1, -1]])}, None, 1)


def test_one_image_s_boxes_are_judged_before_they_are_drawn():
    image = np.zeros((32, 32, 3))
    with pytest.raises(ValueError, match="finite `xyxy`"):
        draw_boxes(image, [[0, 0, NAN, 4]], [0])
    with pytest.raises(ValueError, match="num_classes=2"):
        draw_boxes(image, [[0, 0, 4, 4]], [2], class_names=["cat", "dog"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"areas": np.array([[NAN, 1]])}, "Areas must be 0 or above"),
        ({"areas": np.ones((1, 1))}, r"areas.shape=\(1, 1\)"),
        ({"crowd_labels": np.array([[0]])}, "crowd_boxes"),
        (
            {
                "crowd_labels": np.array([[0]]),
                "crowd_boxes": np.array([[[0.5, 0.5, NAN, 0.5]]]),
            },
            "Boxes must be relative",
        ),
        (
            {
                "crowd_labels": np.zeros((2, 0), int),
                "crowd_boxes": np.zeros((2, 0, 4)),
            },
            r"crowd_labels.*\(2,",
        ),
        ({"boxes": np.ones((2, 2, 4)) / 2}, r"boxes.shape=\(2, 2, 4\)"),
        ({"image_shapes": np.array([[32, 0]])}, "above 0"),
        ({"image_shapes": np.array([32, 32])}, r"image_shapes.shape=\(2,\)"),
        ({"image_shapes": np.full((2, 2), 32)}, "one pair for each"),
    ],
)
def test_whatever_the_truth_holds_is_judged(change, message):
    with pytest.raises(ValueError, match=message):
        CocoAveragePrecision((32, 32)).update_state({**TRUTH, **change}, FOUND)


OUTPUTS = {"logits": np.zeros((2, 2, 3)), "boxes": np.full((2, 2, 4), 0.5)}


@pytest.mark.parametrize(
    "shapes",
    [
        [(32, 64), (16, 16)],
        ((32, 64), (16, 16)),
        np.array([(32, 64), (16, 16)]),
        [np.array((32, 64)), [16, 16]],
        keras.ops.array([(32, 64), (16, 16)]),
        [keras.ops.array((32, 64)), keras.ops.array((16, 16))],
    ],
    ids=lambda x: type(x).__name__,
)
def test_each_image_s_own_size_may_come_in_any_form(shapes):
    boxes = np.array(decode_detections(OUTPUTS, shapes)["boxes"])
    np.testing.assert_allclose(boxes[:, 0], [[16, 8, 48, 24], [4, 4, 12, 12]])


@pytest.mark.parametrize(
    "shape", [(32, 64), [32, 64, 3], np.array([32, 64]), (np.int64(32), 64.0)]
)
def test_one_size_is_that_of_all_images(shape):
    boxes = np.array(decode_detections(OUTPUTS, shape)["boxes"])
    np.testing.assert_allclose(boxes[:, 0], [[16, 8, 48, 24]] * 2)


@pytest.mark.parametrize(
    "shape",
    [
        None,
        32,
        (32,),
        (None, 64),
        (0, 64),
        (32, NAN),
        (3, 480, 640),
        (2, 32, 64, 3),
        [(32, 64)],
        [(32, 64)] * 3,
        [(32, 64, 3)] * 2,
        [(32, 64), (16,)],
        "32 x 64",
    ],
    ids=str,
)
def test_what_is_no_size_is_refused(shape):
    with pytest.raises(ValueError, match="`image_shape` must be"):
        decode_detections(OUTPUTS, shape)


@pytest.mark.parametrize("wrong", [[(2, 4), (4, 2)], (2.5, 4)])
def test_segments_and_small_objects_need_one_size_for_all(wrong):
    outputs = {"logits": np.zeros((2, 3, 2)), "masks": np.zeros((2, 3, 2, 4))}
    with pytest.raises(ValueError, match="`target_shape` must be one"):
        decode_segments(outputs, (2, 4), target_shape=wrong)
    with pytest.raises(ValueError, match="`image_shape` must be one"):
        CocoAveragePrecision(wrong)
    assert height_and_width([2, 4, 3]) == (2, 4)


@pytest.mark.parametrize(
    "change",
    [
        {"logits": np.zeros((2, 3))},
        {"logits": np.zeros((2, 3, 3))},
        {"logits": np.zeros((2, 2, 1))},
        {"boxes": np.zeros((2, 2, 5))},
        {"boxes": np.zeros((1, 2, 4))},
    ],
)
def test_outputs_of_other_shapes_are_refused(change):
    with pytest.raises(ValueError, match=r"`outputs` must hold.*logits.shape="):
        decode_detections({**OUTPUTS, **change}, (32, 64))


def test_what_a_model_answers_with_nan_is_no_detection():
    outputs = {"logits": np.zeros((1, 4, 3)), "boxes": np.full((1, 4, 4), 0.5)}
    outputs["boxes"][0, 0, 2] = NAN
    outputs["boxes"][0, 1] = INF
    outputs["logits"][0, 2, 1] = NAN
    outputs["logits"][0, :, 0] = 3.0
    detections = decode_detections(outputs, (32, 32))
    check_detections(detections, 1, 2)
    assert np.array(detections["labels"]).tolist() == [[0, -1, -1, -1]]
    assert np.array(detections["scores"])[0, 1:].tolist() == [0, 0, 0]


def test_a_mask_that_is_not_finite_is_no_segment():
    outputs = {"logits": np.zeros((1, 2, 3)), "masks": np.ones((1, 2, 3, 4))}
    outputs["logits"][..., 0] = 9.0
    outputs["masks"][0, 1, 0, 0] = NAN
    (found,) = decode_segments(outputs, (3, 4))
    assert found["labels"].tolist() == [0] and (found["segments"] == 0).all()


def test_scalar_tensors_are_a_size():
    sides = keras.ops.shape(keras.ops.zeros((32, 64)))
    sides = sides_of([keras.ops.convert_to_tensor(x) for x in sides])
    assert np.array(sides).tolist() == [32, 64]
