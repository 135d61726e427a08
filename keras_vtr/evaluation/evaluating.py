"""From a model or from detections to a report."""

import numpy as np

from keras_vtr.class_names import check_class_names
from keras_vtr.detection_checks import check_detections
from keras_vtr.detection_checks import check_detector
from keras_vtr.evaluation.analysis import analyze
from keras_vtr.evaluation.pictures import chosen_pictures
from keras_vtr.layers.tokens.class_head import class_names_of
from keras_vtr.metrics import CocoAveragePrecision
from keras_vtr.targets import check_keys
from keras_vtr.visualization.pictures import to_picture


def evaluate_detector(
    model,
    batches,
    class_names=None,
    *,
    masks=False,
    image_shape=None,
    image_names=None,
    num_pictures=4,
    max_detections=100,
    seed=0,
):
    """Detects on all batches and finds out what is right and what is wrong.

    The batches are read once for the detections and, up to the last picture
    that is shown, once more for the pictures.

    Args:
        model: A detector such as `keras_vtr.models.build_detr` returns.
        batches: Finite batches of `(inputs, y_true)`, the same at each pass,
            such as of `keras_vtr.data.detection_dataset(training=False)`.
        class_names: K names, None for a class that isn't used. Default: the
            model's, or labels.
        masks: Whether there is AP of masks, too. All else is about boxes.
        image_shape: Height and width of the images in pixels. Default:
            `"image_shapes"` of `y_true`, else the model's own size.
        image_names: Optional names of the images, such as their paths.
        num_pictures: How many of the worst pictures of each kind of error.
        max_detections: As of `keras_vtr.metrics.CocoAveragePrecision`.
        seed: Of the bootstrap.

    Returns:
        The `DetectionReport`.

    Raises:
        ValueError: If the model is no detector, the batches aren't as
            documented or differ between two passes, or names are of another
            number.

    Example:

    >>> scenes = keras_vtr.data.digit_scenes("held_out", num_scenes=16)
    ... # doctest: +SKIP
    >>> report = keras_vtr.evaluation.evaluate_detector(detr, scenes)
    ... # doctest: +SKIP
    >>> report.write("report")  # doctest: +SKIP
    PosixPath('report/report.html')
    """
    num_classes = check_detector(model)
    names = class_names_of(model) if class_names is None else class_names
    names = _names(names, num_classes)
    precision = CocoAveragePrecision(
        _fixed_size(model) if image_shape is None else image_shape,
        batches,
        max_detections,
        masks=masks,
    )
    precision.detect(model)
    images = precision.tables.images
    return analyze(
        precision,
        names,
        _image_names(image_names, len(images)),
        lambda numbers: chosen_pictures(batches, numbers),
        [(row["height"], row["width"]) for row in images],
        num_pictures,
        seed,
    )


def evaluate_detections(
    true,
    found,
    class_names,
    *,
    images=None,
    image_names=None,
    num_pictures=4,
    max_detections=100,
    seed=0,
):
    """Finds out what is right and what is wrong in detections of any origin.

    Args:
        true: A list of dicts, one for each image: `"boxes"` (M, 4), absolute
            `xyxy` pixels; `"labels"` (M,) 0..K-1; optionally `"crowds"` (M,)
            bool, boxes in which detections don't count, and `"areas"` (M,)
            pixels, those of the boxes by default.
        found: A list of dicts likewise, such as of `keras_vtr.detect` with
            `score_threshold=0.0`: `"boxes"`, `"labels"` and `"scores"` (n,).
        class_names: K names, None for a class that isn't used.
        images: Optional list of the images, (height, width, C) pixels or
            `PIL.Image.Image`s, of which the worst ones are shown.
        image_names: Optional names of the images.
        num_pictures: How many of the worst pictures of each kind of error.
        max_detections: As of `keras_vtr.metrics.CocoAveragePrecision`.
        seed: Of the bootstrap.

    Returns:
        The `DetectionReport`.

    Raises:
        ValueError: If there are lists of different lengths, or boxes, labels
            or scores are not as documented.

    Example:

    >>> report = keras_vtr.evaluation.evaluate_detections(
    ...     [{"boxes": [[10.0, 10.0, 30.0, 30.0]], "labels": [0]}],
    ...     [{"boxes": np.zeros((0, 4)), "labels": [], "scores": []}],
    ...     class_names=["cat"],
    ... )
    >>> print(report.precision["AP"], round(report.error_costs["missed"], 2))
    0.0 1.0
    """
    names = _names(class_names)
    sizes = {"true": len(true), "found": len(found)}
    if images is not None:
        sizes["images"] = len(images)
    if len(set(sizes.values())) > 1:
        raise ValueError(
            f"{' and '.join(map(repr, sizes))} must be of the same images. "
            f"Received: {sizes}"
        )
    precision = CocoAveragePrecision(max_detections=max_detections)
    for i in range(len(true)):
        _add_image(precision.tables, true[i], found[i], len(names))

    def read(numbers):
        return {i: to_picture(images[i]) for i in numbers}

    return analyze(
        precision,
        names,
        _image_names(image_names, len(true)),
        None if images is None else read,
        None,
        num_pictures,
        seed,
    )


def _add_image(tables, true, found, num_classes):
    """Checks an image's objects and adds them; its size is of no account."""
    tables.add_image(0, 0)
    check_keys("true", true, ("boxes", "labels"))
    labels = np.asarray(true["labels"])
    # True objects are checked as if they were certain detections.
    boxes, _, labels = _checked(
        {**true, "scores": np.ones(len(labels))}, num_classes
    )
    crowds = true.get("crowds", np.zeros(len(labels), bool))
    areas = true.get("areas", [None] * len(labels))
    for row in zip(_to_xywh(boxes), labels, areas, crowds, strict=True):
        if row[1] >= 0:
            tables.add_true(*row)
    boxes, scores, labels = _checked(found, num_classes)
    for row in zip(_to_xywh(boxes), labels, scores, strict=True):
        if row[1] >= 0:
            tables.add_found(*row)


def _checked(objects, num_classes):
    """Boxes, scores and labels of one image."""
    keys = ("boxes", "scores", "labels")
    check_keys("found", objects, keys)
    boxes, scores, labels = (np.asarray(objects[key]) for key in keys)
    boxes = boxes.reshape(-1, 4) if not boxes.size else boxes
    labels = labels if labels.size else labels.astype("int64")
    batch = {
        "boxes": boxes[None],
        "scores": scores[None],
        "labels": labels[None],
    }
    return (x[0] for x in check_detections(batch, num_classes=num_classes))


def _to_xywh(boxes):
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def _names(class_names, num_classes=None):
    """K names or None."""
    if class_names is None:
        return (None,) * num_classes
    return check_class_names(class_names, num_classes)


def _image_names(names, num_images):
    if names is None:
        return [f"image {i}" for i in range(num_images)]
    names = [str(name) for name in names]
    if len(names) != num_images:
        raise ValueError(
            "`image_names` must hold a name for each image. Received: "
            f"{len(names)} names, {num_images} images"
        )
    return names


def _fixed_size(model):
    """Height and width of a model's images, or None if they are free."""
    images = model.input
    images = images["images"] if isinstance(images, dict) else images
    size = tuple(images.shape[1:3])
    return None if None in size else size
