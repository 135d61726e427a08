"""Each kind of error, solved by hand and as TIDE's authors count it."""

import numpy as np
import pytest

from keras_vtr.evaluation.error_kinds import KINDS
from keras_vtr.evaluation.error_kinds import error_costs
from keras_vtr.evaluation.error_kinds import mean_precision
from keras_vtr.evaluation.error_kinds import sort_errors
from tests.evaluation.scenes import CAT
from tests.evaluation.scenes import DOG
from tests.evaluation.scenes import found
from tests.evaluation.scenes import golden
from tests.evaluation.scenes import objects
from tests.evaluation.scenes import report
from tests.evaluation.scenes import true

HERE, ASIDE = (10, 10, 30, 30), (20, 10, 40, 30)  # an IoU of 1/3
THERE, NOWHERE = (50, 50, 90, 90), (0, 60, 20, 80)
TWO_THIRDS = (51 + 50 * 2 / 3) / 101  # a mistake between the two that are right


@pytest.mark.parametrize(
    ("first", "second", "ap50", "costs"),
    [
        # Image 0 has a cat HERE and image 1 a dog THERE, who is found.
        ([(*HERE, CAT, 0.8)], [], 1.0, {}),
        ([(*HERE, DOG, 0.8)], [], 0.5, {"classification": 0.5}),
        ([(*ASIDE, CAT, 0.8)], [], 0.5, {"localization": 0.5}),
        # The mistake comes before the dog, and the cat is not found.
        ([(*ASIDE, DOG, 0.95)], [], 0.25, {"both": 0.25, "missed": 0.5}),
        ([], [], 0.5, {"missed": 0.5}),
        (
            [(*HERE, CAT, 0.8)],
            [(*NOWHERE, DOG, 0.95)],
            0.75,
            {"background": 0.25},
        ),
        # Only the best of two that could be corrected is.
        (
            [(*HERE, DOG, 0.8), (*ASIDE, CAT, 0.7)],
            [],
            0.5,
            {"classification": 0.5},
        ),
    ],
)
def test_each_kind_costs_what_its_correction_would_bring(
    first, second, ap50, costs
):
    found_dog = (*THERE, DOG, 0.9)
    result = report(
        [
            (true((*HERE, CAT)), found(*first)),
            (true((*THERE, DOG)), found(found_dog, *second)),
        ]
    )
    assert result.precision["AP50"] == pytest.approx(ap50)
    expected = dict.fromkeys(KINDS, 0.0) | costs
    assert result.error_costs == pytest.approx(expected)


def test_a_second_detection_of_an_object_is_a_duplicate():
    rows = [(*HERE, CAT, 0.9), (*HERE, CAT, 0.8), (*THERE, CAT, 0.7)]
    pair = true((*HERE, CAT), (*THERE, CAT)), found(*rows)
    result = report([pair], ["cat"])
    assert result.precision["AP50"] == pytest.approx(TWO_THIRDS)
    assert result.error_costs == pytest.approx(
        dict.fromkeys(KINDS, 0.0) | {"duplicate": 1 - TWO_THIRDS}
    )
    # The best threshold, in the middle of 0.7 and 0, keeps all three.
    assert result.error_counts == dict.fromkeys(KINDS, 0) | {"duplicate": 1}


def test_costs_and_numbers_are_those_of_the_authors():
    pairs, expected = golden()
    matched = objects(pairs, 4)
    errors = sort_errors(matched)
    ap50 = mean_precision(
        matched.labels, matched.is_right, matched.num_objects()
    )
    assert ap50 == pytest.approx(float(expected["ap50"]))
    costs = error_costs(matched, errors)
    np.testing.assert_allclose([*costs.values()], expected["costs"], atol=1e-9)
    counts = [int(errors.is_kind(kind).sum()) for kind in KINDS]
    assert counts == expected["counts"].tolist()


def test_what_is_found_in_a_crowd_is_no_error_of_any_kind():
    crowd = true((*HERE, CAT), (*THERE, DOG)) | {"crowds": [True, False]}
    rows = (*HERE, CAT, 0.9), (*THERE, DOG, 0.8)
    result = report([(crowd, found(*rows))])
    assert result.error_counts == dict.fromkeys(KINDS, 0)
    assert result.confusion.tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert result.calibration.counts.sum() == 1


def test_nothing_to_find_has_no_cost():
    result = report([(true(), found((*HERE, CAT, 0.9)))])
    assert np.isnan([*result.error_costs.values()]).all()
    assert result.error_counts["background"] == 1
