"""Evaluates a run's model; writes report.html, evaluation.json and .csv."""

import pathlib

from keras_vtr.command_line.run_folder import load_model
from keras_vtr.command_line.run_folder import write_thresholds
from keras_vtr.command_line.tasks import task_of_run
from keras_vtr.data.formats.dividing import SPLIT_FILE
from keras_vtr.data.formats.layouts import read_split


def add_arguments(parser):
    add = parser.add_argument
    add("run", help="the --output of a training")
    add("--folder", help="data folder; else that of the training")
    add("--split", default="val", help="train, val or another")
    add("--output", help="folder of the report; else that of the run")
    best = "'best': write those of the highest F1 for `predict` and `export`"
    add("--thresholds", choices=("best",), help=best)


def run(run, folder, split, output, *, printer, **options):
    task, model = task_of_run(run, options), load_model(run)
    folder = folder or task.config["folder"]
    split_file = pathlib.Path(run) / SPLIT_FILE
    data = read_split(folder, split, masks=task.masks, split_file=split_file)
    if data.class_names != model.class_names:
        raise ValueError(
            "The data must have the categories that the model has learned, "
            f"{model.class_names}. Received: {data.class_names}"
        )
    report = task.evaluate(model, data)
    lines = [f"{name:9} {value:.3f}" for name, value in report.summary.items()]
    lines = "\n".join(lines)
    printer.report("evaluation", lines, split=split, **report.summary)
    title = f"{pathlib.Path(run).resolve().name}: evaluation of {split}"
    path = report.write(output or run, title)
    printer.report("written", path, path=str(path))
    if options["thresholds"]:
        path = write_thresholds(run, report.thresholds_by_name)
        unsure = report.unsure_classes
        text = f"{path}; unsure: {', '.join(unsure) or 'none'}"
        printer.report("thresholds", text, path=str(path), unsure=[*unsure])
