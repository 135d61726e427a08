import keras

from keras_vtr.data.pictures.decoding import MAX_BYTES
from keras_vtr.data.pictures.decoding import MAX_PIXELS
from keras_vtr.data.pictures.preparation import classifier_input
from keras_vtr.functional_models import with_images
from keras_vtr.layers.tokens.class_head import class_names_of
from keras_vtr.serving.exporter import Exporter


def export_classifier(
    model,
    folder,
    *,
    format="saved_model",
    class_names=None,
    from_logits=True,
    max_labels=None,
    resizing=None,
    max_bytes=MAX_BYTES,
    max_pixels=MAX_PIXELS,
    version=None,
    warmup_batch_sizes=(),
    calibration_images=None,
):
    """Publishes an image classifier as the next version of a served model.

    As `keras_vtr.serving.export_detector`, with these outputs: `scores` (B, n)
    float32, probabilities in descending order; `labels` (B, n) int32, their
    classes; `label_names` (B, n) string, if there are `class_names`; and `ok`
    (B,). An image that could not be read has scores of 0 and labels of -1. The
    signature `raw` gives `logits` (B, K), the model's output.

    Args:
        model: A functional model or a `keras.Sequential` from pixels in
            [0, 255], (B, height, width, C), to (B, K), such as
            `keras_vtr.models.build_vit` returns.
        folder: The model's folder; the version is written below it.
        format: As for `export_detector`.
        class_names: K names, None for a class that isn't used. Default: those
            of the model's `keras_vtr.layers.ClassHead`, if it has any.
        from_logits: Whether the model's outputs are logits, before softmax.
        max_labels: n, the number of classes in an answer. Default: K.
        resizing: A `keras.layers.Resizing` to the model's size, the one of
            training and validation. Default: stretched, antialiased.
        max_bytes: As for `export_detector`.
        max_pixels: As for `export_detector`.
        version: As for `export_detector`.
        warmup_batch_sizes: As for `export_detector`.
        calibration_images: As for `export_detector`.

    Returns:
        The `pathlib.Path` of the version, `folder/<number>`.

    Raises:
        ValueError: If the model is no classifier, or an argument doesn't fit
            it.
        FileExistsError: If the version exists.
        keras_vtr.serving.SelfCheckError: If the export's outputs differ from
            the model's. Then nothing is published.

    Example:

    >>> vit = keras.models.load_model("vit.keras")  # doctest: +SKIP
    >>> keras_vtr.serving.export_classifier(vit, "savedmodels/vit")
    ... # doctest: +SKIP
    PosixPath('savedmodels/vit/1')
    """
    model = with_images(model)
    num_classes = _check_model(model)
    class_names = class_names_of(model) if class_names is None else class_names
    if max_labels is not None and not 1 <= max_labels <= num_classes:
        raise ValueError(
            f"`max_labels` must be 1 to {num_classes}, or None for all. "
            f"Received: max_labels={max_labels}"
        )

    def answer(outputs, image_shape):
        scores = keras.ops.cast(outputs, "float32")
        scores = keras.ops.softmax(scores) if from_logits else scores
        scores, labels = keras.ops.top_k(scores, max_labels or num_classes)
        return {"scores": scores, "labels": keras.ops.cast(labels, "int32")}

    limits = (max_bytes, max_pixels)
    preparation, words = classifier_input(model, resizing, *limits)
    exporter = Exporter(
        model,
        preparation,
        answer,
        lambda outputs: {"logits": keras.ops.cast(outputs, "float32")},
        {
            "task": "classification",
            "num_classes": num_classes,
            "from_logits": from_logits,
            "max_labels": max_labels,
            "resizing": words,
        },
        class_names,
    )
    return exporter.publish(
        folder, format, version, warmup_batch_sizes, calibration_images
    )


def export_features(
    model,
    folder,
    *,
    format="saved_model",
    resizing=None,
    max_bytes=MAX_BYTES,
    max_pixels=MAX_PIXELS,
    version=None,
    warmup_batch_sizes=(),
    calibration_images=None,
):
    """Publishes a model from images to feature vectors, for image retrieval.

    As `keras_vtr.serving.export_classifier`, with these outputs: `features`
    (B, D) float32, 0 for an image that could not be read, and `ok` (B,).
    Features are what the model gives: to compare those of CLIP or SigLIP with
    embeddings of texts, divide both by their norms.

    Args:
        model: A functional model or a `keras.Sequential` from pixels in
            [0, 255], (B, height, width, C), to (B, D), such as
            `build_vit(num_classes=0)` returns.
        folder: The model's folder; the version is written below it.
        format: As for `export_detector`.
        resizing: As for `export_classifier`.
        max_bytes: As for `export_detector`.
        max_pixels: As for `export_detector`.
        version: As for `export_detector`.
        warmup_batch_sizes: As for `export_detector`.
        calibration_images: As for `export_detector`.

    Returns:
        The `pathlib.Path` of the version, `folder/<number>`.

    Raises:
        ValueError: If the model's output is no vector, or an argument doesn't
            fit it.
        FileExistsError: If the version exists.
        keras_vtr.serving.SelfCheckError: If the export's outputs differ from
            the model's. Then nothing is published.

    Example:

    >>> vit = keras.models.load_model("vit.keras")  # doctest: +SKIP
    >>> features = keras.Model(vit.input, vit.get_layer("pooling").output)
    ... # doctest: +SKIP
    >>> keras_vtr.serving.export_features(features, "savedmodels/features")
    ... # doctest: +SKIP
    PosixPath('savedmodels/features/1')
    """
    model = with_images(model)
    _check_model(model)

    def answer(outputs, image_shape=None):
        return {"features": keras.ops.cast(outputs, "float32")}

    limits = (max_bytes, max_pixels)
    preparation, words = classifier_input(model, resizing, *limits)
    exporter = Exporter(
        model,
        preparation,
        answer,
        answer,
        {"task": "features", "resizing": words},
    )
    return exporter.publish(
        folder, format, version, warmup_batch_sizes, calibration_images
    )


def _check_model(model):
    """Returns the width of the output."""
    inputs, output = model.inputs, model.output
    rank = len(getattr(output, "shape", ()))
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or rank != 2:
        raise ValueError(
            "`model` must be a functional model from images (B, height, "
            "width, C) to one output (B, K), such as build_vit returns. "
            f"Received: model={model!r}"
        )
    return output.shape[1]
