"""The check that every public layer passes."""

import inspect
import json

import keras
import numpy as np


def check_layer(
    layer_class,
    config,
    shapes,
    output_shape,
    without_gradient=(),
    lengths_are_free=True,
    batch_is_free=True,
    output_dtype=None,
    tmp_path=None,
):
    """Checks what must hold for any layer.

    Args:
        layer_class: The class.
        config: Its constructor's arguments; functions make layers.
        shapes: Dict of call argument to shape with the batch axis; lengths are
            best pairwise different primes. Names that end in "_mask" get
            booleans. A list of shapes makes a list of inputs.
        output_shape: What the call must return for them; a list of shapes,
            if it returns several outputs.
        without_gradient: Ends of the paths of the weights that can't have one.
        lengths_are_free: Whether the layer works with lengths that are
            unknown when it is built; False where they fix a table.
        batch_is_free: Whether the output has the inputs' batch.
        output_dtype: Of the output, or a list, if it isn't (None) that of
            the dtype policy.
        tmp_path: Where to save the model.
    """
    inputs = make_inputs(shapes)
    layer = layer_class(**made(config))
    outputs = as_list(layer(**inputs))
    assert [tuple(x.shape) for x in outputs] == as_list(output_shape)
    _check_config(layer_class, config, layer)
    for output, shape in zip(
        as_list(layer(**symbolic(shapes))), as_list(output_shape), strict=True
    ):
        batch_size = None if batch_is_free else shape[0]
        assert tuple(output.shape) == (batch_size, *shape[1:])
    _check_precision(layer, config, inputs, output_dtype)
    layer = layer_class(**made(config))
    arguments = symbolic(shapes, with_length=not lengths_are_free)
    outputs = as_list(layer(**arguments))
    for output, shape in zip(outputs, as_list(output_shape), strict=True):
        assert len(output.shape) == len(shape)
        assert output.shape[-1] in (shape[-1], None)
    model = keras.Model(arguments, outputs)
    found = as_list(model(inputs))
    assert [tuple(x.shape) for x in found] == as_list(output_shape)
    if layer.trainable_variables:
        outputs = [x for x in outputs if x.dtype != "bool"]
        _check_fit(keras.Model(arguments, outputs), inputs, without_gradient)
    _check_saving(model, inputs, tmp_path)


def made(config):
    """The config with the layers that its functions make."""
    return {key: x() if callable(x) else x for key, x in config.items()}


def make_inputs(shapes, seed=3):
    rng = np.random.default_rng(seed)

    def draw(name, shape):
        if name.endswith("_mask"):
            mask = rng.random(shape) < 0.7
            mask[:, 0] = True
            return mask
        if isinstance(shape, list):
            return [draw(name, x) for x in shape]
        if name in ("anchors", "boxes", "centers"):  # within the image
            return rng.uniform(0.1, 0.9, size=shape).astype("float32")
        return rng.normal(size=shape).astype("float32")

    return {name: draw(name, shape) for name, shape in shapes.items()}


def to_numpy(x):
    return keras.ops.convert_to_numpy(keras.ops.cast(x, "float32"))


def set_weights(layer, seed=5):
    """Random weights, biases and norms too, the same for the same shapes."""
    rng = np.random.default_rng(seed)
    for weight in layer.weights:
        value = rng.normal(0.0, 0.3, size=weight.shape)
        if weight.path.endswith("variance"):
            value = 0.5 + abs(value)
        weight.assign(value)


def symbolic(shapes, with_length=True):
    """Inputs with unknown batch and, if asked, unknown length."""

    def one(name, shape):
        is_mask = name.endswith("_mask")
        sides = shape[1:]
        if not with_length:  # which all sides are but channels
            has_channels = len(sides) > 1 and not is_mask
            sides = (None,) * (len(sides) - has_channels)
            sides += shape[-1:] * has_channels
        return keras.Input(
            batch_shape=(None, *sides),
            dtype="bool" if is_mask else "float32",
            name=name,
        )

    return {
        name: [one(f"{name}_{i}", x) for i, x in enumerate(shape)]
        if isinstance(shape, list)
        else one(name, shape)
        for name, shape in shapes.items()
    }


def _check_config(layer_class, config, built):
    fresh = layer_class(**made(config))
    assert fresh.get_config().keys() == built.get_config().keys()
    for layer in (fresh, built):
        saved = layer.get_config()
        again = layer_class.from_config(saved)
        assert {**again.get_config(), "name": 0} == {**saved, "name": 0}
        json.dumps({**saved, "dtype": 0})
    arguments = [
        name
        for base in reversed(layer_class.__mro__)
        if base.__module__.startswith("keras_vtr") and "__init__" in vars(base)
        for name in inspect.signature(base.__init__).parameters
        if name not in ("self", "args", "kwargs")
    ]
    inherited = set(keras.layers.Layer().get_config())
    for base in layer_class.__mro__:
        if base.__module__.startswith("keras.") and "__init__" in vars(base):
            inherited |= set(inspect.signature(base.__init__).parameters)
    assert set(fresh.get_config()) - inherited == set(arguments) - inherited
    for name, value in made(config).items():
        found = getattr(built, name)
        if isinstance(value, keras.layers.Layer):
            found, value = (_nameless(x.get_config()) for x in (found, value))
        assert found == value


def _nameless(config):
    """Without names, which are counted on, in parts of parts as well."""
    if not isinstance(config, dict):
        return config
    return {
        key: _nameless(value)
        for key, value in config.items()
        if key not in ("name", "dtype")
    }


def _check_precision(exact, config, inputs, output_dtype):
    set_weights(exact)
    expected = [to_numpy(x) for x in as_list(exact(**inputs))]
    dtypes = as_list(output_dtype) * (1 if output_dtype else len(expected))
    for policy, tolerance in (("mixed_float16", 0.03), ("mixed_bfloat16", 0.2)):
        layer = type(exact)(**made(config), dtype=policy)
        layer(**inputs)
        assert all(weight.dtype == "float32" for weight in layer.weights)
        set_weights(layer)
        outputs = as_list(layer(**inputs))
        for output, value, dtype in zip(outputs, expected, dtypes, strict=True):
            found = keras.backend.standardize_dtype(output.dtype)
            assert found == (dtype or policy[6:])
            np.testing.assert_allclose(
                to_numpy(output), value, atol=tolerance, rtol=tolerance
            )


def _check_fit(model, inputs, without_gradient):
    set_weights(model)
    before = model.get_weights()
    random = np.random.default_rng(11)
    targets = [random.normal(size=x.shape) for x in as_list(model(inputs))]
    model.compile(keras.optimizers.SGD(10.0), loss=["mse"] * len(targets))
    model.fit(inputs, targets, batch_size=len(targets[0]), verbose=0)
    moved = {
        weight.path: abs(weight.numpy() - old).max()
        for weight, old in zip(model.weights, before, strict=True)
        if weight.trainable
    }
    assert np.isfinite(list(moved.values())).all()
    # What else moves, moves by 1e-5 or more; rounding by less than 1e-6.
    still = {path for path, change in moved.items() if change < 3e-6}
    assert still == {x for x in moved if x.endswith(tuple(without_gradient))}
    for end in without_gradient:
        assert any(path.endswith(end) for path in still), end


def _check_saving(model, inputs, tmp_path):
    path = tmp_path / "model.keras"
    model.save(path)
    again = keras.models.load_model(path)
    for expected, found in zip(
        as_list(model(inputs)), as_list(again(inputs)), strict=True
    ):
        np.testing.assert_array_equal(to_numpy(expected), to_numpy(found))


def as_list(outputs):
    """Of a layer that returns one output, or several."""
    if isinstance(outputs, list):
        return outputs
    several = isinstance(outputs, tuple) and hasattr(outputs[0], "shape")
    return list(outputs) if several else [outputs]
