"""One detector on a ViT for benchmarks/detr.py: ready, then a call a line."""

import os
import re
import tempfile

from runtimes import onnx_session
from runtimes import openvino_session
from runtimes import run_torch
from runtimes import tensorflow
from side_by_side import answer
from vit_detectors import our_detector
from vit_detectors import rf_detr

import numpy as np  # isort: skip  threads are set before

from runtimes import THREADS  # isort: skip


def images(task, num_images=1):
    side = int(re.search(r"(\d+) x", task)[1])
    rng = np.random.default_rng(0)
    shape = (num_images, side, side, 3)
    return rng.uniform(0, 255, size=shape).astype("float32")


def is_tiny(task):
    return task.endswith("tiny")


def torch_detector(task):
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(THREADS)
    pixels = images(task).transpose(0, 3, 1, 2) / 127.5 - 1.0
    model = rf_detr(images(task).shape[1], is_tiny(task)).eval()
    return model, torch.tensor(pixels).contiguous()


def torch_eager(task):
    return run_torch(*torch_detector(task))


def torch_compiled(task):
    import torch

    model, pixels = torch_detector(task)
    return run_torch(torch.compile(model), pixels)


def keras_detector(task):
    tf = tensorflow()
    import keras

    keras.utils.set_random_seed(0)
    return tf, our_detector(images(task).shape[1], is_tiny(task))


def saved_model(task):
    tf, detr = keras_detector(task)
    folder = tempfile.mkdtemp()
    detr.export(folder, verbose=False)
    loaded, pixels = tf.saved_model.load(folder), tf.constant(images(task))
    return lambda: loaded.serve(pixels)["boxes"].numpy()


def onnx_file(task, is_int8):
    import keras_vtr

    _, detr = keras_detector(task)
    options = {"calibration_images": images(task, 8)} if is_int8 else {}
    folder = keras_vtr.serving.export_detector(
        detr, tempfile.mkdtemp(), format="onnx", **options
    )
    return os.path.join(folder, "model.onnx")


def runner(session, is_int8):
    def make(task):
        run, pixels = session(onnx_file(task, is_int8)), images(task)
        return lambda: run(pixels)

    return make


if __name__ == "__main__":
    answer(
        {
            "transformers, eager": torch_eager,
            "transformers, torch.compile": torch_compiled,
            "keras_vtr, SavedModel": saved_model,
            "keras_vtr, ONNX Runtime": runner(onnx_session, False),
            "keras_vtr, ONNX Runtime, int8": runner(onnx_session, True),
            "keras_vtr, OpenVINO": runner(openvino_session, False),
            "keras_vtr, OpenVINO, int8": runner(openvino_session, True),
        }
    )
