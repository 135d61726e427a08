"""Augments images with their boxes and masks by Keras and by albumentations.

    pip install -e ".[examples,integrations]"
    python examples/write_scenes.py scenes --scenes 30
    python examples/own_augmentation.py scenes

takes 20 seconds of a processor. For each of both it writes what a training
would see of 12 pictures, keras.png and albumentations.png, with boxes and
masks, and prints the number of digits, 28 and 29. Some leave the picture.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # asks no server

import albumentations
import keras
import numpy as np
import tensorflow as tf
from keras.utils import bounding_boxes

import keras_vtr
from keras_vtr.visualization import draw_boxes
from keras_vtr.visualization import draw_grid

OPTIONS = {"short_sides": (128,), "crop_short_sides": (128,)}
OPTIONS |= {"crop_range": (96, 128), "flips": False}
shift = keras.layers.RandomTranslation(
    0.2, 0.2, fill_mode="constant", bounding_box_format="xyxy"
)


def by_keras(image, targets, seed):
    """Keras's layers, in the data set's graph.

    They draw from a state of their own, not from `seed`: a training that is
    resumed sees other shifts than one without interruption.
    """
    boxes = {key: targets[key][None] for key in ("boxes", "labels")}
    masks = tf.transpose(tf.cast(targets["masks"], "float32"), (1, 2, 0))
    moved = {
        "images": tf.cast(image, "float32")[None],
        "bounding_boxes": boxes,
        "segmentation_masks": masks[None],  # one a channel
    }
    moved = shift(moved, training=True)
    boxes = moved["bounding_boxes"]["boxes"][0]
    masks = tf.transpose(moved["segmentation_masks"][0], (2, 0, 1)) > 0.5
    left = tf.reduce_all(boxes[:, 2:] - boxes[:, :2] >= 1, axis=1)
    left &= tf.reduce_any(masks, axis=(1, 2))
    found = {"boxes": boxes, "labels": targets["labels"], "masks": masks}
    return moved["images"][0], {key: x[left] for key, x in found.items()}


def by_albumentations():
    """`augment` of any transforms of albumentations, exact after a resume."""
    boxes = albumentations.BboxParams(
        "pascal_voc", label_fields=["number"], min_width=1, min_height=1
    )
    rotation = albumentations.Rotate(20, p=1.0)
    contrast = albumentations.RandomBrightnessContrast(p=0.5)
    transforms = albumentations.Compose([rotation, contrast], boxes)

    def augment(image, targets, seed):
        transforms.set_random_seed(seed)
        moved = transforms(
            image=image,
            masks=targets["masks"].astype("uint8"),
            bboxes=targets["boxes"],
            number=np.arange(len(targets["boxes"])),
        )
        left = np.array(moved["number"], "int64")  # the others are outside
        masks = np.array(moved["masks"], "bool")[left]
        return moved["image"], {
            "boxes": moved["bboxes"],
            "labels": targets["labels"][left],
            "masks": masks,
        }

    return keras_vtr.data.augment_on_host(augment)


def draw(folder, augment):
    """The first pictures of a training, and the number of their objects."""
    data = keras_vtr.data.read_coco(
        f"{folder}/train.json", f"{folder}/train", masks=True
    )
    batches = keras_vtr.data.detection_dataset(
        data,
        1,
        training=True,
        masks=True,
        augment=augment,
        **OPTIONS,
    )
    pictures, number = [], 0
    for images, y_true in batches.take(12):
        image = images["images"][0]
        boxes = bounding_boxes.convert_format(
            y_true["boxes"][0], "rel_center_xywh", "xyxy", *image.shape[:2]
        )
        labels, masks = y_true["labels"][0], y_true["masks"][0]
        pictures.append(draw_boxes(image, boxes, labels, masks=masks))
        number += int(np.sum(labels >= 0))
    return draw_grid(pictures, 6), number


def main():
    keras.utils.set_random_seed(0)
    augments = {"keras": by_keras, "albumentations": by_albumentations()}
    for name, augment in augments.items():
        picture, number = draw(sys.argv[1], augment)
        picture.save(f"{name}.png")
        print(f"{name}.png: {number} digits")


if __name__ == "__main__":
    main()
