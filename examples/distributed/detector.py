"""What every engine here trains: a small DETR of a folder in COCO's format.

Nothing in this file knows of an engine. It says which part of each batch a
worker reads, and Checkpoint which of them writes.
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

import keras_vtr

SIDE = 64  # of write_scenes.py's pictures


def parser(description, addresses=False):
    parser = argparse.ArgumentParser(description=description)
    add = parser.add_argument
    add("folder", type=pathlib.Path, help="train.json, train/, val.json, val/")
    add("--output", type=pathlib.Path, required=True, help="seen by all")
    add("--epochs", type=int, default=10)
    add("--steps", type=int, default=250, help="in an epoch")
    add("--batch-size", type=int, default=16, help="of all workers together")
    if addresses:
        add("--workers", required=True, type=lambda x: x.split(","))
        add("--worker", required=True, type=int, help="from 0")
    return parser


def read(folder, split="train"):
    return keras_vtr.data.read_coco(folder / f"{split}.json", folder / split)


def batches(data, arguments, first_batch=0, num_workers=1, worker=0):
    """One worker's part of each batch; together they are one device's batch."""
    return keras_vtr.data.detection_dataset(
        data,
        arguments.batch_size,
        training=True,
        first_batch=first_batch,
        num_workers=num_workers,
        worker=worker,
        canvas=(SIDE, SIDE),  # the same for all workers
        short_sides=[SIDE],
        longest_side=SIDE,
        crop_short_sides=[SIDE],
        crop_range=(SIDE // 2, SIDE),
        length_multiple=25,
        flips=False,
    )


def build(class_names):
    """A DETR without batch normalization, which knows only its own device.

    Group normalization's statistics are each image's. A ResNet from a
    pretrained file, whose statistics are frozen, does as well.
    """
    keras.utils.set_random_seed(0)
    images = x = keras.Input((None, None, 3))
    for filters in (32, 64, 96):
        x = keras.layers.Conv2D(filters, 3, strides=2, padding="same")(x)
        x = keras.layers.GroupNormalization(8)(x)
        x = keras.layers.ReLU()(x)
    return keras_vtr.models.build_detr(
        len(class_names),
        size="small",
        class_names=class_names,
        backbone=keras.Model(images, x),
        padding="published",
        queries="anchors",
        num_queries=25,
    )


def compile(detr, arguments):
    keras_vtr.training.compile_detr(
        detr,
        arguments.steps,
        epochs=arguments.epochs,
        learning_rate=1e-3,
        backbone_learning_rate=1e-3,
    )


def fit(detr, dataset, arguments, checkpoint):
    detr.fit(
        dataset,
        epochs=arguments.epochs,
        steps_per_epoch=arguments.steps,
        shuffle=False,
        verbose=2,
        callbacks=[checkpoint],
    )
