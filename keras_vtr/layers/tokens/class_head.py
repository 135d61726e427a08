import keras

from keras_vtr.class_names import check_class_names
from keras_vtr.classifiers import CLASSIFIERS


@keras.saving.register_keras_serializable(package="keras_vtr")
class ClassHead(keras.layers.Dense):
    """Maps features to class logits, and keeps the names of the classes.

    A `keras.layers.Dense`: the head of Dosovitskiy et al. 2020 (ViT), section
    3.1, and one of the two heads of Carion et al. 2020 (DETR), figure 2. The
    names belong to the layer, so they are kept when a model is cloned, saved,
    or becomes a part of another one.

    Args:
        units: Number of logits: K, or K + 1 with "no object".
        class_names: Optional K names, in a list or a dict. A class that isn't
            used has the name None.
        **kwargs: Those of `keras.layers.Dense`.

    Call arguments:
        inputs: (..., D) features.

    Returns:
        (..., units) logits.

    Raises:
        ValueError: If the number of names is neither `units` nor one less, or
            a name is not a string.

    Example:

    >>> head = keras_vtr.layers.ClassHead(2, class_names=["cat", "dog"])
    >>> print(tuple(head(keras.ops.ones((1, 7))).shape), head.class_names)
    (1, 2) ('cat', 'dog')
    """

    def __init__(self, units, class_names=None, **kwargs):
        super().__init__(units, **kwargs)
        self.class_names = class_names

    @property
    def class_names(self):
        return self._class_names

    @class_names.setter
    def class_names(self, names):
        names = names if names is None else check_class_names(names)
        if names is not None and len(names) not in (self.units, self.units - 1):
            raise ValueError(
                "`class_names` must have one name for each of "
                f"{self.units} logits, except 'no object'. Received: "
                f"{len(names)} names"
            )
        self._class_names = names

    def get_config(self):
        return {**super().get_config(), "class_names": self.class_names}


def class_names_of(model):
    """The names of `find_class_head(model)`, or None."""
    head = find_class_head(model)
    return None if head is None else head.class_names


def find_class_head(model):
    """The `ClassHead` that a functional model's logits come from, or None.

    Args:
        model: Functional or `keras.Sequential`, with one output or a dict with
            "logits" or "sigmoid_logits". The head may be inside another model,
            and activations may follow it.
    """
    if isinstance(model, keras.Sequential):
        # Private, because Keras 3.15.1 has no public access to its graph.
        model = model._functional
    output = getattr(model, "output", None)
    if isinstance(output, dict):
        keys = [x.key for x in CLASSIFIERS.values() if x.key in output]
        output = output[keys[0]] if keys else None
    return _find_head(output) if isinstance(output, keras.KerasTensor) else None


def _find_head(tensor):
    # `_keras_history` and `_inbound_nodes` are private, because Keras 3.15.1
    # has no public way from a symbolic tensor to its layer and inputs.
    operation, node, index = tensor._keras_history
    if isinstance(operation, ClassHead):
        return operation
    if isinstance(operation, keras.Model):
        outputs = getattr(operation, "outputs", None)
        return _find_head(outputs[index]) if outputs else None
    if getattr(operation, "weights", ()):
        return None
    inputs = operation._inbound_nodes[node].input_tensors
    return next((x for x in map(_find_head, inputs) if x is not None), None)
