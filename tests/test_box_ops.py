import pathlib

import keras
import numpy as np
import pytest

from keras_vtr.box_ops import generalized_iou
from keras_vtr.box_ops import iou
from keras_vtr.detections import decode_detections
from tests.gradients import gradient
from tests.layer_checks import to_numpy
from tests.numpy_boxes import restate


def random_boxes(rng, *shape, low=0.0, high=1.0):
    corners = np.sort(rng.uniform(low, high, size=(*shape, 2, 2)), axis=-2)
    return corners.reshape(*shape, 4).astype("float32")


def test_equals_the_restatement_in_double_precision(rng):
    boxes1, boxes2 = random_boxes(rng, 7), random_boxes(rng, 11)
    ious = to_numpy(iou(boxes1[:, None], boxes2))
    gious = to_numpy(generalized_iou(boxes1[:, None], boxes2))
    assert ious.shape == gious.shape == (7, 11)
    for i in range(7):
        for j in range(11):
            expected = restate(boxes1[i], boxes2[j])
            np.testing.assert_allclose(ious[i, j], expected[0], atol=1e-5)
            np.testing.assert_allclose(gious[i, j], expected[1], atol=1e-5)


def test_boxes_side_by_side_can_be_worked_out_by_hand():
    left, right = [0.0, 0.0, 1.0, 1.0], [2.0, 0.0, 3.0, 1.0]
    a, b = np.array(left, "float32"), np.array(right, "float32")
    assert float(iou(a, b)) == 0.0
    # The hull has an area of 3, and a third of it is neither's.
    np.testing.assert_allclose(float(generalized_iou(a, b)), -1 / 3, 1e-6)


@pytest.mark.parametrize("side", [1e-6, 1e-3, 1.0, 1e9])
def test_a_box_equals_itself_however_small(side):
    box = np.array([0.0, 0.0, side, side], "float32")
    assert float(generalized_iou(box, box)) == 1.0


def test_values_stay_within_bounds(rng):
    sides = 10 ** rng.uniform(-6, 1, size=(2, 10_000, 2))
    corner = rng.uniform(0, 1, size=(2, 10_000, 2))
    boxes = np.concatenate([corner, corner + sides], axis=-1).astype("float32")
    ious = to_numpy(iou(boxes[0], boxes[1]))
    gious = to_numpy(generalized_iou(boxes[0], boxes[1]))
    assert (ious >= 0).all() and (ious <= 1 + 1e-6).all()
    assert (gious >= -1).all() and (gious <= ious + 1e-6).all()


def test_boxes_without_area_have_finite_values_and_gradients():
    point = np.array([[0.5, 0.5, 0.5, 0.5]], "float32")
    line = np.array([[0.2, 0.5, 0.8, 0.5]], "float32")
    inside_out = np.array([[0.8, 0.8, 0.2, 0.2]], "float32")
    normal = np.array([[0.1, 0.1, 0.6, 0.6]], "float32")
    for box in (point, line, inside_out, normal, point * 0):
        for other in (point, line, inside_out, normal, point * 0):
            value, slope = gradient(
                lambda x, other=other: keras.ops.sum(generalized_iou(x, other)),
                box,
            )
            assert np.isfinite(value)
            assert np.isfinite(slope).all()


def test_coordinates_of_1e18_do_not_overflow():
    box = np.array([-1e18, -1e18, 1e18, 1e18], "float32")
    assert float(generalized_iou(box, box)) == 1.0


def test_detections_are_the_best_class_of_each_query_best_first():
    probabilities = np.array(
        [[[0.1, 0.2, 0.7], [0.1, 0.8, 0.1], [0.5, 0.3, 0.2]]], "float32"
    )
    boxes = np.array(
        [[[0.5, 0.5, 1, 1], [0.25, 0.5, 0.5, 0.2], [0.5, 0.5, 0.5, 0.5]]],
        "float32",
    )
    outputs = {"logits": np.log(probabilities), "boxes": boxes}
    detections = decode_detections(outputs, image_shape=(100, 200, 3))
    np.testing.assert_allclose(
        to_numpy(detections["scores"]), [[0.8, 0.5, 0.2]], atol=1e-6
    )
    np.testing.assert_array_equal(to_numpy(detections["labels"]), [[1, 0, 1]])
    np.testing.assert_allclose(
        to_numpy(detections["boxes"])[0],
        [[0, 40, 100, 60], [50, 25, 150, 75], [0, 0, 200, 100]],
        atol=1e-4,
    )
    kept = decode_detections(outputs, (100, 200), max_detections=2)
    np.testing.assert_allclose(
        to_numpy(kept["boxes"]), to_numpy(detections["boxes"])[:, :2]
    )
    assert kept["labels"].dtype == "int32"
    more = decode_detections(outputs, (100, 200), max_detections=9)
    assert tuple(more["scores"].shape) == (1, 3)


@pytest.mark.parametrize("max_detections", [0, -1])
def test_at_least_one_detection_must_be_asked_for(max_detections):
    outputs = {"logits": np.ones((1, 2, 3)), "boxes": np.ones((1, 2, 4))}
    with pytest.raises(ValueError, match=f"max_detections={max_detections}"):
        decode_detections(outputs, (10, 10), max_detections)


def test_outputs_without_boxes_are_refused():
    with pytest.raises(ValueError, match=r"`outputs` must be a dict with the"):
        decode_detections({"logits": np.ones((1, 2, 3))}, (10, 10))


def test_equals_tensorflow_addons():
    golden = np.load(pathlib.Path(__file__).parent / "golden" / "giou.npz")
    boxes1, boxes2 = golden["boxes1"], golden["boxes2"]
    assert len(boxes1) == 300
    ious, gious = iou(boxes1, boxes2), generalized_iou(boxes1, boxes2)
    np.testing.assert_allclose(to_numpy(ious), golden["iou"], atol=1e-6)
    np.testing.assert_allclose(to_numpy(gious), golden["giou"], atol=1e-6)


def test_what_scores_less_is_no_detection(rng):
    outputs = {
        "logits": rng.normal(size=(2, 7, 4)).astype("float32"),
        "boxes": rng.uniform(0.2, 0.4, size=(2, 7, 4)).astype("float32"),
    }
    every = decode_detections(outputs, (100, 200))
    threshold = float(to_numpy(every["scores"])[0, 3])
    some = decode_detections(outputs, (100, 200), score_threshold=threshold)
    is_found = to_numpy(every["scores"]) >= threshold
    assert is_found[0].tolist() == [True] * 4 + [False] * 3
    for key, nothing in (("scores", 0.0), ("labels", -1), ("boxes", 0.0)):
        value = to_numpy(every[key])
        mask = is_found.reshape(is_found.shape + (1,) * (value.ndim - 2))
        expected = np.where(mask, value, nothing)
        np.testing.assert_array_equal(to_numpy(some[key]), expected)
    for wrong in (-0.1, 1.1):
        with pytest.raises(ValueError, match=f"score_threshold={wrong}"):
            decode_detections(outputs, (9, 9), score_threshold=wrong)
