"""Detects in pictures; writes each with its boxes, and detections.json."""

import pathlib
import sys

from keras_vtr.command_line.run_folder import READABLE_SIDE
from keras_vtr.command_line.run_folder import load_model
from keras_vtr.command_line.run_folder import picture_size
from keras_vtr.command_line.run_folder import read_config
from keras_vtr.command_line.run_folder import score_thresholds
from keras_vtr.data.pictures.files import read_picture
from keras_vtr.detections import detect
from keras_vtr.detections import encode_masks
from keras_vtr.json_text import json_text
from keras_vtr.visualization import draw_boxes


def add_arguments(parser):
    add = parser.add_argument
    add("run", help="the --output of a training")
    add("images", nargs="+", help="JPEG and PNG files")
    add("--output", default="detections", help="folder to write")
    least = "0 to 1; default: the run's thresholds.json, else 0.5"
    add("--score-threshold", type=float, help=least)


def run(run, images, output, score_threshold):
    config, model = read_config(run), load_model(run)
    score_threshold = score_thresholds(run, model, score_threshold, 0.5)
    output = pathlib.Path(output)
    output.mkdir(parents=True, exist_ok=True)
    found, broken = {}, 0
    for path in images:
        try:
            image = read_picture(path)
        except OSError as error:
            print(error, file=sys.stderr)
            broken += 1
            continue
        (detections,) = detect(
            model,
            [image],
            score_threshold=score_threshold,
            **picture_size(config, model),
        )
        rest = [detections[key] for key in ("boxes", "labels", "scores")]
        draw_boxes(
            image,
            *rest,
            masks=detections.get("masks"),
            class_names=model.class_names,
            score_threshold=0.0,  # what is below is left out already
            scale=max(1, READABLE_SIDE // max(image.shape)),
        ).save(output / f"{len(found):06d}_{pathlib.Path(path).stem}.png")
        found[path] = _rows(detections)
    (output / "detections.json").write_text(json_text(found))
    print(f"{output}: {len(found)} pictures, {broken} could not be read")
    return 1 if broken else 0


def _rows(detections):
    """The JSON of a picture: boxes are `xyxy` in pixels, masks COCO's RLE."""
    rows = [
        {"name": name, "score": float(score), "box": box.tolist()}
        for name, score, box in zip(
            *(detections[x] for x in ("names", "scores", "boxes")), strict=True
        )
    ]
    if "masks" in detections:
        masks = encode_masks(detections["masks"])
        for row, mask in zip(rows, masks, strict=True):
            row["segmentation"] = mask
    return rows
