"""True and found objects in COCO's form, for pycocotools."""

import contextlib
import io

import numpy as np
from pycocotools import mask as rle_of
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from keras_vtr.detections import encode_masks
from keras_vtr.metrics.coco_result import CocoResult


class CocoTables:
    """The images, the true objects and the found ones of an evaluation."""

    def __init__(self):
        self.images = []
        self.annotations = []
        self.results = []

    def add_image(self, height, width):
        """The objects that are added next are those of this image."""
        sides = {"height": int(height), "width": int(width)}
        self.images.append({"id": len(self.images), **sides})

    def add_true(self, box, label, area, is_crowd, mask=None):
        """Adds a true object: `xywh` pixels, and optionally its RLE.

        An `area` of None is that of the box, or for masks of the mask.
        """
        row = self._row(self.annotations, box, label, mask)
        row["iscrowd"] = int(is_crowd)
        if area is not None:
            row.update(area=float(area), is_annotated=True)

    def add_found(self, box, label, score, mask=None):
        """Adds a detection, likewise."""
        row = self._row(self.results, box, label, mask)
        row["score"] = float(score)

    def evaluate(self, kind, max_detections):
        """The `CocoResult`.

        Args:
            kind: "boxes" or "masks".
            max_detections: Those of a class that count in an image, or None.
        """
        with contextlib.redirect_stdout(io.StringIO()):  # it prints
            return CocoResult(self._evaluate(kind, max_detections))

    def _row(self, rows, box, label, mask):
        x, y, width, height = (float(number) for number in box)
        row = {
            "id": len(rows) + 1,  # 0 means "unmatched".
            "image_id": self.images[-1]["id"],
            "category_id": int(label),
            "bbox": [x, y, width, height],
            "area": width * height,
            "iscrowd": 0,
        }
        if mask is not None:
            row["segmentation"] = mask
        rows.append(row)
        return row

    def _evaluate(self, kind, max_detections):
        pair = self.annotations, self.results
        if kind == "masks":
            pair = [list(map(_with_area_of_mask, rows)) for rows in pair]
        ids = sorted({row["category_id"] for rows in pair for row in rows})
        pair = (self._coco(rows, ids) for rows in pair)
        evaluation = COCOeval(*pair, {"boxes": "bbox", "masks": "segm"}[kind])
        limit = max_detections or max(1, len(self.results))
        evaluation.params.maxDets = [limit]
        evaluation.evaluate()
        evaluation.accumulate()
        return evaluation

    def _coco(self, rows, ids):
        coco = COCO()
        coco.dataset = {
            "images": self.images,
            "categories": [{"id": i} for i in ids],
            "annotations": rows,
        }
        coco.createIndex()
        return coco


def _with_area_of_mask(row):
    if "is_annotated" in row:
        return row
    return {**row, "area": float(rle_of.area(row["segmentation"]))}


def decoded_masks(y_true, kind, size):
    """(n, height, width) bool, the masks of an image's objects or crowds."""
    if f"{kind}rles" in y_true:
        rles = [
            {"size": list(size), "counts": x} if x else None
            for x in y_true[f"{kind}rles"]
        ]
        masks = [
            np.zeros(size, bool) if x is None else rle_of.decode(x).astype(bool)
            for x in rles
        ]
        return np.array(masks, bool).reshape(-1, *size)
    masks = y_true.get(f"{kind}masks", np.zeros((0, *size), bool))
    if masks.shape[1:] != tuple(size):
        raise ValueError(
            "`y_true` must hold masks of the images' own size. Received: "
            f"masks of {masks.shape[1:]}, an image of {tuple(size)}"
        )
    return np.asarray(masks, bool)


def true_masks(y_true, kind, sides):
    """The COCO RLE of each object or crowd of an image."""
    if f"{kind}rles" not in y_true:
        return encode_masks(y_true[f"{kind}masks"])
    size = [int(side) for side in sides]
    return [{"size": size, "counts": x} for x in y_true[f"{kind}rles"]]
