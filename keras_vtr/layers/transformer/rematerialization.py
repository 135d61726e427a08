import keras


def rematerialized(layer, call):
    """Makes a training call keep its inputs instead of its intermediate values.

    The backward pass computes these values again (Chen et al. 2016, "Training
    Deep Nets with Sublinear Memory Cost") through `keras.remat` of a stateless
    function. `keras.RematScope` (3.15.1) applies `keras.remat` to `call`
    itself, which turns flags such as `training` into tensors and lets dropout
    draw other numbers the second time. Here only tensors with a gradient are
    passed, and weights and dropout's seeds are read once.

    Args:
        layer: A built layer.
        call: Its `call`.

    Returns:
        A function with the same arguments and results.
    """

    def call_in_training(*args, **kwargs):
        if not kwargs.get("training"):
            return call(*args, **kwargs)
        weights = layer.trainable_variables
        seeds = _seed_states(layer)
        # Copies, because TensorFlow would read a variable after its change.
        fixed = [
            (variable, keras.ops.copy(variable))
            for variable in layer.non_trainable_variables
        ]
        structure = (args, kwargs)
        flat = keras.tree.flatten(structure)
        numbers = [i for i, x in enumerate(flat) if _has_gradient(x)]

        def stateless(*tensors):
            merged = list(flat)
            for i, x in zip(numbers, tensors, strict=False):
                merged[i] = x
            args, kwargs = keras.tree.pack_sequence_as(structure, merged)
            learned = zip(weights, tensors[len(numbers) :], strict=True)
            with keras.StatelessScope([*fixed, *learned]) as scope:
                outputs = call(*args, **kwargs)
            return outputs, [scope.get_current_value(x) for x in seeds]

        outputs, values = keras.remat(stateless)(
            *(flat[i] for i in numbers), *(keras.ops.copy(x) for x in weights)
        )
        for seed, value in zip(seeds, values, strict=True):
            seed.assign(value)
        return outputs

    return call_in_training


def _seed_states(layer):
    """The states of random numbers: variables that are not weights."""
    weights = {id(variable) for variable in layer.weights}
    return [x for x in layer.variables if id(x) not in weights]


def _has_gradient(x):
    if not keras.ops.is_tensor(x):
        return False
    return "float" in keras.backend.standardize_dtype(x.dtype)
