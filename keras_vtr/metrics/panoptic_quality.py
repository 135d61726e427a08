import keras
import numpy as np

from keras_vtr.classifiers import classifier_of
from keras_vtr.detection_checks import height_and_width
from keras_vtr.detections import decode_segments
from keras_vtr.detections.masks import padding_of
from keras_vtr.host_errors import own_errors
from keras_vtr.metrics.batches import finite_batches
from keras_vtr.metrics.coco_tables import decoded_masks
from keras_vtr.optimizers.averaged_weights import averaged_weights
from keras_vtr.targets import check_keys


class PanopticQuality(keras.callbacks.Callback):
    """Panoptic quality of segments.

    Kirillov et al. 2019, "Panoptic Segmentation", section 4: a predicted
    segment matches a true one of its class if their intersection over union is
    above 0.5, which at most one does. The quality of a class is the sum of
    these overlaps over `TP + FP / 2 + FN / 2`; it is the product of the mean
    overlap (segmentation quality, SQ) and an F1 score (recognition quality,
    RQ). Each is a mean over the classes that occur. Pixels without a true
    segment count for no overlap, and a segment that lies mostly in these or in
    a crowd of its class is no mistake.

    Used as `CocoAveragePrecision`, as a callback of `fit` with `data`, too.

    Args:
        image_shape: `(height, width)` or `(height, width, channels)` of the
            images in pixels. Default: `"image_shapes"` of `y_true`.
        data: For the callback: batches of `(images, y_true)`, finite and the
            same at each pass.
        things: Classes of which each object is a segment of its own. Default:
            all.
        score_threshold: As in `decode_segments`.

    Raises:
        ValueError: If an argument or targets are not as documented.

    Example:

    >>> masks = np.zeros((1, 1, 4, 6), bool)
    >>> masks[..., :3] = True
    >>> y_true = {"labels": np.array([[2]]), "masks": masks}
    >>> found = np.where(masks[0, 0], 0, -1)
    >>> segments = {"segments": found, "labels": np.array([2])}
    >>> quality = keras_vtr.metrics.PanopticQuality((4, 6))
    >>> quality.update_state(y_true, [segments])
    >>> print(round(quality.result()["PQ"], 3))
    1.0
    """

    def __init__(
        self, image_shape=None, data=None, *, things=None, score_threshold=0.85
    ):
        super().__init__()
        if image_shape is not None:
            image_shape = height_and_width(image_shape)
        self.image_shape = image_shape
        self.data = data
        self.things = None if things is None else set(things)
        self.score_threshold = score_threshold
        self.reset_state()

    def reset_state(self):
        """Removes all images."""
        self._counts = {}  # class -> sum of overlaps, TP, FP, FN

    def update_state(self, y_true, segments):
        """Adds a batch of images.

        Args:
            y_true: Dict with `"labels"` (B, M), -1 for padding, and `"masks"`
                (B, M, height, width) bool of the images' own size, which don't
                overlap, or `"rles"` (B, M) and `"image_shapes"` (B, 2), and
                optionally the same of crowds, as
                `keras_vtr.data.detection_dataset` gives them.
            segments: List of B dicts, as `decode_segments` returns them.
        """
        check_keys("y_true", y_true, ("labels",))
        check_keys("y_true", y_true, ("rles" if "rles" in y_true else "masks",))
        y_true = {
            key: keras.ops.convert_to_numpy(x) for key, x in y_true.items()
        }
        if len(segments) != len(y_true["labels"]):
            raise ValueError(
                "`y_true` and `segments` must be of the same images. Received: "
                f"{len(y_true['labels'])} and {len(segments)} images"
            )
        for i, found in enumerate(segments):
            self._add_image({key: x[i] for key, x in y_true.items()}, found)

    def result(self):
        """Dict of PQ, SQ, RQ, and of PQ of things and of stuff alone.

        In [0, 1]; NaN if there is no class of that kind.
        """
        classes = set(self._counts)
        things = classes if self.things is None else classes & self.things
        result = dict(
            zip(("PQ", "SQ", "RQ"), self._means(classes), strict=True)
        )
        result["PQ_things"] = self._means(things)[0]
        result["PQ_stuff"] = self._means(classes - things)[0]
        return result

    @own_errors()
    def evaluate(self, model, data=None):
        """Segments all batches of `data` and returns `result`.

        Args:
            model: A model with masks.
            data: Batches of `(images, y_true)`. Default: as constructed.
        """
        self.reset_state()
        data = self.data if data is None else data
        for images, y_true in finite_batches(data):
            outputs = model.predict_on_batch(images)
            classifier = classifier_of(outputs)
            every = range(classifier.num_classes(outputs[classifier.key]))
            segments = decode_segments(
                outputs,
                y_true.get("image_shapes", self.image_shape),
                padding_mask=padding_of(images),
                things=every if self.things is None else self.things,
                score_threshold=self.score_threshold,
            )
            self.update_state(y_true, segments)
        return self.result()

    def on_epoch_end(self, epoch, logs=None):
        if self.data is None:
            raise ValueError(
                "PanopticQuality needs `data` to be used as a callback. "
                "Received: data=None"
            )
        with averaged_weights(self.model):
            result = self.evaluate(self.model)
        logs |= {f"val_{name}": value for name, value in result.items()}

    def _means(self, classes):
        """PQ, SQ and RQ, means over the classes."""
        if not classes:
            return (float("nan"),) * 3
        overlap, hits, wrong, missed = np.array(
            [self._counts[x] for x in sorted(classes)], "float64"
        ).T
        quality = overlap / (hits + wrong / 2 + missed / 2)
        segmentation = overlap / np.maximum(hits, 1)
        recognition = hits / (hits + wrong / 2 + missed / 2)
        return tuple(
            float(x.mean()) for x in (quality, segmentation, recognition)
        )

    def _count(self, label, which, amount=1.0):
        self._counts.setdefault(int(label), [0.0] * 4)[which] += amount

    def _add_image(self, y_true, found):
        numbers = np.asarray(found["segments"])
        size = numbers.shape
        labels = y_true["labels"][y_true["labels"] >= 0]
        masks = decoded_masks(y_true, "", size)[y_true["labels"] >= 0]
        crowd_labels = y_true.get("crowd_labels", np.zeros(0, int))
        is_crowd = crowd_labels >= 0
        crowds = decoded_masks(y_true, "crowd_", size)[is_crowd]
        crowd_labels = crowd_labels[is_crowd]
        if masks.sum(axis=0).max(initial=0) > 1:
            raise ValueError(
                "The true masks of an image must not overlap, since each pixel "
                "has one segment. Received: masks that do"
            )
        nowhere = ~masks.any(axis=0) & ~crowds.any(axis=0)
        found_labels = np.asarray(found["labels"])
        is_matched = np.zeros(len(labels), bool)
        for number, label in enumerate(found_labels):
            segment = numbers == number
            unclear = (segment & nowhere).sum()
            best = 0.0
            for i in np.flatnonzero(labels == label):
                shared = (segment & masks[i]).sum()
                union = segment.sum() + masks[i].sum() - shared - unclear
                if shared > 0.5 * union:
                    best, is_matched[i] = shared / union, True
            if best:
                self._count(label, 0, best)
                self._count(label, 1)
                continue
            of_class = crowds[crowd_labels == label].any(axis=0)
            unclear += (segment & of_class).sum()
            if unclear <= 0.5 * segment.sum():
                self._count(label, 2)
        for label in labels[~is_matched]:
            self._count(label, 3)
