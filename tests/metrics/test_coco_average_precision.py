import keras
import numpy as np
import pytest

from keras_vtr.data import digit_scenes
from keras_vtr.metrics import CocoAveragePrecision
from tests.tiny_models import batch
from tests.tiny_models import compiled
from tests.tiny_models import tiny_detr

SIDE = 200


def truth(*boxes, labels=None):
    """One image with absolute `xyxy` boxes, as relative targets."""
    boxes = np.array(boxes, "float32").reshape(-1, 4)
    center = (boxes[:, :2] + boxes[:, 2:]) / 2
    relative = np.concatenate([center, boxes[:, 2:] - boxes[:, :2]], -1) / SIDE
    labels = np.zeros(len(boxes)) if labels is None else labels
    return {"boxes": relative[None], "labels": np.array([labels], "int32")}


def found(*rows):
    """One image with detections (x1, y1, x2, y2, score, label)."""
    rows = np.array(rows, "float32").reshape(1, -1, 6)
    return {
        "boxes": rows[..., :4],
        "scores": rows[..., 4],
        "labels": rows[..., 5].astype("int32"),
    }


def judge(*pairs):
    precision = CocoAveragePrecision((SIDE, SIDE))
    for y_true, detections in pairs:
        precision.update_state(y_true, detections)
    return precision.result()


def test_perfect_detections_score_one_at_every_size():
    boxes = (10, 10, 30, 30), (50, 50, 100, 100), (20, 20, 190, 190)
    rows = [(*box, 0.9, i) for i, box in enumerate(boxes)]
    result = judge((truth(*boxes, labels=[0, 1, 2]), found(*rows)))
    names = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR"]
    assert list(result) == names
    np.testing.assert_allclose(list(result.values()), 1.0)


def test_a_shifted_box_counts_at_the_low_thresholds_only():
    # 80 of 120 columns shared: IoU 2/3 passes 0.50, 0.55, 0.60 and 0.65.
    y_true = truth((20, 20, 120, 120))
    result = judge((y_true, found((40, 20, 140, 120, 0.9, 0))))
    np.testing.assert_allclose(result["AP50"], 1.0)
    np.testing.assert_allclose(result["AP75"], 0.0)
    np.testing.assert_allclose([result["AP"], result["AR"]], 0.4)


def test_a_second_box_on_the_same_object_is_a_mistake():
    box = (20, 20, 120, 120)
    once = judge((truth(box, box), found((*box, 0.9, 0))))
    more = truth(box, (130, 130, 190, 190))
    result = judge(
        (
            more,
            found((*box, 0.9, 0), (*box, 0.8, 0), (130, 130, 190, 190, 0.7, 0)),
        )
    )
    assert once["AP"] < 1.0
    assert result["AR"] == 1.0
    # Precision is 1 up to recall 1/2 and 2/3 beyond, at 101 recalls.
    np.testing.assert_allclose(result["AP"], (51 + 50 * 2 / 3) / 101, rtol=1e-6)


def test_a_wrong_class_is_a_mistake():
    box = (20, 20, 120, 120)
    assert judge((truth(box), found((*box, 0.9, 1))))["AP"] == 0.0


def test_padding_is_no_object_and_sizes_without_objects_are_nan():
    box = (10, 10, 30, 30)
    y_true = truth(box, (0, 0, 0, 0), labels=[0, -1])
    result = judge((y_true, found((*box, 0.9, 0))))
    np.testing.assert_allclose([result["AP"], result["APs"]], 1.0)
    assert np.isnan(result["APm"]) and np.isnan(result["APl"])


def test_images_without_objects_count_as_false_alarms():
    box = (10, 10, 30, 30)
    empty = {"boxes": np.zeros((1, 0, 4)), "labels": np.zeros((1, 0), int)}
    result = judge(
        (empty, found((*box, 0.95, 0))), (truth(box), found((*box, 0.9, 0)))
    )
    np.testing.assert_allclose(result["AP"], 0.5)


def test_nothing_found_is_zero_and_nothing_to_find_is_nan():
    box = (10, 10, 30, 30)
    assert judge((truth(box), found()))["AP"] == 0.0
    assert np.isnan(judge((truth(), found((*box, 0.9, 0))))["AP"])
    assert np.isnan(judge()["AP"])


def test_reset_forgets():
    box = (10, 10, 30, 30)
    precision = CocoAveragePrecision((SIDE, SIDE))
    precision.update_state(truth(box), found())
    precision.reset_state()
    precision.update_state(truth(box), found((*box, 0.9, 0)))
    np.testing.assert_allclose(precision.result()["AP"], 1.0)


@pytest.mark.slow
def test_in_fit_its_numbers_are_in_the_history(rng):
    images, y_true = batch(rng)
    precision = CocoAveragePrecision((16, 16), data=[(images, y_true)])
    watcher = keras.callbacks.EarlyStopping("val_AP", mode="max", patience=9)
    history = compiled(tiny_detr()).fit(
        images, y_true, epochs=2, verbose=0, callbacks=[precision, watcher]
    )
    assert len(history.history["val_AP"]) == 2
    assert history.history["val_AP50"][-1] >= history.history["val_AP"][-1]


def test_no_detection_is_not_judged():
    box = (10, 10, 30, 30)
    precision = CocoAveragePrecision((SIDE, SIDE))
    precision.update_state(truth(box), found((*box, 0.9, 0), (*box, 0.95, -1)))
    assert precision.result()["AP"] == pytest.approx(1.0)


def test_it_prints_nothing(capfd):
    box = (10, 10, 30, 30)
    judge((truth(box), found((*box, 0.9, 0))))
    assert capfd.readouterr().out == ""


def test_wrong_input_is_refused():
    precision = CocoAveragePrecision((SIDE, SIDE))
    box = (10, 10, 30, 30)
    with pytest.raises(ValueError, match="Boxes must be relative"):
        y_true = truth(box)
        y_true["boxes"] *= SIDE
        precision.update_state(y_true, found())
    with pytest.raises(ValueError, match="`detections` must be a dict with"):
        precision.update_state(truth(box), {"logits": 0, "boxes": 0})
    with pytest.raises(ValueError, match="Received: 1 and 2 images"):
        both = {key: np.repeat(x, 2, 0) for key, x in found().items()}
        precision.update_state(truth(box), both)
    with pytest.raises(ValueError, match="`data` must be finite"):
        precision.evaluate(None, digit_scenes("train"))
    with pytest.raises(ValueError, match="needs `data` to be used as a callb"):
        precision.on_epoch_end(0, {})


def judged(area=100.0, with_crowd=True):
    """One small object found, and three detections within a crowd."""
    y_true = {
        "boxes": np.array([[[0.5, 0.25, 0.1, 0.2]]], "float32"),
        "labels": np.array([[3]]),
        "areas": np.array([[area]], "float32"),
        "image_shapes": np.array([[50.0, 100.0]]),
        "crowd_boxes": np.array([[[0.2, 0.8, 0.4, 0.4]]], "float32"),
        "crowd_labels": np.array([[3 if with_crowd else -1]]),
    }
    crowd = [[2, 32, 12, 38], [20, 32, 38, 48], [5, 31, 9, 45]]
    detections = {
        "boxes": np.array([[*crowd, [45, 7.5, 55, 17.5]]], "float32"),
        "scores": np.array([[0.9, 0.8, 0.7, 0.6]], "float32"),
        "labels": np.array([[3, 3, 3, 3]]),
    }
    precision = CocoAveragePrecision()
    precision.update_state(y_true, detections)
    return precision.result()


def test_what_is_found_in_a_crowd_is_no_mistake():
    assert judged()["AP"] == pytest.approx(1.0)
    assert judged(with_crowd=False)["AP"] == pytest.approx(0.25)


def test_size_is_the_area_of_the_outline():
    assert judged()["APs"] == pytest.approx(1.0)
    medium = judged(area=40.0**2)
    assert np.isnan(medium["APs"]) and medium["APm"] == pytest.approx(1.0)


def test_the_size_of_images_must_come_from_somewhere():
    with pytest.raises(ValueError, match=r"image_shape.*must be given"):
        CocoAveragePrecision().update_state(
            {"boxes": np.zeros((1, 1, 4)), "labels": np.array([[-1]])}, {}
        )


def objects(number):
    """As many small objects of one image in rows, and all of them found."""
    places = [
        ((i % 15 + 0.5) / 15, (i // 15 + 0.5) / 15) for i in range(number)
    ]
    boxes = np.array([[(x, y, 0.05, 0.05) for x, y in places]]).reshape(
        1, -1, 4
    )
    centers, sizes = boxes[..., :2], boxes[..., 2:] / 2
    corners = np.concatenate([centers - sizes, centers + sizes], axis=-1)
    labels = np.zeros((1, number), int)
    found = {"boxes": corners * 400, "scores": labels + 1.0, "labels": labels}
    return {"boxes": boxes, "labels": labels}, found


def test_kinds_without_objects_are_nan_and_others_0_if_nothing_is_found():
    truth, _ = objects(2)
    _, nothing = objects(0)
    precision = CocoAveragePrecision((400, 400))
    precision.update_state(truth, nothing)
    result = precision.result()
    assert [result[name] for name in ("AP", "AP50", "AP75", "APs")] == [0.0] * 4
    assert np.isnan([result["APm"], result["APl"]]).all()
    crowds = {f"crowd_{key}": x for key, x in truth.items()}
    precision.reset_state()
    precision.update_state({**objects(0)[0], **crowds}, nothing)
    assert np.isnan(list(precision.result().values())).all()


def test_a_hundred_detections_count_unless_more_are_asked_for():
    assert [
        round(_precision_of_150(most), 3) for most in (10, 100, 150, None)
    ] == [0.069, 0.663, 1.0, 1.0]
    with pytest.raises(ValueError, match="max_detections=0"):
        CocoAveragePrecision((400, 400), max_detections=0)


def _precision_of_150(most):
    precision = CocoAveragePrecision((400, 400), max_detections=most)
    precision.update_state(*objects(150))
    return precision.result()["AP"]


def test_a_model_that_has_diverged_finds_nothing_and_its_epoch_is_not_kept():
    class Diverged:
        def predict_on_batch(self, images):
            logits = np.zeros((1, 1, 2))
            return {"logits": logits, "boxes": np.full((1, 1, 4), np.nan)}

    data = [(np.zeros((1, 400, 400, 3)), objects(1)[0])]
    precision = CocoAveragePrecision((400, 400), data)
    assert precision.evaluate(Diverged())["AP"] == 0.0
    precision.set_model(Diverged())
    logs = {}
    precision.on_epoch_end(0, logs)
    assert np.isnan(logs["val_AP"])
