"""Hugging Face's datasets, TFDS and TFRecords for a detector, ten lines each.

    pip install -e ".[examples,integrations]" && python examples/data_sources.py

takes 20 seconds, reads eight pictures in each form, which drawn_sources.py
makes, and prints the same box three times: 0.5 0.8125 0.8 0.125. Rows of
Hugging Face become a folder that `read_coco` and `keras-vtr train` read, the
others batches for `fit`.
"""

import json
import os
import pathlib
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
from drawn_sources import NAMES
from drawn_sources import SIDES
from drawn_sources import in_hugging_face_s_form
from drawn_sources import in_tfds_s_form
from drawn_sources import write_tfrecords

import keras_vtr


def from_hugging_face(dataset, folder):
    """Rows with "image" and "objects", boxes xywh in pixels, to records."""
    rows = {"images": [], "annotations": []}
    rows["categories"] = [{"id": i, "name": x} for i, x in enumerate(NAMES)]
    (folder / "train").mkdir(parents=True)
    for i, row in enumerate(dataset):
        row["image"].convert("RGB").save(folder / "train" / f"{i}.png")
        size = dict(zip(("width", "height"), row["image"].size, strict=True))
        rows["images"].append({"id": i, "file_name": f"{i}.png", **size})
        boxes, labels = (row["objects"][x] for x in ("bbox", "category"))
        for box, label in zip(boxes, labels, strict=True):
            number = {"id": len(rows["annotations"]), "image_id": i}
            box = {"bbox": box, "category_id": label}
            rows["annotations"].append(number | box)
    (folder / "train.json").write_text(json.dumps(rows))
    return keras_vtr.data.read_coco(folder / "train.json", folder / "train")


def from_tfds(examples, batch_size, side=64):
    """Of "image" and "objects", boxes y, x, y, x of the image's size."""

    def target(example):
        lower, upper = tf.split(example["objects"]["bbox"], 2, axis=1)
        center, size = (lower + upper) / 2, upper - lower
        boxes = tf.concat([center[:, ::-1], size[:, ::-1]], axis=1)
        image = tf.image.resize(example["image"], (side, side), antialias=True)
        labels = tf.cast(example["objects"]["label"], "int32")
        return image, {"boxes": boxes, "labels": labels}

    padding = (0.0, {"boxes": 0.0, "labels": -1})  # -1: no object
    batches = examples.map(target).padded_batch(batch_size, None, padding)
    return keras_vtr.data.check_dataset(batches, num_classes=len(NAMES))


def from_tfrecords(path, batch_size):
    """Records with the keys of TensorFlow's Object Detection API."""
    numbers = tf.io.RaggedFeature(tf.float32)
    features = {"image/encoded": tf.io.FixedLenFeature((), tf.string)}
    features |= dict.fromkeys(SIDES, numbers)
    features["image/object/class/label"] = tf.io.RaggedFeature(tf.int64)

    def parse(record):
        row = tf.io.parse_single_example(record, features)
        boxes = tf.stack([row[x] for x in SIDES], axis=1)
        label = row["image/object/class/label"] - 1  # there, 1 is the first
        image = keras_vtr.data.decode_image(row["image/encoded"])
        return {"image": image, "objects": {"bbox": boxes, "label": label}}

    return from_tfds(tf.data.TFRecordDataset(path).map(parse), batch_size)


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        data = from_hugging_face(in_hugging_face_s_form(), folder / "data")
        sides = {"short_sides": (40,), "longest_side": 80}
        write_tfrecords(str(folder / "drawn.tfrecord"))
        for name, batches in {
            "Hugging Face": keras_vtr.data.detection_dataset(
                data, 4, training=False, **sides
            ),
            "TFDS": from_tfds(in_tfds_s_form(folder), 4),
            "TFRecords": from_tfrecords(str(folder / "drawn.tfrecord"), 4),
        }.items():
            for _, y_true in batches.take(1):
                print(name, *y_true["boxes"].numpy()[0, 1].round(6))


if __name__ == "__main__":
    main()
