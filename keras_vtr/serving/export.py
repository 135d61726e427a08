import os
import pathlib
import shutil

import keras
import tensorflow as tf

from keras_vtr.backbones import fold_norms
from keras_vtr.box_ops import decode_detections


def export_detector(model, folder, *, max_detections=None):
    """Writes a detector as the next version of a SavedModel for TF Serving.

    TF Serving polls the folder and loads each numbered sub-folder that
    appears. So the model is written to a hidden sibling and renamed when it is
    whole, and an existing version is never overwritten.

    The signature `serving_default` maps `images`, (B, height, width, channels)
    float32 pixels in [0, 255], to `boxes` (B, n, 4) float32, absolute `xyxy`
    pixels of these images; `scores` (B, n) float32, falling; and `labels`
    (B, n) int32. B is free, 0 too.

    Args:
        model: A detector with one input, the images, and the outputs of
            `keras_vtr.models.build_detr`.
        folder: The model's folder, such as `"savedmodels/digit_detr"`. The
            version is written below it: 1, or one more than the highest.
        max_detections: How many of the Q detections to answer with. Default:
            all.

    Returns:
        The `pathlib.Path` of the version, `folder/<number>`.

    Raises:
        ValueError: If the model is not such a detector.
    """
    _check_detector(model)
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    version = 1 + max(
        (int(path.name) for path in folder.iterdir() if path.name.isdigit()),
        default=0,
    )
    (images,) = model.inputs
    model = fold_norms(model)

    def detect(images):
        # TensorFlow 2.21's convolutions fail on an empty batch: one blank
        # image stands in for it.
        num_images = tf.shape(images)[0]
        blank = tf.cast(num_images == 0, tf.int32)
        images = tf.pad(images, [[0, blank], [0, 0], [0, 0], [0, 0]])
        outputs = model(images, training=False)
        image_shape = keras.ops.shape(images)[1:3]
        detections = decode_detections(outputs, image_shape, max_detections)
        return {key: x[:num_images] for key, x in detections.items()}

    archive = keras.export.ExportArchive()
    archive.track(model)
    signature = tf.TensorSpec(images.shape, tf.float32, name="images")
    archive.add_endpoint("serving_default", detect, [signature])
    hidden = folder / f".{version}.writing"
    shutil.rmtree(hidden, ignore_errors=True)
    archive.write_out(str(hidden), verbose=False)
    os.rename(hidden, folder / str(version))
    return folder / str(version)


def _check_detector(model):
    outputs = getattr(model, "output", None)
    if (
        len(getattr(model, "inputs", None) or ()) != 1
        or not isinstance(outputs, dict)
        or not {"logits", "boxes"} <= set(outputs)
    ):
        raise ValueError(
            "`model` must be a functional detector: one input and a dict of "
            "outputs with 'logits' and 'boxes', such as build_detr returns. "
            f"Received: model={model!r}"
        )
