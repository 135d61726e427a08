"""What an evaluation of a detector has found out."""

import dataclasses

import numpy as np

from keras_vtr.detections.thresholds import thresholds_by_name
from keras_vtr.evaluation.calibration import Calibration
from keras_vtr.evaluation.detection_page import detection_page
from keras_vtr.evaluation.report_files import write_files
from keras_vtr.evaluation.thresholds import GRID
from keras_vtr.evaluation.thresholds import UNKNOWN
from keras_vtr.evaluation.thresholds import BestThreshold


@dataclasses.dataclass(frozen=True)
class DetectionReport:
    """The tables of a detector's evaluation, from `evaluate_detector`.

    Args:
        class_names: K names, None for a class that isn't used.
        num_images: Number of images.
        precision: Dict of COCO's AP, AP50, ..., AR, and with masks mask_AP, ...
        class_precision: K such dicts.
        best: `BestThreshold` of all classes together.
        class_best: K of them.
        curves: (K, 3, 101) precision, recall and F1 of each class at the
            thresholds 0, 0.01, ... 1.
        error_costs: Dict of the kinds of errors to what each costs of AP50.
        error_counts: Dict of them to their numbers at the best thresholds.
        confusion: (K + 1, K + 1) integers, rows true, the last one "nothing
            there"; columns found, the last one "missed"; at the best
            thresholds.
        calibration: `Calibration` of the scores.
        pictures: Dict of the kinds to the worst pictures.

    Example:

    >>> box = [[10.0, 10.0, 30.0, 30.0]]
    >>> report = keras_vtr.evaluation.evaluate_detections(
    ...     [{"boxes": box, "labels": [0]}],
    ...     [{"boxes": box, "labels": [0], "scores": [0.8]}],
    ...     class_names=["cat"],
    ... )
    >>> print(report.precision["AP"].round(2), report.thresholds.tolist())
    1.0 [0.4]
    """

    class_names: tuple
    num_images: int
    precision: dict
    class_precision: list
    best: BestThreshold
    class_best: list
    curves: np.ndarray
    error_costs: dict
    error_counts: dict
    confusion: np.ndarray
    calibration: Calibration
    pictures: dict

    @property
    def thresholds(self):
        """(K,) the best ones; 0.5 for a class of which nothing was found."""
        return usable_thresholds(self.class_best)

    @property
    def thresholds_by_name(self):
        """Dict of them, as `keras_vtr.detect(score_threshold=)` takes it.

        A list, if names don't tell the classes apart.
        """
        return thresholds_by_name(self.thresholds, self.class_names)

    @property
    def summary(self):
        """Dict of the numbers of the whole."""
        return self.precision

    @property
    def display_names(self):
        """K texts: the label where a class has no name."""
        return [name or str(i) for i, name in enumerate(self.class_names)]

    @property
    def unsure_classes(self):
        """Names of the classes whose best threshold is unsure."""
        pairs = zip(self.display_names, self.class_best, strict=True)
        return [name for name, best in pairs if not best.is_sure]

    def rows(self):
        """A dict of numbers for each class: the lines of evaluation.csv."""
        return [
            {"name": name, **_row(best), **precision}
            for name, best, precision in zip(
                self.display_names,
                self.class_best,
                self.class_precision,
                strict=True,
            )
        ]

    def numbers(self):
        """All tables as dicts, lists and numbers: what evaluation.json has."""
        return {
            **self.precision,
            "num_images": self.num_images,
            "all_classes": _row(self.best),
            "classes": self.rows(),
            "errors": {
                kind: {"cost": cost, "count": self.error_counts[kind]}
                for kind, cost in self.error_costs.items()
            },
            "confusion": {
                "true": [*self.display_names, "nothing there"],
                "found": [*self.display_names, "missed"],
                "counts": self.confusion.tolist(),
            },
            "calibration": self.calibration.numbers(),
            "curves": {
                "thresholds": GRID.round(2).tolist(),
                "classes": [
                    dict(zip(("precision", "recall", "f1"), x, strict=True))
                    for x in self.curves.tolist()
                ],
            },
        }

    def write(self, folder, title="Evaluation of a detector"):
        """Writes report.html, evaluation.json and evaluation.csv.

        Args:
            folder: Created if it doesn't exist; the files replace older ones.
            title: Of the page.

        Returns:
            The `pathlib.Path` of the page, one file with all its pictures.
        """
        page = detection_page(self, title)
        return write_files(folder, page, self.numbers(), self.rows())


def usable_thresholds(class_best):
    """(K,) thresholds, `UNKNOWN` where there is none."""
    found = np.array([x.threshold for x in class_best], "float64")
    return np.where(np.isnan(found), UNKNOWN, found)


def _row(best):
    """The numbers of a `BestThreshold`."""
    return {
        "num_objects": best.num_objects,
        "threshold": best.threshold,
        "threshold_low": best.threshold_interval[0],
        "threshold_high": best.threshold_interval[1],
        "is_sure": best.is_sure,
        "precision": best.precision,
        "recall": best.recall,
        "f1": best.f1,
        "f1_low": best.f1_interval[0],
        "f1_high": best.f1_interval[1],
    }
