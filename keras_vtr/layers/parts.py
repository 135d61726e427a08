"""Sublayers, and parts: layers that are arguments of other layers.

A part must be unbuilt and stays unbuilt. Its owner works with copies of it,
each with its own name, dtype and weights.
"""

import keras


class LayerWithParts(keras.layers.Layer):
    """A layer whose arguments named in `PARTS` are layers."""

    PARTS = ()

    def get_config(self):
        parts = {
            name: keras.saving.serialize_keras_object(getattr(self, name))
            for name in self.PARTS
        }
        return {**super().get_config(), **parts}

    @classmethod
    def from_config(cls, config):
        parts = {
            name: keras.saving.deserialize_keras_object(config[name])
            for name in cls.PARTS
        }
        return cls(**{**config, **parts})


def set_part(owner, argument, layer, kind=None, optional=False):
    """Validates a part and keeps a copy of it as an attribute of its owner.

    Raises:
        ValueError: If it is not a layer of its kind, has weights, or has
            another dtype.
    """
    if optional and layer is None:
        setattr(owner, argument, None)
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
            f"copy with its own weights. Received: {argument}={layer!r}, "
            f"which has {len(layer.weights)} weights"
        )
    policies = (owner.dtype_policy.name, keras.config.dtype_policy().name)
    if layer.dtype_policy.name not in policies:
        raise ValueError(
            f"`{argument}` must have the dtype of the layer that takes it, "
            f"{policies[0]!r}. Received: {argument}.dtype_policy="
            f"{layer.dtype_policy.name!r}. Pass `dtype` to that layer."
        )
    # `vars`, because Keras 3.15.1 tracks every layer that is assigned to an
    # attribute, and the part would become a sublayer without weights.
    vars(owner)[argument] = _copy(layer, owner)


def build_sublayer(owner, name, layer, /, *shapes, **arguments):
    """Makes and builds a sublayer with its owner's dtype.

    Every layer of this package makes its sublayers so.

    Args:
        owner: The layer that it belongs to.
        name: Its name, which is part of the paths of its weights.
        layer: A class, or a part, of which the sublayer is a copy.
        *shapes: The shapes of its inputs.
        **arguments: Its constructor's. Of a part: those that change.
    """
    arguments["name"] = name
    if isinstance(layer, keras.layers.Layer):
        sublayer = _copy(layer, owner, **arguments)
    else:
        sublayer = layer(**{"dtype": owner.dtype_policy, **arguments})
    if sublayer.built:
        return sublayer
    _build(sublayer, shapes)
    if not owner.trainable:
        # Keras (3.15.1) reloads the owner's flag alone, and a model that has
        # frozen layers would train their sublayers.
        sublayer.trainable = False
    return sublayer


def _build(sublayer, shapes):
    if type(sublayer).build is keras.layers.Layer.build:  # built by its call
        dtype = sublayer.compute_dtype
        sublayer(*[keras.KerasTensor(shape, dtype) for shape in shapes])
    else:
        sublayer.build(*shapes)


def default_norm():
    """ViT's layer norm, which adds 1e-6 to the variance."""
    return keras.layers.LayerNormalization(epsilon=1e-6)


def _copy(part, owner, **change):
    # Keras 3.15.1 can't derive the config of a layer that was given an object
    # such as a dtype policy.
    dtype = keras.dtype_policies.serialize(owner.dtype_policy)
    config = {**part.get_config(), "dtype": dtype, **change}
    return type(part).from_config(config)
