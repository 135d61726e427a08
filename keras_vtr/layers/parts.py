"""Layers that are handed to another one, which works with copies of them.

A part is handed in before it has weights and stays as it is: each copy gets a
name, a dtype and weights of its own.
"""

import keras


def set_part(owner, argument, layer, kind=None, may_lack=False):
    """Keeps a part as an attribute of the layer that it is handed to.

    Raises:
        ValueError: If it is no layer of its kind, has weights, or another
            dtype.
    """
    if may_lack and layer is None:
        vars(owner)[argument] = None
        return
    if not isinstance(layer, kind or keras.layers.Layer):
        what = kind.__name__ if kind else "Keras layer"
        raise ValueError(
            f"`{argument}` must be a {what}, of which each block gets a copy. "
            f"Received: {argument}={layer!r}"
        )
    if layer.weights:
        raise ValueError(
            f"`{argument}` must not be built yet, because each block gets a "
            f"copy with weights of its own. Received: {argument}={layer!r}, "
            f"which has {len(layer.weights)} weights"
        )
    policies = (owner.dtype_policy.name, keras.config.dtype_policy().name)
    if layer.dtype_policy.name not in policies:
        raise ValueError(
            f"`{argument}` takes the dtype of the layer that it is handed to. "
            f"Received: {argument}.dtype_policy={layer.dtype_policy.name!r}, "
            f"in a layer of {policies[0]!r}. Give `dtype` to that one."
        )
    # Through `vars`, because Keras would count a tracked layer as a sublayer.
    vars(owner)[argument] = copy_of(layer, layer.name, owner)


def copy_of(part, name, owner, **change):
    """A part once more, without weights, with a name and the owner's dtype."""
    config = {**part.get_config(), **change, "name": name}
    # Keras 3.15 writes no config for a layer that was given an object.
    config["dtype"] = keras.dtype_policies.serialize(owner.dtype_policy)
    return type(part).from_config(config)


def build_part(layer, *shapes):
    """Builds a copy, by a symbolic call if it has no `build`."""
    if layer.built:
        return
    if type(layer).build is keras.layers.Layer.build:
        layer(*[keras.KerasTensor(x, layer.compute_dtype) for x in shapes])
    else:
        layer.build(*shapes)


def serialized(owner, *arguments):
    """Parts as `get_config` returns them; what is None stays so."""
    return {
        argument: keras.saving.serialize_keras_object(getattr(owner, argument))
        for argument in arguments
    }


def deserialized(config, *arguments):
    """The config with its parts as `__init__` takes them."""
    parts = {
        argument: keras.saving.deserialize_keras_object(config[argument])
        for argument in arguments
    }
    return {**config, **parts}


def default_norm():
    """ViT's: a layer norm that adds 1e-6 to the variance."""
    return keras.layers.LayerNormalization(epsilon=1e-6)
