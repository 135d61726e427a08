"""One detector on a ViT for benchmarks/detr.py: ready, then a call a line."""

import functools
import os
import tempfile

from runtimes import onnx_session
from runtimes import openvino_session
from runtimes import run_torch
from runtimes import tensorflow
from side_by_side import answer
from vit_detectors import NUM_CLASSES
from vit_detectors import our_detector
from vit_detectors import rf_detr
from vit_detectors import side_of

import numpy as np  # isort: skip  threads are set before

from runtimes import THREADS  # isort: skip


NUM_GROUPS = 13  # of queries, in the training of RF-DETR


def images(task, num_images=1):
    side = side_of(task)
    rng = np.random.default_rng(0)
    shape = (num_images, side, side, 3)
    return rng.uniform(0, 255, size=shape).astype("float32")


def targets():
    """Of one image: labels and boxes of eight objects."""
    rng = np.random.default_rng(1)
    boxes = rng.uniform(0.2, 0.6, size=(8, 4)).astype("float32")
    return rng.integers(0, NUM_CLASSES, size=8), boxes


def torch_detector(task):
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(THREADS)
    pixels = images(task).transpose(0, 3, 1, 2) / 127.5 - 1.0
    model = rf_detr(task).eval()
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
    return tf, our_detector(task)


def torch_training(task):
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(THREADS)
    model = rf_detr(task, NUM_GROUPS).train()
    pixels = torch.tensor(images(task).transpose(0, 3, 1, 2) / 255)
    classes, boxes = targets()
    labels = [
        {"class_labels": torch.tensor(classes), "boxes": torch.tensor(boxes)}
    ]
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, weight_decay=1e-4)

    def step():
        optimizer.zero_grad()
        loss = model(pixels.contiguous(), labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        return loss.item()

    return step


def train_on_batch(task, jit_compile=False):
    _, detr = keras_detector(task)
    import keras_vtr

    model = keras_vtr.models.add_groups(detr, NUM_GROUPS - 1)
    keras_vtr.training.compile_rf_detr(
        model, use_ema=False, jit_compile=jit_compile
    )
    classes, boxes = targets()
    y_true = {"labels": classes[None].astype("int32"), "boxes": boxes[None]}
    return lambda: model.train_on_batch(images(task), y_true)


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
            "transformers, eager, training": torch_training,
            "keras_vtr, train_on_batch": train_on_batch,
            "keras_vtr, train_on_batch, XLA": functools.partial(
                train_on_batch, jit_compile=True
            ),
            "keras_vtr, SavedModel": saved_model,
            "keras_vtr, ONNX Runtime": runner(onnx_session, False),
            "keras_vtr, ONNX Runtime, int8": runner(onnx_session, True),
            "keras_vtr, OpenVINO": runner(openvino_session, False),
            "keras_vtr, OpenVINO, int8": runner(openvino_session, True),
        }
    )
