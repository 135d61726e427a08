"""One competitor of benchmarks/vit.py: ready, then a call for each line."""

import os
import tempfile

from runtimes import THREADS
from runtimes import onnx_of_saved_model
from runtimes import onnx_session
from runtimes import openvino_session
from runtimes import run_torch
from runtimes import tensorflow
from side_by_side import answer

import numpy as np  # isort: skip  threads are set before

SHAPES = {"batch 1": (1, 224, 224, 3), "batch 8": (8, 224, 224, 3)}


def images(task):
    shape = SHAPES.get(task, (8, 224, 224, 3))
    rng = np.random.default_rng(0)
    return rng.uniform(0, 255, size=shape).astype("float32")


def torch_pixels(task):
    import torch

    torch.set_num_threads(THREADS)
    pixels = (images(task) - 127.5) / 127.5
    return torch.tensor(pixels.transpose(0, 3, 1, 2)).contiguous()


def timm_model():
    import torch

    if not hasattr(torch.ops.torchvision, "nms"):
        define_torchvision()
    import timm

    return timm.create_model("vit_base_patch16_224", num_classes=1000).eval()


def define_torchvision():
    """timm imports torchvision, whose build for CUDA needs these to load."""
    import pathlib
    import re

    import torch

    folder = pathlib.Path(torch.__file__).parent.parent / "torchvision"
    text = (folder / "_meta_registrations.py").read_text()
    pattern = r'register_(?:meta|fake)\("(?:torchvision::)?(\w+)"'
    library = torch.library.Library("torchvision", "DEF")
    for name in set(re.findall(pattern, text)):
        library.define(f"{name}(Tensor a) -> Tensor")
    define_torchvision.library = library


def timm_eager(task):
    pixels = torch_pixels(task)
    if task.startswith("ViT-S"):
        return timm_step(pixels)
    return run_torch(timm_model(), pixels)


def timm_step(pixels):
    import torch

    if not hasattr(torch.ops.torchvision, "nms"):
        define_torchvision()
    import timm

    model = timm.create_model("vit_small_patch16_224", num_classes=1000)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    labels = torch.arange(len(pixels))

    def call():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(pixels), labels)
        loss.backward()
        optimizer.step()

    return call


def timm_compiled(task):
    import torch

    pixels = torch_pixels(task)
    return run_torch(torch.compile(timm_model()), pixels)


def transformers_eager(task):
    import transformers

    pixels = torch_pixels(task)
    config = transformers.ViTConfig(num_labels=1000)
    model = transformers.ViTForImageClassification(config).eval()
    return run_torch(model, pixels)


def our_saved_model():
    import keras_vtr

    folder = tempfile.mkdtemp()
    vit = keras_vtr.models.build_vit(1000, size="base")
    vit.export(folder, verbose=False)
    return folder


def keras_vtr_saved_model(task):
    tf = tensorflow()
    if task.startswith("ViT-S"):
        return keras_vtr_step(task)
    loaded = tf.saved_model.load(our_saved_model())
    pixels = tf.constant(images(task))
    return lambda: loaded.serve(pixels).numpy()


def keras_vtr_step(task):
    tf = tensorflow()
    import keras

    import keras_vtr

    vit = keras_vtr.models.build_vit(1000, size="small")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    vit.compile(keras.optimizers.AdamW(1e-3), loss)
    pixels, labels = tf.constant(images(task)), tf.range(8)
    return lambda: vit.train_on_batch(pixels, labels)


def keras_hub_graph(task):
    tf = tensorflow()
    import keras
    import keras_hub

    backbone = keras_hub.models.ViTBackbone(
        image_shape=(224, 224, 3),
        patch_size=16,
        num_layers=12,
        num_heads=12,
        hidden_dim=768,
        mlp_dim=3072,
    )
    tokens = backbone.output
    model = keras.Model(backbone.input, keras.layers.Dense(1000)(tokens[:, 0]))
    graph = tf.function(lambda x: model(x, training=False), jit_compile=False)
    pixels = tf.constant(images(task))
    return lambda: graph(pixels).numpy()


def onnx_of_timm(task):
    import torch

    pixels = torch_pixels(task)
    path = os.path.join(tempfile.mkdtemp(), "timm.onnx")
    torch.onnx.export(timm_model(), (pixels,), path, dynamo=False)
    run = onnx_session(path)
    pixels = pixels.numpy()
    return lambda: run(pixels)


def onnx_of_ours(task):
    run, pixels = onnx_of_saved_model(our_saved_model()), images(task)
    return lambda: run(pixels)


def openvino_of_ours(task):
    run, pixels = openvino_session(our_saved_model()), images(task)
    return lambda: run(pixels)


WORKERS = {
    "timm, eager": timm_eager,
    "timm, torch.compile": timm_compiled,
    "transformers, eager": transformers_eager,
    "keras_vtr, SavedModel": keras_vtr_saved_model,
    "keras_vtr, train_on_batch": keras_vtr_saved_model,
    "KerasHub, TF graph": keras_hub_graph,
    "ONNX Runtime, timm's weights": onnx_of_timm,
    "OpenVINO, our SavedModel": openvino_of_ours,
    "ONNX Runtime, our SavedModel": onnx_of_ours,
}


if __name__ == "__main__":
    answer(WORKERS)
