"""Detects in pictures; writes each with its boxes, and detections.json."""

import pathlib
import sys

import tensorflow as tf

from keras_vtr.command_line.run_folder import LEGIBLE_SIDE
from keras_vtr.command_line.run_folder import load_model
from keras_vtr.command_line.run_folder import read_config
from keras_vtr.data import decode_image
from keras_vtr.data.augmentation import resize
from keras_vtr.data.pictures.files import why_unreadable
from keras_vtr.detections import decode_detections
from keras_vtr.json_text import json_text
from keras_vtr.visualization import draw_boxes


def add_arguments(parser):
    add = parser.add_argument
    add("run", help="the --output of a training")
    add("images", nargs="+", help="JPEG and PNG files")
    add("--output", default="detections", help="folder to write")
    add("--score-threshold", type=float, default=0.5, help="0 to 1")


def run(run, images, output, score_threshold):
    config, model = read_config(run), load_model(run)
    output = pathlib.Path(output)
    output.mkdir(parents=True, exist_ok=True)
    found, broken = {}, 0
    for path in images:
        try:
            image = decode_image(tf.io.read_file(path))
        except tf.errors.OpError:
            why = why_unreadable(path)
            print(f"{path} can't be read: {why}", file=sys.stderr)
            broken += 1
            continue
        detections = _detect(model, image, config)
        draw_boxes(
            image.numpy(),
            *(detections[key] for key in ("boxes", "labels", "scores")),
            class_names=model.class_names,
            score_threshold=score_threshold,
            scale=max(1, LEGIBLE_SIDE // max(image.shape)),
        ).save(output / f"{len(found):06d}_{pathlib.Path(path).stem}.png")
        found[path] = [
            {
                "name": model.class_names[label],
                "score": float(score),
                "box": [float(side) for side in box],  # xyxy, pixels
            }
            for box, label, score in zip(
                *(detections[key] for key in ("boxes", "labels", "scores")),
                strict=True,
            )
            if label >= 0 and score >= score_threshold
        ]
    (output / "detections.json").write_text(json_text(found))
    print(f"{output}: {len(found)} pictures, {broken} could not be read")
    return 1 if broken else 0


def _detect(model, image, config):
    """Of one image, in its own pixels."""
    shape = tf.shape(image)[:2]
    pixels, _ = resize(
        image,
        tf.zeros((0, 4)),
        max(config["short_sides"]),
        config["longest_side"],
    )
    mask = tf.ones(tf.shape(pixels)[:2], "bool")
    inputs = {"images": pixels[None], "padding_mask": mask[None]}
    detections = decode_detections(model(inputs), shape[None])
    return {key: x[0].numpy() for key, x in detections.items()}
