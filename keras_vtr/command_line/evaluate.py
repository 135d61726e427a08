"""Evaluates a run's model; writes report.html, evaluation.json and .csv."""

import pathlib

from keras_vtr.command_line.run_folder import load_model
from keras_vtr.command_line.run_folder import read_config
from keras_vtr.command_line.run_folder import scales
from keras_vtr.command_line.run_folder import write_thresholds
from keras_vtr.data import detection_dataset
from keras_vtr.data.formats.layouts import read_split
from keras_vtr.evaluation import evaluate_detector


def add_arguments(parser):
    add = parser.add_argument
    add("run", help="the --output of a training")
    add("--folder", help="data folder; else that of the training")
    add("--split", default="val", help="train, val or another")
    add("--output", help="folder of the report; else that of the run")
    best = "'best': write those of the highest F1 for `predict` and `export`"
    add("--thresholds", choices=("best",), help=best)


def run(run, folder, split, output, thresholds):
    config, model = read_config(run), load_model(run)
    masks = config.get("masks", False)
    data = read_split(folder or config["folder"], split, masks=masks)
    if data.class_names != model.class_names:
        raise ValueError(
            "The data must have the categories that the model has learned, "
            f"{model.class_names}. Received: {data.class_names}"
        )
    batches = detection_dataset(
        data,
        config["batch_size"],
        training=False,
        masks=masks,
        **scales(config, model),
    )
    report = evaluate_detector(
        model,
        batches,
        masks=masks,
        image_names=[pathlib.Path(x["path"]).name for x in data.records],
    )
    for name, value in report.precision.items():
        print(f"{name:9} {value:.3f}")
    title = f"{pathlib.Path(run).resolve().name}: evaluation of {split}"
    print(report.write(output or run, title))
    if thresholds:
        print(write_thresholds(run, report.thresholds_by_name))
        print(f"Unsure: {', '.join(report.unsure_classes) or 'none'}")
