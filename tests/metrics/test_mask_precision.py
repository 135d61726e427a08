"""Average precision of masks, beside that of boxes."""

import numpy as np
import pytest

from keras_vtr.data import digit_scenes
from keras_vtr.metrics import CocoAveragePrecision
from tests.tiny_models import tiny_detr

SIDE = 40


def scene(*masks, labels=None, scores=None):
    """Targets and exact detections of one image with these masks."""
    masks = np.stack(masks)
    boxes = []
    for mask in masks:
        rows, columns = np.nonzero(mask)
        boxes.append(
            [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        )
    boxes = np.array(boxes, "float32")
    labels = np.array([labels or [0] * len(masks)], "int32")
    center, size = (
        (boxes[:, :2] + boxes[:, 2:]) / 2,
        boxes[:, 2:] - boxes[:, :2],
    )
    y_true = {
        "boxes": np.concatenate([center, size], axis=-1)[None] / SIDE,
        "labels": labels,
        "masks": masks[None],
    }
    scores = np.array([scores or [0.9] * len(masks)], "float32")
    detections = {"boxes": boxes[None], "labels": labels, "scores": scores}
    return y_true, {**detections, "masks": masks[None]}


def judge(y_true, detections):
    precision = CocoAveragePrecision((SIDE, SIDE), masks=True)
    precision.update_state(y_true, detections)
    return precision.result()


def square(top, left, side):
    mask = np.zeros((SIDE, SIDE), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_exact_masks_score_one_for_both():
    result = judge(*scene(square(2, 3, 10), square(15, 20, 12), labels=[1, 4]))
    for name in ("AP", "AP75", "mask_AP", "mask_AP75", "mask_AR"):
        assert result[name] == pytest.approx(1.0)


def test_a_mask_is_judged_by_its_pixels_not_by_its_box():
    y_true, detections = scene(square(4, 4, 20))
    # Three of four quarters: the box is the same, the overlap is 0.75.
    detections["masks"] = detections["masks"].copy()
    detections["masks"][0, 0, 4:14, 4:14] = False
    result = judge(y_true, detections)
    assert result["AP"] == pytest.approx(1.0)
    assert result["mask_AP"] == pytest.approx(0.6)  # 0.50 to 0.75
    assert result["mask_AP75"] == pytest.approx(1.0)


def test_sizes_are_those_of_the_masks_unless_annotated():
    """A thin cross with a box of 38 x 38: 148 pixels, small either way."""
    cross = square(0, 0, 0)
    cross[1:39, 19:21] = cross[19:21, 1:39] = True
    big = scene(cross | square(2, 2, 36))
    y_true, detections = scene(cross)
    result = judge(y_true, detections)
    assert np.isnan(result["APs"]) and result["APm"] == pytest.approx(1.0)
    assert result["mask_APs"] == pytest.approx(1.0)
    assert np.isnan(result["mask_APm"])
    assert judge(*big)["mask_APm"] == pytest.approx(1.0)
    y_true["areas"] = np.array([[10000.0]])
    assert judge(y_true, detections)["mask_APl"] == pytest.approx(1.0)
    assert np.isnan(judge(y_true, detections)["mask_APs"])


def test_masks_of_a_model_are_found_at_the_images_own_size():
    scenes = digit_scenes("held_out", batch_size=3, num_scenes=6, masks=True)
    images, y_true = next(iter(scenes))

    class Oracle:
        """Answers with the truth, at the size of the model's masks."""

        def predict_on_batch(self, images):
            logits = np.full((3, 5, 11), -9.0, "float32")
            logits[..., -1] = 5.0
            labels = y_true["labels"].numpy()
            for b, m in np.argwhere(labels >= 0):
                logits[b, m, [labels[b, m], -1]] = 9.0, -9.0
            return {
                "logits": logits,
                "boxes": y_true["boxes"].numpy(),
                "masks": np.where(y_true["masks"].numpy(), 5.0, -5.0),
            }

    precision = CocoAveragePrecision((64, 64), masks=True)
    result = precision.evaluate(Oracle(), [(images, y_true)])
    assert result["AP50"] == pytest.approx(1.0)
    assert result["mask_AP"] == pytest.approx(1.0)


def test_masks_of_a_model_without_a_head_are_refused():
    scenes = digit_scenes("held_out", batch_size=2, num_scenes=2, masks=True)
    precision = CocoAveragePrecision((64, 64), masks=True)
    detr = tiny_detr(num_classes=10, image_shape=(64, 64, 1))
    with pytest.raises(ValueError, match=r"'masks' among its outputs.*alone"):
        precision.evaluate(detr, scenes)
    plain = digit_scenes("held_out", batch_size=2, num_scenes=2)
    y_true = next(iter(plain))[1]
    _, detections = scene(square(1, 1, 9))
    detections = {k: np.repeat(x, 2, axis=0) for k, x in detections.items()}
    with pytest.raises(
        ValueError, match="`y_true` must be a dict with the keys"
    ):
        precision.update_state(y_true, detections)
    y_true, detections = scene(square(1, 1, 9))
    crowds = {"crowd_boxes": y_true["boxes"], "crowd_labels": y_true["labels"]}
    with pytest.raises(ValueError, match="'crowd_masks'"):
        precision.update_state({**y_true, **crowds}, detections)
