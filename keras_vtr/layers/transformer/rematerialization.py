import keras


def rematerialized(layer, call):
    """Makes a call in training keep its inputs alone, not what it computes.

    What the gradient needs besides is computed once more when it is needed
    (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost"):
    `keras.remat` of a function that has no state. `keras.RematScope` (3.15.1)
    hands `call` itself to `keras.remat`, flags such as `training` as tensors,
    and dropout would draw other numbers the second time. Here only what has a
    gradient goes through, and weights and dropout's seeds are read once.

    Args:
        layer: A built layer.
        call: Its `call`.

    Returns:
        A function of the same arguments with the same results.
    """

    def call_in_training(*args, **kwargs):
        if not kwargs.get("training"):
            return call(*args, **kwargs)
        weights = layer.trainable_variables
        seeds = _seeds(layer)
        # Copies: TensorFlow would read a variable again, after it has changed.
        fixed = [
            (variable, keras.ops.copy(variable))
            for variable in layer.non_trainable_variables
        ]
        flat = keras.tree.flatten((args, kwargs))
        places = [i for i, x in enumerate(flat) if _has_gradient(x)]

        def stateless(*tensors):
            merged = list(flat)
            for i, x in zip(places, tensors, strict=False):
                merged[i] = x
            args, kwargs = keras.tree.pack_sequence_as(structure, merged)
            learned = zip(weights, tensors[len(places) :], strict=True)
            with keras.StatelessScope([*fixed, *learned]) as scope:
                outputs = call(*args, **kwargs)
            return outputs, [scope.get_current_value(x) for x in seeds]

        structure = (args, kwargs)
        outputs, values = keras.remat(stateless)(
            *(flat[i] for i in places), *(keras.ops.copy(x) for x in weights)
        )
        for seed, value in zip(seeds, values, strict=True):
            seed.assign(value)
        return outputs

    return call_in_training


def _seeds(layer):
    """The states of random numbers: variables that are no weights."""
    weights = {id(variable) for variable in layer.weights}
    return [x for x in layer.variables if id(x) not in weights]


def _has_gradient(x):
    if not keras.ops.is_tensor(x):
        return False
    return "float" in keras.backend.standardize_dtype(x.dtype)
