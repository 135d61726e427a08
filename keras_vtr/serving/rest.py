"""A SavedModel behind TF Serving's REST interface, for trying it out."""

import base64
import binascii
import dataclasses
import json
from typing import Any

import numpy as np
import tensorflow as tf


@dataclasses.dataclass
class ServedModel:
    """A model, and how it is asked for.

    Args:
        name: In the address.
        version: Its number.
        signatures: Name to function, as of a loaded SavedModel.
        config: The exported config.json; empty of other models.
        loaded: What keeps the signatures' variables from garbage collection.
    """

    name: str
    version: int
    signatures: dict
    config: dict = dataclasses.field(default_factory=dict)
    loaded: Any = None


def load_served_model(path, name):
    """Loads a version of an exported model; its files are then free.

    Args:
        path: The version's `pathlib.Path`.
        name: To be asked for.

    Raises:
        ValueError: If it has no signature from encoded images.
    """
    loaded = tf.saved_model.load(str(path))
    default = loaded.signatures.get("serving_default")
    if default is None or list(_specs(default)) != ["image_bytes"]:
        raise ValueError(
            "`path` must be a SavedModel with a signature `serving_default` "
            "from `image_bytes`, as `keras-vtr export` writes. Received: "
            f"path={path}, with the signatures {sorted(loaded.signatures)}"
        )
    # The first call takes seconds; no user should wait for it.
    default(image_bytes=tf.constant([""]))
    config = path / "assets" / "config.json"
    config = json.loads(config.read_text("utf-8")) if config.exists() else {}
    version = int(path.name) if path.name.isdecimal() else 1
    return ServedModel(name, version, loaded.signatures, config, loaded)


def predict(model, body):
    """What the model answers to the JSON of a request.

    TensorFlow's guide "RESTful API", row format: `instances` is a list of
    dicts from an input's name to its value, or of values if there is one input;
    binary values are `{"b64": ...}`.

    Args:
        model: A `ServedModel`.
        body: The request's bytes.

    Returns:
        Dict with `"predictions"`, one for each instance.

    Raises:
        ValueError: If the request is none of these; the text says why.
    """
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:  # also of no UTF-8
        raise ValueError(f"JSON Parse error: {error}") from error
    if not isinstance(request, dict) or not request.get("instances"):
        raise ValueError(
            'Missing "instances": the request must be {"instances": [...]}, '
            "with one element or more. This server reads rows alone."
        )
    if not isinstance(request["instances"], list):
        raise ValueError('"instances" must be a list.')
    name = request.get("signature_name", "serving_default")
    if not isinstance(name, str) or name not in model.signatures:
        raise ValueError(
            f'Serving signature name: "{name}" not found in signature def. '
            f"There are {sorted(model.signatures)}."
        )
    signature = model.signatures[name]
    inputs = _inputs(request["instances"], _specs(signature))
    try:
        answer = signature(**inputs)
    except tf.errors.OpError as error:
        raise ValueError(error.message) from error
    arrays = {key: x.numpy().tolist() for key, x in answer.items()}
    rows = [
        {key: _encoded(key, x[i]) for key, x in arrays.items()}
        for i in range(len(request["instances"]))
    ]
    if len(arrays) == 1:  # then TF Serving leaves out its name
        rows = [value for row in rows for value in row.values()]
    return {"predictions": rows}


def _specs(signature):
    """Input name to `tf.TensorSpec`."""
    return signature.structured_input_signature[1]


def _inputs(instances, specs):
    """A tensor for each input, of the values of all instances."""
    if len(specs) == 1:
        (key,) = specs
        instances = [
            x if isinstance(x, dict) and set(x) != {"b64"} else {key: x}
            for x in instances
        ]
    inputs = {}
    for i, row in enumerate(instances):
        if not isinstance(row, dict) or set(row) != set(specs):
            found = sorted(row) if isinstance(row, dict) else type(row).__name__
            raise ValueError(
                f"instances[{i}] must have the inputs {sorted(specs)}. "
                f"Received: {found}"
            )
    for key, spec in specs.items():
        values = [_decoded(row[key]) for row in instances]
        inputs[key] = _tensor(key, values, spec)
    return inputs


def _tensor(key, values, spec):
    if spec.dtype != tf.bool and _holds_flags(values):
        raise ValueError(
            f"The input {key!r} must be {spec.dtype.name}. Received: true or "
            "false"
        )
    try:
        tensor = tf.constant(values, spec.dtype)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The input {key!r} must be {spec.dtype.name} of the shape "
            f"{spec.shape}: {error}"
        ) from error
    if not spec.shape.is_compatible_with(tensor.shape):
        raise ValueError(
            f"The input {key!r} must have the shape {spec.shape}. Received: "
            f"{tensor.shape}"
        )
    # TensorFlow 2.21 makes 44 of the uint8 300.
    if spec.dtype.is_integer and (np.asarray(values) != tensor.numpy()).any():
        raise ValueError(
            f"The input {key!r} must be within {spec.dtype.name}'s limits, "
            f"{spec.dtype.min} to {spec.dtype.max}."
        )
    return tensor


def _holds_flags(values):
    if isinstance(values, list):
        return any(map(_holds_flags, values))
    return isinstance(values, bool)


def _decoded(value):
    if isinstance(value, dict) and set(value) == {"b64"}:
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (TypeError, ValueError, binascii.Error) as error:
            raise ValueError(f'"b64" must be base64: {error}') from error
    return value


def _encoded(key, value):
    """Strings become text; those named `*_bytes` become base64."""
    if isinstance(value, list):
        return [_encoded(key, x) for x in value]
    if isinstance(value, bytes) and key.endswith("_bytes"):
        return {"b64": base64.b64encode(value).decode()}
    return value.decode() if isinstance(value, bytes) else value
