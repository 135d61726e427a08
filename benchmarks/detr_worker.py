"""One competitor of benchmarks/detr.py: ready, then a call for each line."""

import os
import re
import sys
import tempfile

from runtimes import THREADS
from runtimes import onnx_of_saved_model
from runtimes import onnx_session
from runtimes import openvino_session
from runtimes import run_torch
from runtimes import tensorflow
from side_by_side import answer

import numpy as np  # isort: skip  threads are set before

NUM_OBJECTS = 10  # in each image of the training step


def images(task):
    sides = [int(x) for x in re.findall(r"\d+", task)]
    shape = (1, *sides, 3) if len(sides) == 2 else (*sides, 3)
    rng = np.random.default_rng(0)
    return rng.uniform(0, 255, size=shape).astype("float32")


def targets(num_images):
    rng = np.random.default_rng(1)
    boxes = rng.uniform(0.2, 0.4, size=(num_images, NUM_OBJECTS, 4))
    labels = rng.integers(0, 91, size=(num_images, NUM_OBJECTS))
    return {"boxes": boxes.astype("float32"), "labels": labels}


def write_weights(folder):
    """DETR-R50 at random, with small residuals, as transformers saves it."""
    import torch
    import transformers

    torch.manual_seed(0)
    stages = [f"stage{i}" for i in range(1, 5)]
    config = transformers.DetrConfig(
        backbone_config=transformers.ResNetConfig(out_features=stages),
        use_timm_backbone=False,
        num_labels=91,
        auxiliary_loss=True,
    )
    model = transformers.DetrForObjectDetection(config)
    with torch.no_grad():
        for name, weight in model.named_buffers():
            if name.endswith("layer.2.normalization.weight"):
                weight.fill_(0.3)
    model.save_pretrained(folder)


def torch_model(task):
    import torch
    import transformers

    torch.set_num_threads(THREADS)
    folder = os.environ["DETR_WEIGHTS"]
    config = transformers.DetrConfig.from_pretrained(folder)
    config.use_timm_backbone = config.use_pretrained_backbone = False
    model = transformers.DetrForObjectDetection.from_pretrained(
        folder, config=config
    )
    pixels = (images(task) - 120.0) / 58.0
    pixels = torch.tensor(pixels.transpose(0, 3, 1, 2)).contiguous()
    return model, pixels


def transformers_eager(task):
    model, pixels = torch_model(task)
    if task.startswith("training"):
        return transformers_step(model, pixels)
    model.config.auxiliary_loss = False
    return run_torch(model.eval(), pixels)


def transformers_compiled(task):
    import torch

    model, pixels = torch_model(task)
    model.config.auxiliary_loss = False
    return run_torch(torch.compile(model.eval()), pixels)


def transformers_step(model, pixels):
    import torch

    model.train()
    backbone = list(model.model.backbone.parameters())
    slow = {id(x) for x in backbone}
    rest = [x for x in model.parameters() if id(x) not in slow]
    optimizer = torch.optim.AdamW(
        [{"params": rest}, {"params": backbone, "lr": 1e-5}], 1e-4
    )
    y_true = targets(len(pixels))
    labels = [
        {"boxes": torch.tensor(x), "class_labels": torch.tensor(y)}
        for x, y in zip(y_true["boxes"], y_true["labels"], strict=True)
    ]

    def call():
        optimizer.zero_grad()
        model(pixels, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()

    return call


def our_model(task, **options):
    import keras_vtr

    return keras_vtr.pretrained.from_pretrained(
        os.environ["DETR_WEIGHTS"],
        image_shape=images(task).shape[1:],
        verbose=False,
        **options,
    )


def our_saved_model(task, folds=True):
    from keras_vtr.backbones import fold_norms

    folder = tempfile.mkdtemp()
    detr = our_model(task, auxiliary_outputs=False)
    detr = fold_norms(detr) if folds else detr
    detr.export(folder, verbose=False)
    return folder


def keras_vtr_saved_model(task, folds=True):
    tf = tensorflow()
    loaded = tf.saved_model.load(our_saved_model(task, folds))
    pixels = tf.constant(images(task))
    return lambda: loaded.serve(pixels)["boxes"].numpy()


def keras_vtr_not_folded(task):
    return keras_vtr_saved_model(task, folds=False)


def keras_vtr_step(task):
    tensorflow()
    import keras_vtr

    pixels = images(task)
    detr, _ = keras_vtr.training.compile_detr(our_model(task), 1000)
    y_true = targets(len(pixels))
    return lambda: detr.train_on_batch(pixels, y_true)


def onnx_of_transformers(task):
    import torch

    class Detector(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, pixels):
            output = self.model(pixels)
            return output.logits, output.pred_boxes

    model, pixels = torch_model(task)
    model.config.auxiliary_loss = False
    path = os.path.join(tempfile.mkdtemp(), "detr.onnx")
    torch.onnx.export(Detector(model).eval(), (pixels,), path, dynamo=False)
    run, pixels = onnx_session(path), pixels.numpy()
    return lambda: run(pixels)


def onnx_of_ours(task):
    run, pixels = onnx_of_saved_model(our_saved_model(task)), images(task)
    return lambda: run(pixels)


def openvino_of_ours(task):
    run, pixels = openvino_session(our_saved_model(task)), images(task)
    return lambda: run(pixels)


WORKERS = {
    "transformers, eager": transformers_eager,
    "transformers, torch.compile": transformers_compiled,
    "keras_vtr, SavedModel": keras_vtr_saved_model,
    "keras_vtr, SavedModel, norms not folded": keras_vtr_not_folded,
    "keras_vtr, train_on_batch": keras_vtr_step,
    "ONNX Runtime, transformers' weights": onnx_of_transformers,
    "ONNX Runtime, our SavedModel": onnx_of_ours,
    "OpenVINO, our SavedModel": openvino_of_ours,
}


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write_weights(sys.argv[2])
    else:
        answer(WORKERS)
