"""From a classifier to a report."""

import dataclasses

import keras
import numpy as np

from keras_vtr.evaluation.classification_report import ClassificationReport
from keras_vtr.evaluation.pictures import chosen_pictures
from keras_vtr.host_errors import own_errors
from keras_vtr.layers.tokens.class_head import class_names_of
from keras_vtr.metrics.batches import finite_batches


@own_errors()
def evaluate_classifier(
    model,
    batches,
    class_names=None,
    *,
    from_logits=True,
    image_names=None,
    num_pictures=12,
):
    """Classifies all batches and finds out what is right and what is wrong.

    The batches are read once for the classes and, up to the last picture that
    is shown, once more for the pictures.

    Args:
        model: A model such as `keras_vtr.models.build_vit` returns, from images
            to (B, K).
        batches: Finite batches of `(images, labels)`, the same at each pass,
            such as of `keras_vtr.data.classification_dataset(training=False)`;
            labels are (B,) integers.
        class_names: K names, None for a class that isn't used. Default: the
            model's, or labels.
        from_logits: Whether the model's outputs are logits, before softmax.
        image_names: Optional names of the images, such as their paths.
        num_pictures: How many of the worst mistakes are shown.

    Returns:
        The `ClassificationReport`.

    Raises:
        ValueError: If there are no batches, or labels, outputs or names are
            not as documented.

    Example:

    >>> vit = keras_vtr.models.build_vit(
    ...     2, size="tiny", image_shape=(32, 32, 3), num_layers=1
    ... )
    >>> batches = [(np.zeros((3, 32, 32, 3), "float32"), np.array([0, 1, 1]))]
    >>> report = keras_vtr.evaluation.evaluate_classifier(vit, batches)
    >>> print(report.confusion.sum(), len(report.rows()))
    3 2
    """
    outputs, labels = [], []
    for images, some in finite_batches(batches):
        found = keras.ops.convert_to_tensor(model.predict_on_batch(images))
        found = keras.ops.cast(found, "float32")
        found = keras.ops.softmax(found) if from_logits else found
        outputs.append(keras.ops.convert_to_numpy(found))
        labels.append(np.asarray(some))
    if not outputs:
        raise ValueError("`batches` must not be empty. Received: no batch")
    names = class_names_of(model) if class_names is None else class_names
    report = ClassificationReport(
        np.concatenate(outputs), np.concatenate(labels), names, image_names
    )
    numbers = {x["number"] for x in report.mistakes(num_pictures)}
    pictures = chosen_pictures(batches, numbers)
    return dataclasses.replace(report, pictures=pictures)
