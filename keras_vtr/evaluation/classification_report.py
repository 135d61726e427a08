"""What an evaluation of a classifier has found out."""

import dataclasses

import numpy as np

from keras_vtr.class_names import check_class_names
from keras_vtr.evaluation.calibration import Calibration
from keras_vtr.evaluation.calibration import calibration
from keras_vtr.evaluation.classification_page import classification_page
from keras_vtr.evaluation.report_files import write_files
from keras_vtr.targets import check_labels


@dataclasses.dataclass(frozen=True)
class ClassificationReport:
    """The tables of a classifier's evaluation.

    Args:
        probabilities: (n, K) of each image, the predicted ones.
        labels: (n,) integers, 0..K-1, the true ones.
        class_names: Optional K names, None for a class that isn't used.
        image_names: Optional n names of the images, for the worst mistakes.

    Raises:
        ValueError: If a shape doesn't fit, there are no images, probabilities
            are not within [0, 1] or a label is out of range.

    Example:

    >>> report = keras_vtr.evaluation.ClassificationReport(
    ...     np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]), np.array([0, 1, 1])
    ... )
    >>> print(report.confusion.tolist(), round(report.accuracy, 2))
    [[1, 0], [1, 1]] 0.67
    """

    probabilities: np.ndarray
    labels: np.ndarray
    class_names: tuple | None = None
    image_names: list | None = None

    def __post_init__(self):
        probabilities = np.asarray(self.probabilities)
        labels = np.asarray(self.labels)
        shape = probabilities.shape
        if len(shape) != 2 or labels.shape != shape[:1] or not len(labels):
            raise ValueError(
                "`probabilities` must have the shape (n, K) and `labels` (n,), "
                f"of one image or more. Received: {shape} and {labels.shape}"
            )
        if not ((probabilities >= 0) & (probabilities <= 1)).all():  # NaN, too
            raise ValueError(
                "`probabilities` must be within [0, 1], such as the softmax of "
                f"logits. Received: {probabilities.min()} to "
                f"{probabilities.max()}"
            )
        check_labels(labels[None], shape[1])
        if (labels < 0).any():
            raise ValueError("`labels` must be 0 or above. Received: -1")
        names = self.class_names
        names = [None] * shape[1] if names is None else names
        names = check_class_names(names, shape[1])
        images = self.image_names
        if images is None:
            images = [f"image {i}" for i in range(len(labels))]
        if len(images) != len(labels):
            raise ValueError(
                "`image_names` must hold a name for each image. Received: "
                f"{len(images)} names, {len(labels)} images"
            )
        for name, value in (
            ("probabilities", probabilities),
            ("labels", labels),
            ("class_names", names),
            ("image_names", [str(image) for image in images]),
        ):
            object.__setattr__(self, name, value)

    @property
    def display_names(self):
        """K texts: the label where a class has no name."""
        return [name or str(i) for i, name in enumerate(self.class_names)]

    @property
    def predicted(self):
        """(n,) the most probable classes."""
        return self.probabilities.argmax(axis=1)

    @property
    def accuracy(self):
        """The share of images whose most probable class is right."""
        return float((self.predicted == self.labels).mean())

    @property
    def summary(self):
        """Dict of the numbers of the whole."""
        return {
            "accuracy": self.accuracy,
            "calibration_error": self.calibration.error,
        }

    @property
    def confusion(self):
        """(K, K) integers: rows true, columns predicted."""
        counts = np.zeros((self.probabilities.shape[1],) * 2, "int64")
        np.add.at(counts, (self.labels, self.predicted), 1)
        return counts

    @property
    def calibration(self) -> Calibration:
        """The `Calibration` of the highest probabilities."""
        return calibration(
            self.probabilities.max(axis=1), self.predicted == self.labels
        )

    def rows(self):
        """A dict of numbers for each class: the lines of evaluation.csv."""
        counts = self.confusion.astype("float64")
        right = counts.diagonal()
        true, predicted = counts.sum(axis=1), counts.sum(axis=0)
        with np.errstate(invalid="ignore"):  # 0 / 0 is NaN
            columns = {
                "precision": right / predicted,
                "recall": right / true,
                "f1": 2 * right / (true + predicted),
            }
        return [
            {
                "name": name,
                "num_images": int(true[i]),
                **{key: float(x[i]) for key, x in columns.items()},
            }
            for i, name in enumerate(self.display_names)
        ]

    def mistakes(self, most=20):
        """Dicts of the wrong images, the most certain ones first."""
        scores = self.probabilities.max(axis=1)
        wrong = np.flatnonzero(self.predicted != self.labels)
        order = wrong[np.argsort(-scores[wrong], kind="stable")][:most]
        names, predicted = self.display_names, self.predicted
        return [
            {
                "image": self.image_names[i],
                "true": names[self.labels[i]],
                "found": names[predicted[i]],
                "probability": float(scores[i]),
            }
            for i in order
        ]

    def numbers(self):
        """All tables as dicts, lists and numbers: what evaluation.json has."""
        return {
            "accuracy": self.accuracy,
            "num_images": len(self.labels),
            "classes": self.rows(),
            "confusion": {
                "names": self.display_names,
                "counts": self.confusion.tolist(),
            },
            "calibration": self.calibration.numbers(),
            "mistakes": self.mistakes(),
        }

    def write(self, folder, title="Evaluation of a classifier"):
        """Writes report.html, evaluation.json and evaluation.csv.

        Args:
            folder: Created if it doesn't exist; the files replace older ones.
            title: Of the page.

        Returns:
            The `pathlib.Path` of the page.
        """
        page = classification_page(self, title)
        return write_files(folder, page, self.numbers(), self.rows())
