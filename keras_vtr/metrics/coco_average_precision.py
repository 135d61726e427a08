import contextlib
import io

import keras
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from keras_vtr.box_ops import decode_detections
from keras_vtr.optimizers.averaged_weights import averaged_weights
from keras_vtr.targets import check_targets


def _to_xywh(boxes):
    """(n, 4) `xyxy` to `xywh`."""
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


class CocoAveragePrecision(keras.callbacks.Callback):
    """COCO's average precision of detections, computed by pycocotools.

    AP is the mean over ten overlap thresholds, 0.50 to 0.95, of the area under
    the curve of precision over recall, averaged over the classes (Lin et al.
    2014; cocodataset.org, "Detection evaluation"). A thing found twice counts
    as one mistake, and so does a box that is a little off at the high
    thresholds: no single number says more about a detector.

    Alone, on predictions: `update_state` for each batch, then `result`. In
    `fit`, as a callback with `data`: after each epoch it detects, and adds
    `val_AP`, `val_AP50`, ... to the logs, where the progress bar, `History`,
    `CSVLogger` and, if they come later in the list, `ModelCheckpoint` and
    `EarlyStopping` find them. If the optimizer keeps averages of the weights
    (`use_ema=True`), they are what is judged.

    Args:
        image_shape: `(height, width, ...)` of the images in pixels, where
            `y_true` has no `"image_shapes"`. It tells small from large objects.
            Default: `y_true` has them.
        data: For the callback: batches of `(images, y_true)`, finite and the
            same at each pass, such as a `tf.data.Dataset`.

    Raises:
        ValueError: If targets or detections are not as documented.

    Example:

    >>> y_true = {
    ...     "boxes": np.array([[[0.5, 0.5, 0.2, 0.2]]], "float32"),
    ...     "labels": np.array([[3]]),
    ... }
    >>> detections = {
    ...     "boxes": np.array([[[40.0, 40.0, 60.0, 60.0]]], "float32"),
    ...     "scores": np.array([[0.9]], "float32"),
    ...     "labels": np.array([[3]]),
    ... }
    >>> precision = keras_vtr.metrics.CocoAveragePrecision((100, 100))
    >>> precision.update_state(y_true, detections)
    >>> print(round(float(precision.result()["AP"]), 3))
    1.0
    """

    # The order in which COCOeval.stats has them.
    names = ("AP", "AP50", "AP75", "APs", "APm", "APl")

    def __init__(self, image_shape=None, data=None):
        super().__init__()
        self.image_shape = image_shape
        self.data = data
        self.reset_state()

    def reset_state(self):
        """Forgets all images."""
        self._num_images = 0
        self._annotations = []
        self._results = []

    def update_state(self, y_true, detections):
        """Adds a batch of images.

        Args:
            y_true: Dict with `"boxes"` (B, M, 4), `rel_center_xywh`, and
                `"labels"` (B, M), -1 for padding; and, if there, the
                `"image_shapes"`, `"areas"`, `"crowd_boxes"` and
                `"crowd_labels"` of `keras_vtr.data.detection_dataset`.
            detections: Dict with `"boxes"` (B, n, 4), absolute `xyxy` pixels,
                of an image of its `image_shapes` or else `image_shape`,
                `"scores"` (B, n) and `"labels"` (B, n), -1 for none, as
                `decode_detections` returns it.
        """
        check_targets(y_true)
        if self.image_shape is None and "image_shapes" not in y_true:
            raise ValueError(
                "`image_shape` must be given unless `y_true` holds "
                f"'image_shapes'. Received: keys={sorted(y_true)}"
            )
        missing = {"boxes", "scores", "labels"} - set(detections)
        if missing:
            raise ValueError(
                "`detections` must be what `decode_detections` returns. "
                f"Received: keys={sorted(detections)}"
            )
        to_numpy = keras.ops.convert_to_numpy
        y_true = {key: to_numpy(x) for key, x in y_true.items()}
        true_labels = y_true["labels"]
        boxes = to_numpy(detections["boxes"])
        scores = to_numpy(detections["scores"])
        labels = to_numpy(detections["labels"])
        if len(true_labels) != len(labels):
            raise ValueError(
                "`y_true` and `detections` must be of the same images. "
                f"Received: {len(true_labels)} and {len(labels)} images"
            )
        for i in range(len(labels)):
            self._add_annotations({key: x[i] for key, x in y_true.items()})
            found = zip(_to_xywh(boxes[i]), labels[i], scores[i], strict=True)
            for box, label, score in found:
                if label >= 0:
                    row = self._row(box, label)
                    self._results.append({**row, "score": float(score)})
            self._num_images += 1

    def result(self):
        """Dict of AP, AP50, AP75 and AP of small, medium and large objects.

        In [0, 1]; NaN where there is no object of that kind.
        """
        if not self._annotations:
            return dict.fromkeys(self.names, float("nan"))
        if not self._results:
            return dict.fromkeys(self.names, 0.0)
        with contextlib.redirect_stdout(io.StringIO()):  # it is talkative
            stats = self._evaluate().stats
        stats = np.where(stats < 0, np.nan, stats)
        return {
            name: float(value)
            for name, value in zip(self.names, stats, strict=False)
        }

    def evaluate(self, model, data=None):
        """Detects on all batches of `data` and returns `result`.

        Args:
            model: A detector with the outputs of `build_detr`.
            data: Batches of `(images, y_true)`. Default: as constructed.
        """
        data = self.data if data is None else data
        # What tf.data says of a data set without end.
        if hasattr(data, "cardinality") and int(data.cardinality()) == -1:
            raise ValueError(
                "`data` must be finite. Received: a data set without end. "
                "Take a number of batches: data.take(10)"
            )
        self.reset_state()
        for images, y_true in data:
            outputs = model.predict_on_batch(images)
            shapes = y_true.get("image_shapes", self.image_shape)
            self.update_state(y_true, decode_detections(outputs, shapes))
        return self.result()

    def on_epoch_end(self, epoch, logs=None):
        if self.data is None:
            raise ValueError(
                "CocoAveragePrecision needs `data` to be used as a callback. "
                "Received: data=None"
            )
        with averaged_weights(self.model):
            result = self.evaluate(self.model)
        logs |= {f"val_{name}": value for name, value in result.items()}

    def _row(self, box, label):
        return {
            "image_id": self._num_images,
            "category_id": int(label),
            "bbox": [float(x) for x in box],
        }

    def _add_annotations(self, y_true):
        """Those of one image, crowds too."""
        sides = y_true.get("image_shapes")
        sides = np.array(self.image_shape[:2]) if sides is None else sides
        for kind in ("", "crowd_"):
            if f"{kind}labels" not in y_true:
                continue
            labels = y_true[f"{kind}labels"]
            centers, sizes = np.split(y_true[f"{kind}boxes"], 2, axis=-1)
            boxes = np.concatenate([centers - sizes / 2, sizes], axis=-1)
            boxes = boxes * np.tile(sides[::-1], 2)
            areas = boxes[:, 2] * boxes[:, 3]
            if not kind:
                areas = y_true.get("areas", areas)
            for box, label, area in zip(boxes, labels, areas, strict=True):
                if label >= 0:
                    self._annotations.append(
                        {
                            **self._row(box, label),
                            # 0 means "unmatched".
                            "id": len(self._annotations) + 1,
                            "area": float(area),
                            "iscrowd": int(bool(kind)),
                        }
                    )

    def _evaluate(self):
        rows = self._annotations + self._results
        truth = COCO()
        truth.dataset = {
            "info": {},
            "images": [{"id": i} for i in range(self._num_images)],
            "categories": [
                {"id": i} for i in sorted({row["category_id"] for row in rows})
            ],
            "annotations": self._annotations,
        }
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(self._results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        return evaluation
