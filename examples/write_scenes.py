"""Writes scenes of handwritten digits as a folder in COCO's format.

    pip install -e ".[examples]" && python examples/write_scenes.py scenes

takes 50 seconds and leaves scenes/train.json with 4,000 pictures in
scenes/train/, and scenes/val.json with 200 of other writers in scenes/val/:
something to try `keras-vtr` on. Boxes hold what can be seen of a digit; one of
four pixels or fewer is not annotated, and each picture has a digit. Outlines
are one for each run of pixels of a row.
"""

import argparse
import json
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import keras_vtr


def outlines(mask):
    """Polygons, [x, y, x, y, ...] of corners, of a mask (height, width)."""
    found = []
    for y, row in enumerate(mask.astype(int)):
        ends = np.diff(row, prepend=0, append=0).nonzero()[0]
        for x0, x1 in ends.reshape(-1, 2).tolist():
            found.append([x0, y, x1, y, x1, y + 1, x0, y + 1])
    return found


def rows_of(masks, labels):
    """An annotation of each digit that can be seen."""
    for mask, label in zip(masks, labels, strict=True):
        y, x = mask.nonzero()
        size = [np.ptp(x) + 1, np.ptp(y) + 1] if len(x) else [0, 0]
        if min(size) > 4:
            yield {
                "bbox": [int(side) for side in (x.min(), y.min(), *size)],
                "segmentation": outlines(mask),
                "category_id": int(label) + 1,
            }


def write_scenes(folder, num_scenes):
    """A data set in COCO's format; pictures are cut to different sizes."""
    for split, number in (("train", num_scenes), ("val", 200)):
        (folder / split).mkdir(parents=True)
        scenes = keras_vtr.data.digit_scenes(
            "train" if split == "train" else "held_out",
            batch_size=1,
            masks=True,
        ).as_numpy_iterator()
        images, annotations = [], []
        while len(images) < number:
            image, y_true = next(scenes)
            i = len(images)
            height, width = 64 - i % 3 * 4, 64 - i % 5 * 3
            masks = y_true["masks"][0, :, :height, :width]
            rows = list(rows_of(masks, y_true["labels"][0]))
            if not rows:
                continue
            for row in rows:
                row |= {"id": len(annotations), "image_id": i}
                annotations.append(row)
            picture = keras.utils.array_to_img(
                image[0, :height, :width], scale=False
            )
            picture.save(folder / split / f"{i}.png")
            row = {"id": i, "height": height, "width": width}
            images.append({**row, "file_name": f"{i}.png"})
        content = {"images": images, "annotations": annotations}
        digits = [{"id": i + 1, "name": str(i)} for i in range(10)]
        content = json.dumps({**content, "categories": digits})
        (folder / f"{split}.json").write_text(content)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--scenes", type=int, default=4000)
    arguments = parser.parse_args()
    write_scenes(arguments.folder, arguments.scenes)
    print(f"{arguments.folder}: {arguments.scenes} scenes to train on")


if __name__ == "__main__":
    main()
