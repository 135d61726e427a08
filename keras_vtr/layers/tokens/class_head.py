import keras

from keras_vtr.class_names import check_class_names


@keras.saving.register_keras_serializable(package="keras_vtr")
class ClassHead(keras.layers.Dense):
    """Features to the logits of classes, whose names stay with the layer.

    A `keras.layers.Dense`, the head of Dosovitskiy et al. 2020 (ViT), section
    3.1, and one of the two of Carion et al. 2020 (DETR), figure 2. The names
    are a part of the graph, so they are kept when a model is cloned, saved, or
    becomes a part of another one.

    Args:
        units: Number of logits: K, or K + 1 with "no object".
        class_names: Optional K names, in a list or a dict, None for a class
            that isn't used.
        **kwargs: Of `keras.layers.Dense`.

    Call arguments:
        inputs: (..., D) features.

    Returns:
        (..., units) logits.

    Raises:
        ValueError: If there are neither as many names as units nor one less,
            or they are no strings.

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
                f"`class_names` must be one for each of {self.units} logits, "
                f"but for 'no object'. Received: {len(names)} names"
            )
        self._class_names = names

    def get_config(self):
        return {**super().get_config(), "class_names": self.class_names}


def class_names_of(model):
    """Those of the `ClassHead` that a model's logits come from, or None."""
    head = find_class_head(model)
    return None if head is None else head.class_names


def find_class_head(model):
    """The `ClassHead` that a functional model's logits come from, or None.

    Args:
        model: Functional or `keras.Sequential`, with one output or a dict with
            "logits"; other models and activations may lie between.
    """
    if isinstance(model, keras.Sequential):
        # Keras 3.15 has no public way to a Sequential's graph.
        model = model._functional
    output = getattr(model, "output", None)
    if isinstance(output, dict):
        output = output.get("logits")
    return _head_of(output) if isinstance(output, keras.KerasTensor) else None


def _head_of(tensor):
    # Keras 3.15 has no public way back from a symbolic tensor to its layer.
    operation, node, index = tensor._keras_history
    if isinstance(operation, ClassHead):
        return operation
    if isinstance(operation, keras.Model):
        outputs = getattr(operation, "outputs", None)
        return _head_of(outputs[index]) if outputs else None
    if getattr(operation, "weights", ()):
        return None
    inputs = operation._inbound_nodes[node].input_tensors
    return next((x for x in map(_head_of, inputs) if x is not None), None)
