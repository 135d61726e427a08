"""What the snippets of the pages take for granted, in small.

A snippet names weights of others, files of the reader's, and what the reader
has made already. Each is made when a snippet names it.
"""

import json
import pathlib

import keras
import numpy as np
import safetensors.numpy
import tensorflow as tf

import keras_vtr
from keras_vtr.pretrained import files
from tests.pretrained import detr_tensors
from tests.pretrained import family_names
from tests.pretrained import golden_weights
from tests.tiny_models import color_detr
from tests.tiny_models import tiny_detr
from tests.tiny_models import tiny_vit

CLASSES = ("cat", "dog")
# A tiny model of the family, by what the pages call weights.
WEIGHTS = {
    "hf://google/vit-base-patch16-224": "ViT",
    "hf://facebook/dinov2-small": "DINOv2",
    "hf://facebook/detr-resnet-50": "DETR's authors",
    "hf://Roboflow/rf-detr-nano": "RF-DETR",
    "hf://hustvl/yolos-tiny": "YOLOS",
    "folder": "ViT",
    "folder/or/file": "ViT",
}


def write_weights(path, folder):
    """As the hub has them, with random values."""
    folder.mkdir(parents=True, exist_ok=True)
    if WEIGHTS[path] == "DETR's authors":
        rng = np.random.default_rng(0)
        tensors = detr_tensors.authors_tensors(rng, num_classes=91)
        detr_tensors.save(tensors, folder)
        return folder
    stored = family_names.stored()[WEIGHTS[path]]
    shapes, config = stored["shapes"], stored["config"]
    if WEIGHTS[path] == "ViT" and path != "folder/or/file":
        _deepen(shapes, config, 12)  # whose layers have rates of their own
    if WEIGHTS[path] == "RF-DETR":
        _deepen(shapes, config["backbone_config"], 2)
        _enlarge(shapes, config["backbone_config"])
    golden_weights.write(folder, shapes, config)
    pixels = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({"do_normalize": True, **pixels}))
    return folder


def _deepen(shapes, config, num_layers):
    config["num_hidden_layers"] = num_layers
    for name in [x for x in shapes if ".layer.0." in x]:
        for i in range(1, num_layers):
            shapes[name.replace(".layer.0.", f".layer.{i}.")] = shapes[name]


def _enlarge(shapes, config):
    """Images have the size of the published model, at which it is trained."""
    stages = {"out_features": ["stage1", "stage2"], "out_indices": [1, 2]}
    stages["stage_names"] = ["stem", "stage1", "stage2"]
    config |= {"image_size": 384, "patch_size": 16, **stages}
    for name, shape in shapes.items():
        if name.endswith("position_embeddings"):
            shape[1] = 1 + 24**2
        elif name.endswith("patch_embeddings.projection.weight"):
            shape[2:] = 16, 16


def write_data(folder):
    """Annotations in COCO's format: two splits of 16 pictures."""
    for split in ("train", "val"):
        rows = {
            "images": [],
            "annotations": [],
            "categories": [{"id": i, "name": x} for i, x in enumerate(CLASSES)],
        }
        (folder / split).mkdir(parents=True)
        for i in range(16):
            rows["images"].append(
                {"id": i, "file_name": f"{i}.png", "width": 60, "height": 40}
            )
            box = {"bbox": [5, 5, 20, 30], "category_id": i % 2}
            rows["annotations"].append({"id": i, "image_id": i, **box})
            _save_picture(folder / split / f"{i}.png", (40, 60), i)
        (folder / f"{split}.json").write_text(json.dumps(rows))


def write_splits(path):
    write_data(path.parent)


def write_picture(path):
    _save_picture(path, (90, 120))


def _save_picture(path, size, seed=0):
    pixels = np.random.default_rng(seed).uniform(0, 255, (*size, 3))
    keras.utils.array_to_img(pixels, scale=False).save(path)


def write_resnet(path):
    tensors = detr_tensors.resnet_tensors(np.random.default_rng(0))
    safetensors.numpy.save_file(tensors, path)


def write_digit_detr(path):
    tiny_detr(num_classes=10).save(path)


def write_saved_model(path):
    """One that answers requests, and has found nothing."""
    bytes_of_images = tf.TensorSpec((None,), tf.string, name="image_bytes")

    @tf.function(input_signature=[bytes_of_images])
    def answer(image_bytes):
        return nothing_found(tf.shape(image_bytes)[0])

    module = tf.Module()
    module.answer = answer
    tf.saved_model.save(module, str(path), answer)


def nothing_found(num_images):
    return {
        "boxes": tf.zeros((num_images, 5, 4)),
        "scores": tf.zeros((num_images, 5)),
        "labels": tf.fill((num_images, 5), -1),
    }


FILES = {
    "train.json": write_splits,
    "val.json": write_splits,
    "picture.jpg": write_picture,
    "scene.png": write_picture,
    "docs/digit_scene.png": write_picture,
    "FOLDER": write_data,
    "digit_detr.keras": write_digit_detr,
    "resnet50.safetensors": write_resnet,
    "savedmodels/digit_detr/1": write_saved_model,
}


def images():
    return np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))


def data():
    if not pathlib.Path("train").exists():
        write_data(pathlib.Path())
    return keras_vtr.data.read_coco("train.json", "train")


def detr():
    """A detector for images of all sizes, compiled."""
    model = color_detr(
        num_classes=len(CLASSES),
        class_names=CLASSES,
        image_shape=(None, None, 3),
        backbone=detr_tensors.tiny_resnet(padding_mask=True),
        padding="exact",
    )
    return keras_vtr.training.compile_detr(model, 4)[0]


def batches():
    return keras_vtr.data.detection_dataset(data(), 2, training=False).take(2)


def served():
    """The signature "images" of an exported detector."""
    return lambda images: nothing_found(len(images))


# What a page takes for known where it begins, or has said in words.
NAMES = {
    "keras": lambda: keras,
    "keras_vtr": lambda: keras_vtr,
    "np": lambda: np,
    "tf": lambda: tf,
    "images": images,
    "photographs": images,
    "labels": lambda: np.array([0, 1]),
    "pixels": lambda: np.zeros((700, 800, 3), "uint8"),
    "data": data,
    "batches": batches,
    "detr": detr,
    "model": lambda: tiny_detr(num_classes=10),
    "served": served,
    "vit": lambda: tiny_vit(2, image_shape=(224, 224, 3)),
}


def write(name):
    """Writes the file of this name, if a snippet needs it and lacks it."""
    path = pathlib.Path(name)
    if name in FILES and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        FILES[name](path)
    elif name in WEIGHTS and not name.startswith(files.HUB):
        if not (path / "model.safetensors").exists():
            write_weights(name, path)


def download(name, revision):
    """In the place of the hub."""
    assert name in WEIGHTS, f"{name} has no stand-in in {__name__}.WEIGHTS"
    return write_weights(name, pathlib.Path("hub", WEIGHTS[name]))
