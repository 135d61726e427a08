"""Evaluates a run's model; writes evaluation.json and .png."""

import pathlib

from keras_vtr.command_line.run_folder import load_model
from keras_vtr.command_line.run_folder import read_config
from keras_vtr.command_line.tasks import task_of_run
from keras_vtr.data.formats.layouts import read_split
from keras_vtr.json_text import json_text


def add_arguments(parser):
    parser.add_argument("run", help="the --output of a training")
    parser.add_argument(
        "--folder", help="data folder; else that of the training"
    )
    parser.add_argument("--split", default="val", help="train, val or another")


def run(run, folder, split, *, printer, **options):
    config, model = read_config(run), load_model(run)
    task = task_of_run(config, options)
    masks = config.get("masks", False)
    data = read_split(folder or config["folder"], split, masks=masks)
    if data.class_names != model.class_names:
        raise ValueError(
            "The data must have the categories that the model has learned, "
            f"{model.class_names}. Received: {data.class_names}"
        )
    output = pathlib.Path(run)
    result = task.evaluate(model, data, output, **options)
    lines = [f"{name:9} {value:.3f}" for name, value in result.items()]
    printer.report("evaluation", "\n".join(lines), split=split, **result)
    (output / "evaluation.json").write_text(json_text(result))
