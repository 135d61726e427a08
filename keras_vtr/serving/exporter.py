"""Exports a model to any runtime."""

import dataclasses
import pathlib
import tempfile
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vtr.backbones import fold_norms
from keras_vtr.class_names import check_class_names
from keras_vtr.data.pictures.preparation import Preparation
from keras_vtr.json_text import json_text
from keras_vtr.serving.publishing import publish
from keras_vtr.serving.runtimes import RUNTIMES
from keras_vtr.serving.runtimes import check_runtime
from keras_vtr.serving.runtimes import write_runtime
from keras_vtr.serving.self_check import check_export
from keras_vtr.serving.signatures import make_module
from keras_vtr.serving.warmup import write_warmup
from keras_vtr.serving.web import check_web
from keras_vtr.serving.web import fetch_runtime
from keras_vtr.serving.web import write_page
from keras_vtr.version import __version__

CONFIG_FILE = "config.json"
FORMATS = ("saved_model", *RUNTIMES, "web")


@dataclasses.dataclass
class Exporter:
    """A model, and functions from requests to its input and from its outputs.

    Args:
        model: A functional model.
        preparation: From a request's images to the model's input.
        answer: From the model's outputs and the images' height and width,
            (2,) or (B, 2), to a dict of tensors (B, ...), with `keras.ops`.
        raw: From the model's outputs to the outputs of the signature `raw`.
        config: Dict for the exported config.json.
        class_names: As the user gave them: K, in a list or a dict; or None.
        draw: Optional function for a SavedModel, from what `answer` returns,
            (B, 2) heights and widths, and (B, 2) float32, by which part of the
            model's input the pixels of an image stand apart, to a dict of
            tensors (B, ...), with TensorFlow.
        derived: Outputs that follow from others by a threshold, which rounding
            may cross: they aren't compared in other runtimes.
    """

    model: keras.Model
    preparation: Preparation
    answer: Any
    raw: Any
    config: dict
    class_names: Any = None
    draw: Any = None
    derived: tuple = ()

    def __post_init__(self):
        if self.class_names is not None:
            names = check_class_names(
                self.class_names, self.config["num_classes"]
            )
            self.class_names = [name or "" for name in names]

    def publish(
        self,
        folder,
        format,
        version,
        warmup_batch_sizes=(),
        calibration_images=None,
    ):
        """Writes a version; arguments as in `export_detector`."""
        self._check_arguments(format, warmup_batch_sizes, calibration_images)
        model = fold_norms(self.model)
        name = pathlib.Path(folder).name
        # Before anything is written, because it may fail.
        browser_files = fetch_runtime() if format == "web" else {}

        def write(hidden):
            if format == "saved_model":
                return self._write_saved_model(
                    hidden, model, name, warmup_batch_sizes
                )
            write_runtime(
                hidden,
                _runtime_of(format),
                self._append_answer(model),
                calibration_images,
                self.derived,
            )
            self._write_config(hidden / CONFIG_FILE)
            if format == "web":
                write_page(hidden, browser_files)

        return publish(folder, version, write)

    def _check_arguments(self, format, warmup_batch_sizes, calibration_images):
        if format not in FORMATS:
            raise ValueError(
                f"`format` must be one of {FORMATS}. Received: "
                f"format={format!r}"
            )
        if keras.backend.backend() != "tensorflow":
            raise ValueError(
                "The Keras backend must be TensorFlow for an export. Save the "
                "model, and load and export it in a new process with "
                "KERAS_BACKEND=tensorflow. Received: "
                f"backend={keras.backend.backend()!r}"
            )
        if calibration_images is not None and format != "onnx":
            raise ValueError(
                "`calibration_images` are for int8 in the format 'onnx'. "
                f"Received: format={format!r}"
            )
        if format == "saved_model":
            return
        _check_calibration(calibration_images, self.preparation.image_shape)
        if warmup_batch_sizes:
            raise ValueError(
                "`warmup_batch_sizes` are for TF Serving, which loads only "
                f"SavedModels. Received: format={format!r}"
            )
        if self.preparation.pads:
            raise ValueError(
                f"`format` must be 'saved_model' for a model with a padding "
                "mask; other formats have one input, the images. Or build the "
                "model without `padding`; an RF-DETR and a classifier have "
                f"none. Received: format={format!r}"
            )
        if format == "web":
            check_web(self.config)
        check_runtime(_runtime_of(format))

    def _write_saved_model(self, hidden, model, name, warmup_batch_sizes):
        requests = self._example_requests()
        with tempfile.TemporaryDirectory() as temporary:
            temporary = pathlib.Path(temporary)
            config = temporary / CONFIG_FILE
            self._write_config(config)
            module, signatures = make_module(
                model,
                self.preparation,
                self._answer_with_pictures,
                self.raw,
                self.class_names,
                config,
            )
            tf.saved_model.save(module, str(hidden), signatures)
            if warmup_batch_sizes:
                image_bytes = requests["serving_default"]["image_bytes"][0]
                write_warmup(hidden, name, image_bytes, warmup_batch_sizes)
            check_export(hidden, signatures, requests, temporary)

    def _write_config(self, path):
        versions = {
            "keras_vtr": __version__,
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
        }
        config = {
            **self.config,
            "class_names": self.class_names,
            "image_shape": self.preparation.image_shape,
            **self.preparation.limits,
            "versions": versions,
        }
        text = json_text(config, indent=2, ensure_ascii=False)
        path.write_text(text, encoding="utf-8")

    def _answer_with_pictures(self, outputs, image_shape, steps):
        answer = self.answer(outputs, image_shape)
        return self.draw(answer, image_shape, steps) if self.draw else answer

    def _append_answer(self, model):
        """The model from images of one size, with `answer` after it."""
        image_shape = self.preparation.image_shape
        images = keras.Input(image_shape, name="images")
        answer = _Answer(self.answer, image_shape[:2])
        return keras.Model(images, answer(model(images)))

    def _example_requests(self):
        """Three images for each signature: dict of name to dict of arrays."""
        rng = np.random.default_rng(0)
        height, width, channels = (
            x or 96 for x in self.preparation.image_shape
        )
        shape = (3, height, width, channels)
        images = rng.integers(0, 256, shape, dtype="uint8")
        raw = {"images": images.astype("float32")}
        if self.preparation.pads:
            raw["padding_mask"] = np.ones(shape[:3], "bool")
            raw["padding_mask"][1, :, width // 2 :] = False
        encoded = [
            tf.io.encode_png(images[0]).numpy(),
            tf.io.encode_jpeg(images[1, ::2]).numpy(),
            b"no image",
        ]
        return {
            "serving_default": {"image_bytes": np.array(encoded, object)},
            "images": {"images": images},
            "raw": raw,
        }


def _runtime_of(format):
    """The runtime in which the model of a format is compared."""
    return "onnx" if format == "web" else format


def _check_calibration(images, image_shape):
    shape = None if images is None else np.shape(images)
    if shape is not None and (len(shape) != 4 or shape[1:] != image_shape):
        raise ValueError(
            "`calibration_images` must have the shape (n, height, width, "
            f"channels) of the model's images, {image_shape}. Received: "
            f"shape={shape}"
        )


class _Answer(keras.layers.Layer):
    """`answer` as a layer of a functional model."""

    def __init__(self, answer, image_size):
        # In float32: half precision is too coarse for boxes.
        super().__init__(autocast=False)
        self.answer = answer
        self.image_size = image_size

    def call(self, outputs):
        return self.answer(outputs, self.image_size)
