from keras_vtr.data.host_calls import call_on_host
from keras_vtr.targets import check_inputs
from keras_vtr.targets import check_targets

INPUTS = ("images", "padding_mask")


def check_dataset(dataset, *, num_classes, num_queries=None):
    """Validates each batch of a data set on the host.

    A wrong label, box or padding mask stops the run with an error that shows
    it: see `check_targets` and `check_inputs`.

    Args:
        dataset: A `tf.data.Dataset` of `(images, y_true)` batches, where
            `images` may be a dict with `"images"` and `"padding_mask"`.
        num_classes: K, real classes only.
        num_queries: Optional Q, the largest number of objects of an image.

    Returns:
        A `tf.data.Dataset` of the same batches.

    Raises:
        ValueError: From `fit` and `evaluate` of a
            `keras_vtr.models.DetectionModel`, at the first batch with a wrong
            target. Other readers get a `tf.errors.InvalidArgumentError` with
            this text.

    Example:

    >>> scenes = keras_vtr.data.digit_scenes("train")
    >>> scenes = keras_vtr.data.check_dataset(scenes, num_classes=10)
    """

    def check(boxes, labels, *inputs):
        check_targets(
            {"boxes": boxes, "labels": labels}, num_classes, num_queries
        )
        if inputs:
            check_inputs(dict(zip(INPUTS, inputs, strict=True)))
        return labels

    def check_batch(images, y_true):
        inputs = ()
        if isinstance(images, dict) and "padding_mask" in images:
            inputs = [images[key] for key in INPUTS]
        labels = call_on_host(
            check,
            (y_true["boxes"], y_true["labels"], *inputs),
            y_true["labels"].dtype,
        )
        labels.set_shape(y_true["labels"].shape)
        return images, {**y_true, "labels": labels}

    return dataset.map(check_batch)
