import keras
import numpy as np

from keras_vtr.classifiers import classifier_of
from keras_vtr.detection_checks import check_detections
from keras_vtr.detection_checks import height_and_width
from keras_vtr.detection_checks import sides_of
from keras_vtr.detections import decode_detections
from keras_vtr.detections import decode_masks
from keras_vtr.detections import encode_masks
from keras_vtr.detections.masks import padding_of
from keras_vtr.host_errors import own_errors
from keras_vtr.metrics.batches import finite_batches
from keras_vtr.metrics.coco_result import named_averages
from keras_vtr.metrics.coco_tables import CocoTables
from keras_vtr.metrics.coco_tables import true_masks
from keras_vtr.optimizers.averaged_weights import averaged_weights
from keras_vtr.targets import check_keys
from keras_vtr.targets import check_targets

KEYS = ("boxes", "labels", "areas", "crowd_boxes", "crowd_labels", "masks")
KEYS += ("crowd_masks", "rles", "crowd_rles")


def _to_xywh(boxes):
    """(n, 4) `xyxy` to `xywh`."""
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


class CocoAveragePrecision(keras.callbacks.Callback):
    """COCO's average precision of detections, computed by pycocotools.

    AP is the mean over ten overlap thresholds, 0.50 to 0.95, of the area under
    the curve of precision over recall, averaged over the classes (Lin et al.
    2014; cocodataset.org, "Detection evaluation"). Duplicate detections are
    false positives, and so are inexact boxes at the high thresholds.

    On predictions: call `update_state` for each batch, then `result`. In
    `fit`, as a callback with `data`: it evaluates after each epoch and adds
    `val_AP`, `val_AP50`, ... to the logs, for the progress bar, `History`,
    `CSVLogger` and, if they come later in the list, `ModelCheckpoint` and
    `EarlyStopping`. If the optimizer keeps an EMA of the weights
    (`use_ema=True`), the EMA is evaluated.

    Args:
        image_shape: `(height, width)` or `(height, width, channels)` of the
            images in pixels, by which small and large objects are told apart.
            Default: `"image_shapes"` of `y_true`.
        data: For the callback: batches of `(images, y_true)`, finite and the
            same at each pass, such as a `tf.data.Dataset`.
        max_detections: How many detections of a class count in an image, those
            with the highest scores (pycocotools' `maxDets`), or None for no
            limit. Default: COCO's. An image with more objects of a class can't
            reach an AP of 1.
        masks: Whether masks are evaluated, too (pycocotools' "segm"): with
            `mask_AP`, `mask_AP50`, ..., and sizes by their areas.

    Raises:
        ValueError: If an argument, targets or detections are not as
            documented, or detections are not finite.

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

    def __init__(
        self, image_shape=None, data=None, max_detections=100, *, masks=False
    ):
        super().__init__()
        if image_shape is not None:
            image_shape = height_and_width(image_shape)
        if max_detections is not None and max_detections < 1:
            raise ValueError(
                "`max_detections` must be 1 or more, or None for no limit. "
                f"Received: max_detections={max_detections}"
            )
        self.image_shape = image_shape
        self.data = data
        self.max_detections = max_detections
        self.masks = masks
        self.reset_state()

    def reset_state(self):
        """Removes all images."""
        self._has_diverged = False
        self.tables = CocoTables()

    def update_state(self, y_true, detections):
        """Adds a batch of images.

        Args:
            y_true: Dict with `"boxes"` (B, M, 4), `rel_center_xywh`, and
                `"labels"` (B, M), -1 for padding; and optionally the
                `"image_shapes"`, `"areas"`, `"crowd_boxes"` and
                `"crowd_labels"` of `keras_vtr.data.detection_dataset`; with
                `masks` its `"rles"` and `"crowd_rles"`, or `"masks"`
                (B, M, height, width) bool of the images' own size.
            detections: Dict with `"boxes"` (B, n, 4), absolute `xyxy` pixels,
                of an image of the size `image_shapes`, else `image_shape`,
                `"scores"` (B, n) and `"labels"` (B, n), -1 for none, as
                `decode_detections` returns it; with `masks` also `"masks"`,
                a list of B arrays (n, height, width) bool of the images' own
                sizes, from `decode_masks`.
        """
        check_targets(y_true)
        num_images = len(y_true["labels"])
        sides = self._sides(y_true, num_images)
        boxes, scores, labels = check_detections(detections, num_images)
        if self.masks:
            key = "rles" if "rles" in y_true else "masks"
            crowds = (f"crowd_{key}",) if "crowd_labels" in y_true else ()
            check_keys("y_true", y_true, (key, *crowds))
            check_keys("detections", detections, ("masks",))
        y_true = {
            key: keras.ops.convert_to_numpy(x) for key, x in y_true.items()
        }
        for i in range(len(labels)):
            image = {key: y_true[key][i] for key in KEYS if key in y_true}
            self.tables.add_image(*sides[i])
            self._add_true(image, sides[i])
            masks = [None] * len(labels[i])
            if self.masks:
                masks = encode_masks(detections["masks"][i])
            for box, label, score, mask in zip(
                _to_xywh(boxes[i]), labels[i], scores[i], masks, strict=True
            ):
                if label >= 0:
                    self.tables.add_found(box, label, score, mask)

    def result(self):
        """Dict of AP, AP50, AP75, AP of small, medium and large objects, AR.

        AR, average recall, is the share found, a mean over overlaps and
        classes. In [0, 1]; NaN if there is no object of that size, crowds
        excepted; 0 if there is one and nothing was detected.
        """
        return named_averages(self.results())

    def results(self):
        """Dict of `CocoResult`s: "" of boxes and, with masks, "mask_"."""
        kinds = {"": "boxes"} | ({"mask_": "masks"} if self.masks else {})
        return {
            prefix: self.tables.evaluate(kind, self.max_detections)
            for prefix, kind in kinds.items()
        }

    def evaluate(self, model, data=None):
        """Detects on all batches of `data` and returns `result`.

        Outputs that are NaN or infinite are no detections.

        Args:
            model: A detector with the outputs of `build_detr`.
            data: Batches of `(images, y_true)`. Default: as constructed.
        """
        self.detect(model, data)
        return self.result()

    @own_errors()
    def detect(self, model, data=None):
        """Replaces the state by what is found in `data`, as `evaluate` does."""
        data = self.data if data is None else data
        self.reset_state()
        for images, y_true in finite_batches(data):
            outputs = model.predict_on_batch(images)
            shapes = self._sides(y_true, len(y_true["labels"]))
            detections = decode_detections(outputs, shapes)
            if self.masks:
                detections["masks"] = self._masks(images, detections, shapes)
            self.update_state(y_true, detections)
            logits = outputs[classifier_of(outputs).key]
            broken = np.isnan(logits).any()
            kind = "boxes" if "boxes" in outputs else "masks"
            broken |= not np.isfinite(outputs[kind]).all()
            self._has_diverged |= bool(broken)

    def on_epoch_end(self, epoch, logs=None):
        if self.data is None:
            raise ValueError(
                "CocoAveragePrecision needs `data` to be used as a callback. "
                "Received: data=None"
            )
        with averaged_weights(self.model):
            find = getattr(self.model, "detector", lambda: self.model)
            result = self.evaluate(find())
        if self._has_diverged:  # so that no callback keeps this epoch
            result = dict.fromkeys(result, float("nan"))
        logs |= {f"val_{name}": value for name, value in result.items()}

    def _sides(self, y_true, num_images):
        """(B, 2), height and width of each image."""
        if "image_shapes" not in y_true:
            if self.image_shape is None:
                raise ValueError(
                    "`image_shape` must be given unless `y_true` holds "
                    f"'image_shapes'. Received: keys={sorted(y_true)}"
                )
            return np.tile(self.image_shape, (num_images, 1))
        sides = keras.ops.convert_to_numpy(y_true["image_shapes"])
        if sides.ndim != 2:
            raise ValueError(
                "`y_true` must hold 'image_shapes' (B, 2), height and width of "
                f"each image. Received: image_shapes.shape={sides.shape}"
            )
        return sides_of(sides, num_images, "image_shapes")

    def _masks(self, images, detections, shapes):
        if "masks" not in detections:
            raise ValueError(
                "The model must have 'masks' among its outputs, as of "
                "build_detr(masks=True), or leave out `masks=True`. Received: "
                "boxes and logits alone"
            )
        logits = keras.ops.convert_to_numpy(detections["masks"])
        return decode_masks(logits, shapes, padding_of(images))

    def _add_true(self, y_true, sides):
        """Adds the objects and the crowds of one image."""
        for kind in ("", "crowd_"):
            if f"{kind}labels" not in y_true:
                continue
            labels = y_true[f"{kind}labels"]
            centers, sizes = np.split(y_true[f"{kind}boxes"], 2, axis=-1)
            boxes = np.concatenate([centers - sizes / 2, sizes], axis=-1)
            boxes = boxes * np.tile(sides[::-1], 2)
            areas = masks = [None] * len(labels)
            if self.masks:
                masks = true_masks(y_true, kind, sides)
            if not kind:
                areas = y_true.get("areas", areas)
            for box, label, area, mask in zip(
                boxes, labels, areas, masks, strict=True
            ):
                if label >= 0:
                    self.tables.add_true(box, label, area, bool(kind), mask)
