"""Models around ours, as functional models that can be walked and wired."""

import keras


def as_functional(model):
    """The same layers in a functional model.

    Args:
        model: A functional model, or a `keras.Sequential` that knows its
            input's shape; others may be within.

    Returns:
        The model itself, or a functional one that shares its layers.

    Raises:
        ValueError: If `model` is anything else.
    """
    if isinstance(model, keras.Sequential):
        # Keras 3.15 has no public way to a Sequential's graph.
        found = model._functional
    else:
        found = model if is_graph(model) else None
    if found is None:
        raise ValueError(
            "`model` must be a functional model, or a keras.Sequential that "
            "begins with keras.Input. Another model becomes one by "
            "keras.Model(images, model(images)), where images is a "
            f"keras.Input. Received: model={model!r}"
        )
    return found


def is_graph(model):
    """Whether a model's layers are wired by Keras, and not in a program."""
    if isinstance(model, keras.Sequential):
        return True
    return isinstance(model, keras.Model) and hasattr(model, "operations")


def with_images(model):
    """A functional model whose one input is a tensor, not in a dict or list."""
    model = as_functional(model)
    if len(model.inputs) > 1 or not isinstance(model.input, (dict, list)):
        return model
    (x,) = model.inputs
    images = keras.Input(batch_shape=x.shape, dtype=x.dtype, name="images")
    inputs = keras.tree.pack_sequence_as(model.input, [images])
    return keras.Model(images, model(inputs), name=model.name)
