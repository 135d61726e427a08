"""Asks a run's model about pictures; writes each one, and detections.json.

For a classifier the file is classes.json.
"""

import pathlib

from keras_vtr.command_line.run_folder import load_model
from keras_vtr.command_line.tasks import task_of_run
from keras_vtr.data.pictures.files import read_picture
from keras_vtr.json_text import json_text


def add_arguments(parser):
    add = parser.add_argument
    add("run", help="the --output of a training")
    add("images", nargs="+", help="JPEG and PNG files")
    add("--output", default="detections", help="folder to write")
    threshold = (
        "of detections, 0 to 1; default: the run's thresholds.json, else 0.5"
    )
    add("--score-threshold", type=float, help=threshold)
    add("--tiles", type=int, help="side of tiles of large pictures, in pixels")
    add("--tile-overlap", type=float, help="share of a tile; default: 0.25")
    add("--max-labels", type=int, help="of a classifier's answer; default: 5")


def run(run, images, output, *, printer, **options):
    task, model = task_of_run(run, options), load_model(run)
    limits = task.limits(options)
    predict = task.predictor(model, options, printer)
    output = pathlib.Path(output)
    output.mkdir(parents=True, exist_ok=True)
    found, broken = {}, 0
    for path in images:
        try:
            image = read_picture(path, **limits)
        except OSError as error:
            printer.warn(error)
            broken += 1
            continue
        rows, picture = predict(image)
        picture.save(output / f"{len(found):06d}_{pathlib.Path(path).stem}.png")
        found[path] = rows
        printer.report("prediction", image=path, found=rows)
    (output / task.answers).write_text(json_text(found))
    text = f"{output}: {len(found)} pictures, {broken} could not be read"
    printer.report("written", text, output=str(output), broken=broken)
    return 1 if broken else 0
