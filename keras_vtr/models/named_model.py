import keras

from keras_vtr.class_names import check_class_names
from keras_vtr.layers.tokens.class_head import class_names_of
from keras_vtr.layers.tokens.class_head import find_class_head
from keras_vtr.strict_model import StrictModel


@keras.saving.register_keras_serializable(package="keras_vtr")
class NamedModel(StrictModel):
    """A functional model with the names of its classes.

    Its `keras_vtr.layers.ClassHead` keeps them, so they are saved with the
    model and cloned with it. Everything else is as in `StrictModel`.

    Args:
        inputs: The model's inputs, as for `keras.Model`.
        outputs: The logits, or a dict that has "logits" or
            "sigmoid_logits".

    Example:

    >>> features = keras.Input((7,))
    >>> head = keras_vtr.layers.ClassHead(2, class_names=["cat", "dog"])
    >>> model = keras_vtr.models.NamedModel(features, head(features))
    >>> print(keras.models.clone_model(model).class_names)
    ('cat', 'dog')
    """

    # No `__init__`: Keras 3.15 doesn't reload a functional model with its own.

    @property
    def num_classes(self):
        """K; without a head, the number of features."""
        return self.output.shape[-1]

    @property
    def class_names(self):
        """K names, None for an unused class; or None. Saved with the model."""
        return class_names_of(self)

    @class_names.setter
    def class_names(self, names):
        head = find_class_head(self)
        if head is None and names is None:
            return
        if head is None:
            raise ValueError(
                "`class_names` need a model whose logits come from a "
                f"keras_vtr.layers.ClassHead. Received: model={self!r}"
            )
        if names is not None:
            names = check_class_names(names, self.num_classes)
        head.class_names = names


def with_names(model, class_names):
    """The `NamedModel` itself, after setting its `class_names`."""
    model.class_names = class_names
    return model
