import json

import numpy as np
import pytest

from keras_vtr.evaluation import ClassificationReport

PROBABILITIES = np.array(
    [[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.4, 0.6, 0.0], [0.0, 0.95, 0.05]]
)
LABELS = np.array([0, 1, 1, 0])


def test_its_tables_are_solved_by_hand(tmp_path):
    names = ["<script>", "dog", None]
    report = ClassificationReport(PROBABILITIES, LABELS, names, list("abcd"))
    assert report.accuracy == 0.75
    assert report.confusion.tolist() == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]
    first, second, third = report.rows()
    assert (first["precision"], first["recall"]) == (1.0, 0.5)
    assert first["f1"] == pytest.approx(2 / 3)
    assert (second["precision"], second["recall"]) == (2 / 3, 1.0)
    assert np.isnan([third[key] for key in ("precision", "recall", "f1")]).all()
    # 0.9 and 0.95 are in one bin, of which a half is right.
    error = (0.2 + 0.4 + 2 * (0.925 - 0.5)) / 4
    assert report.calibration.error == pytest.approx(error)
    (mistake,) = report.mistakes()
    assert mistake == {
        "image": "d",
        "true": "<script>",
        "found": "dog",
        "probability": 0.95,
    }
    path = report.write(tmp_path)
    text = path.read_text()
    assert "&lt;script&gt; taken for dog (1)" in text
    assert "<script>" not in text
    numbers = json.loads((tmp_path / "evaluation.json").read_text())
    assert numbers["accuracy"] == 0.75
    assert numbers["classes"][2]["f1"] is None
    lines = (tmp_path / "evaluation.csv").read_text().splitlines()
    assert lines[3] == "2,0,,,"
    assert report.write(tmp_path).read_text() == text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [0, 1]}, r"shape \(n, K\).*\(4, 3\) and \(2,\)"),
        ({"labels": [0, 1, 2, 3]}, "Labels must be"),
        ({"labels": [0, 1, 2, -1]}, "0 or above"),
        ({"labels": [0.0, 1.0, 1.0, 0.0]}, "must be integers"),
        ({"probabilities": PROBABILITIES * 2}, r"within \[0, 1\].*1.9"),
        ({"probabilities": PROBABILITIES * np.nan}, r"within \[0, 1\].*nan"),
        ({"class_names": ["cat"]}, "1 names"),
        ({"image_names": ["a"]}, "1 names, 4 images"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    options = {"probabilities": PROBABILITIES, "labels": LABELS} | change
    with pytest.raises(ValueError, match=message):
        ClassificationReport(**options)
