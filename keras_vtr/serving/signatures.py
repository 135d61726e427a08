"""The signatures of a SavedModel."""

import tensorflow as tf


def make_module(model, preparation, answer, raw, class_names, config):
    """A module with a model's weights, and its signatures.

    Args:
        model: A functional model.
        preparation: A `keras_vtr.data.pictures.preparation.Preparation`.
        answer: From the model's outputs, (B, 2) int32 heights and widths, and
            what `steps_of` returns, to a dict of tensors (B, ...).
        raw: From the model's outputs to the outputs of the signature `raw`.
        class_names: K strings, or None.
        config: Path of a file that is exported with the model.

    Returns:
        A `tf.Module`, and its signatures by name.
    """
    module = tf.Module()
    module.variables_of_model = [x.value for x in model.variables]
    module.config = tf.saved_model.Asset(str(config))
    names = None if class_names is None else tf.constant(class_names)

    inputs = _input_specs(model)  # traced once for all signatures
    spec = inputs if isinstance(model.input, dict) else inputs["images"]
    call_model = tf.function(
        lambda inputs: model(inputs, training=False),
        input_signature=[spec],
        autograph=False,
    )

    def respond(inputs, image_shape, ok, num_rows):
        sizes = image_shape, steps_of(inputs, image_shape)
        outputs = answer(call_model(inputs), *sizes)
        outputs = {
            key: _clear_unreadable(key, x, ok) for key, x in outputs.items()
        }
        if names is not None and "labels" in outputs:
            outputs["label_names"] = _look_up_names(outputs["labels"], names)
        return _first_rows({**outputs, "ok": tf.cast(ok, "int32")}, num_rows)

    @tf.function(autograph=False)
    def from_bytes(image_bytes):
        batch = preparation.read_bytes(_at_least_one_row(image_bytes))
        return respond(*batch, tf.shape(image_bytes)[0])

    @tf.function(autograph=False)
    def from_images(images):
        batch = preparation.read_images(_at_least_one_row(images))
        return respond(*batch, tf.shape(images)[0])

    @tf.function(autograph=False)
    def from_inputs(**inputs):
        num_rows = tf.shape(inputs["images"])[0]
        inputs = {key: _at_least_one_row(x) for key, x in inputs.items()}
        inputs = inputs if len(inputs) > 1 else inputs["images"]
        return _first_rows(raw(call_model(inputs)), num_rows)

    strings = tf.TensorSpec((None,), tf.string, "image_bytes")
    images = (None, None, None, preparation.image_shape[2])
    images = tf.TensorSpec(images, tf.uint8, "images")
    return module, {
        "serving_default": from_bytes.get_concrete_function(strings),
        "images": from_images.get_concrete_function(images),
        "raw": from_inputs.get_concrete_function(**inputs),
    }


def _input_specs(model):
    """The model's inputs by name."""
    inputs = model.input
    if not isinstance(inputs, dict):
        inputs = {"images": model.inputs[0]}
    return {
        name: tf.TensorSpec(x.shape, x.dtype, name)
        for name, x in inputs.items()
    }


def _at_least_one_row(rows):
    """The rows; if there are none, one blank row.

    TensorFlow 2.21's convolutions fail on an empty batch.
    """
    full = tf.cond(
        tf.shape(rows)[0] == 0,
        lambda: tf.zeros(tf.maximum(tf.shape(rows), 1), rows.dtype),
        lambda: rows,
    )
    return tf.ensure_shape(full, rows.shape)


def _first_rows(outputs, num_rows):
    return {key: x[:num_rows] for key, x in outputs.items()}


def steps_of(inputs, image_shape):
    """(B, 2): by which part of the input's sides an image's pixels stand apart.

    As `keras_vtr.detections.masks.sizes_and_steps`.
    """
    steps = 1 / tf.cast(image_shape, "float32")
    if isinstance(inputs, dict):
        padding_mask = inputs["padding_mask"]
        real = [tf.reduce_any(padding_mask, axis=axis) for axis in (2, 1)]
        shares = [tf.reduce_mean(tf.cast(x, "float32"), axis=1) for x in real]
        steps *= tf.stack(shares, axis=1)
    return steps


def _clear_unreadable(key, x, ok):
    """Labels of -1, texts of "" and zeros for unreadable images."""
    ok = tf.reshape(ok, (-1, *(1 for _ in x.shape[1:])))
    cleared = "" if x.dtype == tf.string else -1 if key == "labels" else 0
    return tf.where(ok, x, tf.constant(cleared, x.dtype))


def _look_up_names(labels, names):
    """(B, n) strings; empty where there is no label."""
    found = tf.gather(names, tf.maximum(labels, 0))
    return tf.where(labels >= 0, found, "")
