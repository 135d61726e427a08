"""All true and found objects of an evaluation, as columns."""

import dataclasses

import numpy as np
from pycocotools import mask as rle_of

OVERLAP = 0.5  # IoU from which on a detection has found an object


@dataclasses.dataclass(frozen=True)
class MatchedObjects:
    """True and found objects, and which of them belong together.

    Crowds are left out, and so are detections that don't count: those in a
    crowd of their class, and those beyond the limit of an image.

    Args:
        num_images: Number of images, also of those without objects.
        num_classes: K.
        true_images: (M,) integers, the image of each true object.
        true_labels: (M,) 0..K-1.
        true_boxes: (M, 4), `xywh` pixels.
        images: (n,) of each detection, the highest scores first.
        labels: (n,) 0..K-1.
        scores: (n,), falling.
        boxes: (n, 4), `xywh` pixels.
        matches: (n,) the true object that it has found, as COCO matches them
            at an IoU of 0.5; -1 for a mistake.
    """

    num_images: int
    num_classes: int
    true_images: np.ndarray
    true_labels: np.ndarray
    true_boxes: np.ndarray
    images: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    matches: np.ndarray

    @property
    def is_right(self):
        """(n,) bool: whether a detection has found an object."""
        return self.matches >= 0

    @property
    def is_found(self):
        """(M,) bool: whether a true object was found."""
        return np.isin(np.arange(len(self.true_labels)), self.matches)

    def num_objects(self):
        """(K,) true objects of each class."""
        return np.bincount(self.true_labels, minlength=self.num_classes)

    def above(self, thresholds):
        """Without the detections below the threshold of their class, (K,).

        COCO matches the highest scores first, so the other matches stay.
        """
        kept = self.scores >= np.asarray(thresholds)[self.labels]
        columns = ("images", "labels", "scores", "boxes", "matches")
        return dataclasses.replace(
            self, **{name: getattr(self, name)[kept] for name in columns}
        )

    def by_image(self):
        """Yields the detections (n',) and the true objects (m',) of an image.

        Both as places in the columns. Images without detections are left out.
        """
        found, true = (
            _places(x, self.num_images) for x in (self.images, self.true_images)
        )
        for some, others in zip(found, true, strict=True):
            if len(some):
                yield some, others

    def overlaps(self, found, true):
        """(n', m') IoU of detections and true objects, as pycocotools' own."""
        pair = self.boxes[found], self.true_boxes[true]
        if not len(found) or not len(true):
            return np.zeros((len(found), len(true)))
        return rle_of.iou(*pair, np.zeros(len(true), "uint8"))


def matched_objects(tables, result, num_classes):
    """The `MatchedObjects` of a `CocoTables` and its `CocoResult`.

    Raises:
        ValueError: If a label is above K - 1.
    """
    rows = [x for x in tables.annotations if not x["iscrowd"]]
    places = {x["id"] - 1: i for i, x in enumerate(rows)}
    matches = result.matches()
    # Stable, as pycocotools sorts.
    order = sorted(matches, key=lambda i: -tables.results[i]["score"])
    found = [tables.results[i] for i in order]
    true = _columns(rows, num_classes)
    return MatchedObjects(
        len(tables.images),
        num_classes,
        *true,
        *_columns(found, num_classes, "score"),
        matches=np.array([places.get(matches[i], -1) for i in order], "int64"),
    )


def _columns(rows, num_classes, *more):
    """Images, labels, further columns and boxes."""
    images, labels = (
        np.array([row[key] for row in rows], "int64")
        for key in ("image_id", "category_id")
    )
    if (labels >= num_classes).any():
        raise ValueError(
            "Labels must be within 0 and K - 1. Received: "
            f"{labels.max()}, K={num_classes}"
        )
    more = [np.array([row[key] for row in rows], "float64") for key in more]
    boxes = np.array([row["bbox"] for row in rows], "float64").reshape(-1, 4)
    return images, labels, *more, boxes


def _places(images, num_images):
    """Where each image's rows stand."""
    order = np.argsort(images, kind="stable")
    ends = np.searchsorted(images[order], np.arange(num_images), "right")
    return np.split(order, ends[:-1]) if num_images else []
