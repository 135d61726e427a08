import keras
import numpy as np

from keras_vtr.data.augmentation import LONGEST_SIDE
from keras_vtr.data.augmentation import SHORT_SIDES
from keras_vtr.data.pictures.decoding import MAX_BYTES
from keras_vtr.data.pictures.decoding import MAX_PIXELS
from keras_vtr.detections import decode_detections
from keras_vtr.functional_models import with_images
from keras_vtr.layers.tokens.class_head import class_names_of
from keras_vtr.serving.exporter import Exporter
from keras_vtr.serving.preparation import Preparation
from keras_vtr.serving.preparation import fitted
from keras_vtr.serving.preparation import resized
from keras_vtr.serving.preparation import scaled


def export_detector(
    model,
    folder,
    *,
    format="saved_model",
    class_names=None,
    score_threshold=0.0,
    max_detections=None,
    image_size=None,
    short_side=SHORT_SIDES[-1],
    longest_side=LONGEST_SIDE,
    max_bytes=MAX_BYTES,
    max_pixels=MAX_PIXELS,
    version=None,
    warmup_batch_sizes=(),
    calibration_images=None,
):
    """Publishes a detector as the next version of a served model.

    A SavedModel for TF Serving contains all steps from the encoded image to
    detections in its pixels, without Python. Its signatures, for any number B
    of images, also 0:

    - `serving_default`: `image_bytes` (B,) string, JPEG or PNG of any sizes,
      decoded as by `keras_vtr.data.decode_image`.
    - `images`: `images` (B, height, width, C) uint8, of any size.
    - `raw`: from the model's inputs, `images` float32 in [0, 255] (and
      `padding_mask`), to its outputs `logits`, `boxes` (and `masks`).

    The outputs of the first two are `boxes` (B, n, 4) float32, absolute `xyxy`
    pixels of the original image, upright; `scores` (B, n) float32, in
    descending order; `labels` (B, n) int32, -1 for no detection; `label_names`
    (B, n) string, if there are `class_names`; and `ok` (B,) int32, 0 for an
    image that could not be read. Such an image has no detections and does not
    affect the others.

    An image is stretched to the model's fixed size, or fitted into it if the
    model has a `padding_mask`; with a free size and a `padding_mask` it is
    scaled as by `keras_vtr.data.detection_dataset(training=False)`.

    The other formats have one function, from `images` (B, height, width, C)
    float32 in [0, 255], of the model's size, to `boxes`, `scores` and `labels`
    in these pixels.

    A version is written to a hidden folder, loaded and run in a process without
    Keras, and renamed if its outputs are right. No version is overwritten.

    Args:
        model: A detector such as `keras_vtr.models.build_detr` returns.
        folder: The model's folder, such as `"savedmodels/digit_detr"`; the
            version is written below it.
        format: "saved_model"; "onnx" (needs tf2onnx and onnxruntime),
            "litert" or "openvino" (needs openvino).
        class_names: K names, None for a class that isn't used. Default:
            `model.class_names`, if there are any.
        score_threshold: Detections with a lower score are dropped.
        max_detections: n, the number of detections in an answer. Default: Q.
        image_size: `(height, width)` that images are stretched to, for a model
            of free size without `padding_mask`.
        short_side: Of a scaled image, in pixels.
        longest_side: Maximum of its other side, in pixels.
        max_bytes: Maximum size of an encoded image.
        max_pixels: Maximum of its height x width.
        version: Its number. Default: one more than the highest.
        warmup_batch_sizes: Batch sizes of requests that TF Serving runs before
            it accepts others (needs tensorflow-serving-api).
        calibration_images: (n, height, width, C) in [0, 255]. With the format
            "onnx", weights and activations are quantized to int8, scaled by
            the activations for these images.

    Returns:
        The `pathlib.Path` of the version, `folder/<number>`.

    Raises:
        ValueError: If the model is no detector, or an argument doesn't fit it.
        FileExistsError: If the version exists.
        keras_vtr.serving.SelfCheckError: If the export's outputs differ from
            the model's. Then nothing is published.

    Example:

    >>> detr = keras.models.load_model("digit_detr.keras")
    ... # doctest: +SKIP
    >>> keras_vtr.serving.export_detector(detr, "savedmodels/digit_detr")
    ... # doctest: +SKIP
    PosixPath('savedmodels/digit_detr/1')
    """
    model = with_images(model)
    num_classes = _check_detector(model)
    if class_names is None:
        class_names = class_names_of(model)
    resizing, image_shape, words = _resizing(
        model, image_size, short_side, longest_side
    )
    pads = len(model.inputs) == 2

    def answer(outputs, image_shape):
        return decode_detections(
            outputs, image_shape, max_detections, score_threshold
        )

    config = {
        "task": "detection",
        "num_classes": num_classes,
        "score_threshold": score_threshold,
        "max_detections": max_detections,
        "resizing": words,
    }
    exporter = Exporter(
        model,
        Preparation(resizing, image_shape, pads, max_bytes, max_pixels),
        answer,
        _raw,
        config,
        class_names,
    )
    return exporter.publish(
        folder, format, version, warmup_batch_sizes, calibration_images
    )


def _raw(outputs):
    """The outputs without those that only the loss needs."""
    return {
        key: keras.ops.cast(x, "float32")
        for key, x in outputs.items()
        if not key.startswith("auxiliary_")
    }


def _resizing(model, image_size, short_side, longest_side):
    """How an image becomes the model's input.

    Returns:
        A function, the shape (height, width, C) of what it makes, and the
        words for it.
    """
    *own_size, num_channels = model.inputs[0].shape[1:]
    pads, is_free = len(model.inputs) == 2, None in own_size
    if image_size is not None and (pads or not is_free):
        raise ValueError(
            "`image_size` is for a model of free size without padding mask. "
            f"Received: image_size={image_size}, a model of size "
            f"{tuple(own_size)} with {len(model.inputs)} inputs"
        )
    if image_size is not None and np.shape(image_size) != (2,):
        raise ValueError(
            "`image_size` must be (height, width). Received: "
            f"image_size={image_size!r}"
        )
    if pads and is_free:
        words = {"short_side": short_side, "longest_side": longest_side}
        shape = (None, None, num_channels)
        return scaled(**words), shape, {"kind": "scaled", **words}
    if image_size is None and is_free:
        raise ValueError(
            "A model of free size without padding mask needs `image_size`, "
            "(height, width): images of several sizes can't share a batch. Or "
            'build it with padding="exact".'
        )
    height, width = image_size or own_size
    shape = (height, width, num_channels)
    if pads:
        return fitted(height, width), shape, {"kind": "fitted"}
    stretch = keras.layers.Resizing(
        height, width, antialias=True, data_format="channels_last"
    )
    return resized(stretch), shape, {"kind": "stretched"}


def _check_detector(model):
    """Returns K."""
    inputs, outputs = model.input, model.output
    has_mask = isinstance(inputs, dict) and set(inputs) == {
        "images",
        "padding_mask",
    }
    if (
        not (has_mask or isinstance(inputs, keras.KerasTensor))
        or not isinstance(outputs, dict)
        or not {"logits", "boxes"} <= set(outputs)
    ):
        raise ValueError(
            "`model` must be a functional detector: the images as its one "
            "input, or a dict of `images` and `padding_mask`, and a dict of "
            "outputs with 'logits' and 'boxes', such as build_detr returns. "
            f"Received: model={model!r}"
        )
    return outputs["logits"].shape[-1] - 1
