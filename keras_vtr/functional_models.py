"""Users' models as functional models, whose graph can be read."""

import keras


def as_functional(model):
    """A functional model of the same layers.

    Args:
        model: A functional model, or a `keras.Sequential` with an input shape;
            both may contain other models.

    Returns:
        The model itself, or a functional one that shares its layers.

    Raises:
        ValueError: If `model` is anything else.
    """
    if isinstance(model, keras.Sequential):
        # Private: Keras 3.15 has no public access to a Sequential's graph.
        found = model._functional
    else:
        found = model if is_graph(model) else None
    if found is None:
        raise ValueError(
            "`model` must be a functional model, or a keras.Sequential that "
            "begins with keras.Input. Wrap other models: keras.Model(images, "
            "model(images)), where images is a keras.Input. Received: "
            f"model={model!r}"
        )
    return found


def is_graph(model):
    """Whether a model is a graph of layers, not a subclass with a `call`."""
    if isinstance(model, keras.Sequential):
        return True
    return isinstance(model, keras.Model) and hasattr(model, "operations")


def with_images(model):
    """A functional model whose only input is no longer in a dict or list."""
    model = as_functional(model)
    if len(model.inputs) > 1 or not isinstance(model.input, (dict, list)):
        return model
    (x,) = model.inputs
    images = keras.Input(batch_shape=x.shape, dtype=x.dtype, name="images")
    inputs = keras.tree.pack_sequence_as(model.input, [images])
    return keras.Model(images, model(inputs), name=model.name)
