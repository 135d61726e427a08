import numpy as np
import pytest

from keras_vtr.evaluation.thresholds import GRID
from keras_vtr.evaluation.thresholds import best_threshold
from keras_vtr.evaluation.thresholds import curves
from keras_vtr.evaluation.thresholds import resamples
from tests.evaluation.scenes import CAT
from tests.evaluation.scenes import DOG
from tests.evaluation.scenes import found
from tests.evaluation.scenes import golden
from tests.evaluation.scenes import objects
from tests.evaluation.scenes import report
from tests.evaluation.scenes import true

PLACES = [(30 * i, 0, 30 * i + 20, 20) for i in range(5)]


def five_detections():
    """Four cats, of which three are found, and two mistakes."""
    rows = [(0, 0.9), (1, 0.8), (4, 0.6), (2, 0.4), (4, 0.2)]
    return (
        true(*((*PLACES[i], CAT) for i in range(4))),
        found(*((*PLACES[i], CAT, score) for i, score in rows)),
    )


def test_the_best_threshold_has_the_highest_f1():
    # F1 = 2 TP / (detections + objects): 2/5, 4/6, 4/7, 6/8, 6/9.
    matched = objects([five_detections()])
    best = best_threshold(matched, resamples(1), CAT)
    assert best.threshold == pytest.approx(0.3)  # between 0.4 and 0.2
    assert (best.precision, best.recall, best.f1) == (0.75, 0.75, 0.75)
    # One image is the only one that can be drawn.
    assert best.threshold_interval == pytest.approx((0.3, 0.3))
    assert best.f1_interval == pytest.approx((0.75, 0.75))
    assert best.num_objects == 4 and not best.is_sure
    # A score that equals the threshold is kept.
    precision, recall, f1 = curves(matched, CAT)
    for threshold, numbers in (
        (0.0, (3 / 5, 3 / 4, 6 / 9)),
        (0.4, (3 / 4, 3 / 4, 6 / 8)),
        (0.41, (2 / 3, 2 / 4, 4 / 7)),
        (0.95, (np.nan, 0, 0)),
    ):
        i = int(np.argmin(abs(GRID - threshold)))
        values = [precision[i], recall[i], f1[i]]
        np.testing.assert_allclose(values, numbers)


def test_a_class_without_a_threshold_is_unsure_and_has_one_half():
    pairs = [five_detections()] * 3
    pairs.append((true((*PLACES[0], DOG)), found((*PLACES[3], DOG, 0.9))))
    result = report(pairs, ["cat", "dog", "cow"])
    cat, dog, cow = result.class_best
    assert cat.is_sure and cat.num_objects == 12
    assert np.isnan([dog.threshold, cow.threshold, cow.f1]).all()
    assert not dog.is_sure and (dog.f1, dog.recall) == (0, 0)
    assert result.thresholds.tolist() == pytest.approx([0.3, 0.5, 0.5])
    assert result.thresholds_by_name == pytest.approx(
        {"cat": 0.3, "dog": 0.5, "cow": 0.5}
    )
    assert result.best.threshold == pytest.approx(0.3)


def test_a_drawn_image_counts_as_often_as_it_was_drawn():
    pairs, _ = golden()
    matched = objects(pairs, 4)
    draws = resamples(len(pairs), num_resamples=3, seed=5)
    assert (draws.sum(axis=1) == len(pairs)).all()
    for draw in draws:
        for label in (1, None):
            best = best_threshold(matched, draw[None], label)
            # As if the images were there so often.
            repeated = [pairs[i] for i in np.repeat(range(len(pairs)), draw)]
            again = objects(repeated, 4)
            kept = again.above(np.full(4, best.threshold))
            is_class = np.ones(len(kept.labels), bool)
            num_objects = len(again.true_labels)
            if label is not None:
                is_class = kept.labels == label
                num_objects = again.num_objects()[label]
            hits = kept.is_right[is_class].sum()
            f1 = 2 * hits / (is_class.sum() + num_objects)
            assert best.f1_interval == pytest.approx((f1, f1))
            optimum = best_threshold(again, draw[:0], label)
            assert optimum.f1 >= f1 - 1e-12


def test_the_interval_is_narrow_if_all_images_are_alike():
    draws = resamples(8)
    assert len(draws) == 200 and (draws == resamples(8)).all()
    alike = best_threshold(objects([five_detections()] * 8), draws)
    assert alike.threshold_interval == pytest.approx((0.3, 0.3))
    # Other images have three mistakes between 0.6 and 0.4. With 5 of 8 images
    # that are like the first ones 0.3 is better, with fewer 0.7.
    mistakes = found(*((*PLACES[4], CAT, x) for x in (0.50, 0.51, 0.52)))
    mixed = [five_detections(), (five_detections()[0], mistakes)] * 4
    low, high = best_threshold(objects(mixed), draws).threshold_interval
    assert high - low > 0.3


def test_equal_scores_are_kept_or_dropped_together():
    pairs, _ = golden()
    for _, one in pairs:  # many equal scores
        one["scores"] = one["scores"].round(1)
    draws = resamples(len(pairs), num_resamples=20)
    before = best_threshold(objects(pairs, 4), draws)
    kept = objects(pairs, 4).above(np.full(4, before.threshold))
    hits, number = kept.is_right.sum(), len(kept.labels)
    assert before.precision == pytest.approx(hits / number)
