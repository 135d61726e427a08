"""Writes scenes of handwritten digits as a folder in COCO's format.

    pip install -e ".[examples]" && python examples/write_scenes.py scenes

takes 10 seconds and leaves scenes/train.json with 4,000 pictures in
scenes/train/, and scenes/val.json with 200 of other writers in scenes/val/:
something to try `keras-vtr` on. A digit that the picture's edge cuts off to
four pixels or fewer is not annotated.
"""

import argparse
import json
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

import keras_vtr


def write_scenes(folder, num_scenes):
    """A data set in COCO's format; pictures are cut to different sizes."""
    for split, number in (("train", num_scenes), ("val", 200)):
        (folder / split).mkdir(parents=True)
        scenes = keras_vtr.data.digit_scenes(
            "train" if split == "train" else "held_out",
            batch_size=1,
            num_scenes=number,
        )
        images, annotations = [], []
        for i, (image, y_true) in enumerate(scenes.as_numpy_iterator()):
            height, width = 64 - i % 3 * 4, 64 - i % 5 * 3
            picture = keras.utils.array_to_img(
                image[0, :height, :width], scale=False
            )
            picture.save(folder / split / f"{i}.png")
            row = {"id": i, "height": height, "width": width}
            images.append({**row, "file_name": f"{i}.png"})
            targets = y_true["boxes"][0], y_true["labels"][0]
            for box, label in zip(*targets, strict=True):
                x, y, w, h = 64 * (box - [*box[2:] / 2, 0, 0])
                w, h = min(w, width - x), min(h, height - y)
                if label >= 0 and w > 4 and h > 4:
                    row = {"id": len(annotations), "image_id": i}
                    row["bbox"] = [float(side) for side in (x, y, w, h)]
                    annotations.append({**row, "category_id": int(label) + 1})
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
