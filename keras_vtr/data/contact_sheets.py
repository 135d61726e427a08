"""Pictures of a data set side by side, with what they are annotated with."""

import itertools

import keras
from PIL import Image

from keras_vtr.data.detection_dataset import detection_dataset
from keras_vtr.data.pictures.files import read_picture
from keras_vtr.visualization import draw_boxes
from keras_vtr.visualization import draw_grid
from keras_vtr.visualization.boxes import write_name
from keras_vtr.visualization.tints import COLORS

SIDE = 240  # pixels


def draw_detection(data, training, num_images):
    """The first pictures with their boxes; in training, as augmented."""
    batches = detection_dataset(
        data,
        1,
        training=training,
        masks=data.has_masks,
        short_sides=(SIDE, 320) if training else (SIDE,),
        longest_side=2 * SIDE,
        crop_short_sides=(SIDE, 320),
        crop_range=(160, 320),
    )
    pictures = []
    for inputs, y_true in batches.take(num_images):
        image = inputs["images"][0]
        boxes = keras.utils.bounding_boxes.convert_format(
            y_true["boxes"][0], "rel_center_xywh", "xyxy", *image.shape[:2]
        )
        pictures.append(
            draw_boxes(
                image,
                boxes,
                y_true["labels"][0],
                masks=y_true["masks"][0] if "masks" in y_true else None,
                class_names=data.class_names,
            )
        )
    return draw_grid(pictures)


def draw_classes(data, num_images):
    """The first pictures of each class, in turns, with its name."""
    by_class = [[] for _ in data.class_names]
    for record in data.records:
        by_class[record["label"]].append(record)
    turns = itertools.chain.from_iterable(itertools.zip_longest(*by_class))
    shown = [record for record in turns if record is not None][:num_images]
    return draw_grid([_draw_class(x, data.class_names) for x in shown])


def _draw_class(record, class_names):
    picture = Image.fromarray(read_picture(record["path"]))
    scale = SIDE / max(picture.size)
    size = [max(1, round(side * scale)) for side in picture.size]
    sheet = Image.new("RGB", (SIDE, SIDE), "white")
    sheet.paste(picture.resize(size), (0, 0))
    label = record["label"]
    ink = COLORS[label % len(COLORS)]
    write_name(sheet, SIDE / 2, SIDE - 10, class_names[label], ink)
    return sheet
