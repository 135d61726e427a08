"""Confusion, calibration, and average precision of each class."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from keras_vtr.evaluation.calibration import calibration
from keras_vtr.evaluation.confusion import confusion_matrix
from tests.evaluation.scenes import CAT
from tests.evaluation.scenes import DOG
from tests.evaluation.scenes import found
from tests.evaluation.scenes import golden
from tests.evaluation.scenes import objects
from tests.evaluation.scenes import report
from tests.evaluation.scenes import to_xywh
from tests.evaluation.scenes import true

HERE, THERE, NOWHERE = (0, 0, 20, 20), (50, 50, 90, 90), (0, 60, 20, 80)


def test_a_cat_is_taken_for_a_dog_a_dog_is_missed_and_one_is_nowhere():
    matched = objects(
        [
            (true((*HERE, CAT)), found((*HERE, DOG, 0.9))),
            (true((*THERE, DOG)), found((*NOWHERE, DOG, 0.9))),
            (true((*THERE, DOG)), found()),
            (true(), found((*THERE, CAT, 0.9))),
        ]
    )
    assert confusion_matrix(matched).tolist() == [
        [0, 1, 0],  # the cat
        [0, 0, 2],
        [1, 1, 0],  # nothing there
    ]


def test_pairs_have_the_highest_sum_of_overlaps():
    # The first detection overlaps the cat by 1 and the dog by 7 / 13, the
    # second one only the cat, by 2 / 3. Both together are more than 1.
    cat, dog, other = (30, 0, 130, 10), (0, 0, 100, 10), (50, 0, 150, 10)
    matched = objects(
        [
            (
                true((*cat, CAT), (*dog, DOG)),
                found((*cat, DOG, 1), (*other, CAT, 1)),
            )
        ]
    )
    assert confusion_matrix(matched).tolist() == [
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 0],
    ]
    # Of equal overlaps the right class, whatever the order.
    both = (*HERE, DOG, 0.9), (*HERE, CAT, 0.8)
    for rows in (both, both[::-1]):
        pair = true((*HERE, CAT)), found(*rows)
        expected = [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
        assert confusion_matrix(objects([pair])).tolist() == expected


def test_every_object_and_every_detection_counts_once():
    pairs, _ = golden()
    matched = objects(pairs, 4)
    counts = confusion_matrix(matched)
    np.testing.assert_array_equal(counts[:-1].sum(1), matched.num_objects())
    labels = np.bincount(matched.labels, minlength=4)
    np.testing.assert_array_equal(counts[:, :-1].sum(0), labels)


def test_the_error_is_the_mean_distance_of_score_and_share():
    scores = np.array([0.85, 0.85, 0.85, 0.85, 0.05, 1.0])
    is_right = np.array([True, True, True, False, False, True])
    found = calibration(scores, is_right)
    assert found.counts.tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 4, 1]
    assert found.shares_right[8] == 0.75 and np.isnan(found.shares_right[1])
    assert found.error == pytest.approx((0.05 + 4 * 0.1 + 0) / 6)
    # The error without the scores near 0; the table has them.
    some = calibration(scores, is_right, least_score=0.1)
    assert some.error == pytest.approx(4 * 0.1 / 5)
    assert some.counts.tolist() == found.counts.tolist()
    assert np.isnan(calibration(scores[:0], is_right[:0]).error)


def test_each_class_has_the_precision_of_pycocotools():
    pairs, _ = golden()
    names = ["a", "b", "c", "d", "never there"]
    result = report(pairs, names)
    evaluation = coco_evaluation(pairs)
    for label in (None, *range(4)):
        evaluation.params.catIds = [*range(4)] if label is None else [label]
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        found = (
            result.precision if label is None else result.class_precision[label]
        )
        expected = evaluation.stats[[0, 1, 2, 3, 4, 5, 8]]
        expected = np.where(expected < 0, np.nan, expected)
        np.testing.assert_allclose([*found.values()], expected)
    assert np.isnan([*result.class_precision[4].values()]).all()


def coco_evaluation(pairs):
    """pycocotools' own, from its own files."""
    rows = {"true": [], "found": []}
    for i, pair in enumerate(pairs):
        for (key, table), one in zip(rows.items(), pair, strict=True):
            scores = one.get("scores", np.ones(len(one["labels"])))
            for box, label, score in zip(
                one["boxes"], one["labels"], scores, strict=True
            ):
                box = to_xywh(box)
                table.append(
                    {
                        "id": len(table) + 1,
                        "image_id": i,
                        "category_id": int(label),
                        "bbox": [float(x) for x in box],
                        "area": float(box[2] * box[3]),
                        "iscrowd": 0,
                    }
                    | ({"score": float(score)} if key == "found" else {})
                )
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": i} for i in range(len(pairs))],
            "categories": [{"id": i} for i in range(4)],
            "annotations": rows["true"],
        }
        coco.createIndex()
        coco.dataset["info"] = {}
        return COCOeval(coco, coco.loadRes(rows["found"]), "bbox")
