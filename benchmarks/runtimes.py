"""How the competitors of the benchmarks run their models: with two threads."""

import os

THREADS = 2
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["OMP_NUM_THREADS"] = str(THREADS)


def tensorflow():
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    return tf


def run_torch(model, *inputs):
    import torch

    def call():
        with torch.inference_mode():
            return model(*inputs)

    return call


def onnx_session(path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(
        path, options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})


def onnx_of_saved_model(folder):
    import subprocess
    import sys

    path = os.path.join(folder, "model.onnx")
    command = [sys.executable, "-m", "tf2onnx.convert", "--saved-model"]
    subprocess.run(
        [*command, folder, "--output", path, "--opset", "18"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return onnx_session(path)


def openvino_session(path):
    """Of an ONNX file, or a SavedModel's folder."""
    import openvino

    model = openvino.Core().compile_model(
        openvino.convert_model(path),
        "CPU",
        {"INFERENCE_NUM_THREADS": THREADS, "INFERENCE_PRECISION_HINT": "f32"},
    )
    return lambda x: model([x])
