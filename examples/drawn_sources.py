"""Pictures of a square and a bar, in the forms that data_sources.py reads."""

import datasets
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

NAMES = ["square", "bar"]
SIDES = [f"image/object/bbox/{x}" for x in ("ymin", "xmin", "ymax", "xmax")]


def drawn():
    """Pictures of a square and a bar: pixels, xywh boxes and labels."""
    for i in range(8):
        image = np.zeros((40, 80, 3), "uint8")
        image[5:25, 10 + i : 30 + i] = image[30:35, 8:72] = 200
        yield image, [[10 + i, 5, 20, 20], [8, 30, 64, 5]], [0, 1]


def in_hugging_face_s_form():
    return datasets.Dataset.from_list(
        [
            {
                "image": Image.fromarray(image),
                "objects": {"bbox": boxes, "category": labels},
            }
            for image, boxes, labels in drawn()
        ]
    )


def relative_corners(boxes):
    """y, x, y, x of the image's size, from xywh."""
    x, y, width, height = np.array(boxes, "float32").T / [
        [80],
        [40],
        [80],
        [40],
    ]
    return np.stack([y, x, y + height, x + width], axis=1).astype("float32")


def in_tfds_s_form(folder):
    box = {"bbox": tfds.features.BBoxFeature(), "label": tf.int64}
    image = tfds.features.Image(shape=(None, None, 3))
    features = {"image": image, "objects": tfds.features.Sequence(box)}
    rows = [
        {
            "image": image,
            "objects": [
                {"bbox": tfds.features.BBox(*box), "label": label}
                for box, label in zip(
                    relative_corners(boxes), labels, strict=True
                )
            ],
        }
        for image, boxes, labels in drawn()
    ]
    tfds.dataset_builders.store_as_tfds_dataset(
        name="drawn",
        version="1.0.0",
        features=tfds.features.FeaturesDict(features),
        split_datasets={"train": list(enumerate(rows))},
        data_dir=folder,
    )
    return tfds.load("drawn", split="train", data_dir=folder)


def write_tfrecords(path):
    with tf.io.TFRecordWriter(path) as writer:
        for image, boxes, labels in drawn():
            example = tf.train.Example()
            feature = example.features.feature
            png = tf.io.encode_png(image).numpy()
            feature["image/encoded"].bytes_list.value.append(png)
            for side, values in zip(
                SIDES, relative_corners(boxes).T, strict=True
            ):
                feature[side].float_list.value.extend(values)
            numbers = feature["image/object/class/label"].int64_list
            numbers.value.extend(x + 1 for x in labels)
            writer.write(example.SerializeToString())
