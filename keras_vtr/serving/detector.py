import keras

from keras_vtr.class_names import check_class_names
from keras_vtr.classifiers import classifier_of
from keras_vtr.data.augmentation import LONGEST_SIDE
from keras_vtr.data.augmentation import SHORT_SIDES
from keras_vtr.data.pictures.decoding import MAX_BYTES
from keras_vtr.data.pictures.decoding import MAX_PIXELS
from keras_vtr.data.pictures.preparation import detector_input
from keras_vtr.detection_checks import check_detector
from keras_vtr.detections import class_thresholds
from keras_vtr.detections import decode_detections
from keras_vtr.detections.thresholds import thresholds_by_name
from keras_vtr.functional_models import with_images
from keras_vtr.layers.tokens.class_head import class_names_of
from keras_vtr.serving.exporter import Exporter
from keras_vtr.serving.mask_pictures import draw_object_masks


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
      `padding_mask`), to its outputs `logits` or `sigmoid_logits`, `boxes` (and
      `masks`).

    The outputs of the first two are `boxes` (B, n, 4) float32, absolute `xyxy`
    pixels of the original image, upright; `scores` (B, n) float32, in
    descending order; `labels` (B, n) int32, -1 for no detection; `label_names`
    (B, n) string, if there are `class_names`; of a model with masks
    `mask_bytes` (B, n) string, each a PNG of the original image's size with one
    channel, 255 in the object and 0 elsewhere, "" for no detection; and `ok`
    (B,) int32, 0 for an image that could not be read. Such an image has no
    detections and does not affect the others.

    An image is stretched to the model's fixed size, or fitted into it if the
    model has a `padding_mask`; with a free size and a `padding_mask` it is
    scaled as by `keras_vtr.data.detection_dataset(training=False)`.

    The other formats have one function, from `images` (B, height, width, C)
    float32 in [0, 255], of the model's size, to `boxes`, `scores` and `labels`
    in these pixels, and `masks` (B, n, height', width'), logits as
    `keras_vtr.detections.decode_masks` takes them.

    A version is written to a hidden folder, loaded and run in a process without
    Keras, and renamed if its outputs are right. No version is overwritten.

    Args:
        model: A detector such as `keras_vtr.models.build_detr` returns.
        folder: The model's folder, such as `"savedmodels/digit_detr"`; the
            version is written below it.
        format: "saved_model"; "onnx" (needs tf2onnx and onnxruntime),
            "litert" or "openvino" (needs openvino); or "web", the ONNX model
            beside a page in which the browser runs it (needs npm, too).
        class_names: K names, None for a class that isn't used. Default:
            `model.class_names`, if there are any.
        score_threshold: Detections with a lower score are dropped. A number
            within [0, 1], or one for each class, in their order or as a dict
            by name; config.json states it.
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
    num_classes = check_detector(model)
    names = class_names_of(model) if class_names is None else class_names
    if names is not None:
        names = check_class_names(names, num_classes)
    score_threshold = class_thresholds(score_threshold, num_classes, names)

    def answer(outputs, image_shape):
        found = decode_detections(
            outputs, image_shape, max_detections, score_threshold
        )
        if "masks" in found:  # in half precision, perhaps
            found["masks"] = keras.ops.cast(found["masks"], "float32")
        return found

    exporter = exporter_of(
        model,
        class_names,
        (image_size, short_side, longest_side, max_bytes, max_pixels),
        answer,
        {
            "task": "detection",
            "score_threshold": thresholds_by_name(score_threshold, names),
            "max_detections": max_detections,
        },
        draw_object_masks,
    )
    return exporter.publish(
        folder, format, version, warmup_batch_sizes, calibration_images
    )


def exporter_of(model, class_names, sizes, answer, config, draw):
    """The exporter of a detector.

    Args:
        model: Checked here.
        class_names: As for `export_detector`.
        sizes: The arguments of `detector_input` after the model.
        answer: As of `Exporter`.
        config: What the task adds to config.json.
        draw: As of `Exporter`.
    """
    num_classes = check_detector(model)
    preparation, words = detector_input(model, *sizes)
    config = {**config, "num_classes": num_classes, "resizing": words}
    if class_names is None:
        class_names = class_names_of(model)
    return Exporter(
        model,
        preparation,
        answer,
        raw_outputs,
        config,
        class_names,
        draw,
        derived=() if "boxes" in model.output else ("boxes",),
    )


def raw_outputs(outputs):
    """The outputs without those that only the loss needs."""
    keys = (classifier_of(outputs).key, "boxes", "masks")
    return {
        key: keras.ops.cast(outputs[key], "float32")
        for key in keys
        if key in outputs
    }
