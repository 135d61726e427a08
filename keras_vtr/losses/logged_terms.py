"""Terms of weight 0, which are logged and not learned."""

import keras
from keras import ops

from keras_vtr.classifiers import classifier_of
from keras_vtr.losses.terms import Term


@keras.saving.register_keras_serializable(package="keras_vtr")
class ClassError(Term):
    """Percentage of matched queries whose class is wrong; only logged.

    Args:
        name: Its name in the progress bar.
    """

    def __init__(self, name="class_error"):
        super().__init__(name, weight=0.0)

    def distance(self, y_true, y_pred):
        logits = y_pred[classifier_of(y_pred).key]
        predicted = ops.argmax(logits, axis=-1)
        labels = ops.cast(y_true["labels"], predicted.dtype)
        return ops.cast(ops.not_equal(predicted, labels), "float32")

    def normalizer(self, pairs):
        return pairs.num_pairs / 100

    def get_config(self):
        return {"name": self.name}


@keras.saving.register_keras_serializable(package="keras_vtr")
class CardinalityError(Term):
    """Absolute error of the number of objects in an image; only logged.

    The mean over the images, as in the logs of Carion et al. 2020 (DETR).

    Args:
        name: Its name in the progress bar.
    """

    def __init__(self, name="cardinality_error"):
        super().__init__(name, weight=0.0)

    def sums(self, pairs):
        classifier = classifier_of(pairs.y_pred)
        is_object = classifier.is_object(pairs.y_pred[classifier.key])
        num_objects = ops.sum(ops.cast(is_object, "float32"), axis=2)
        error = ops.abs(num_objects - pairs.num_targets[:, None])
        return ops.sum(error, axis=0)

    def normalizer(self, pairs):
        return pairs.num_images

    def get_config(self):
        return {"name": self.name}
