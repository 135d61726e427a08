"""Publishes a run's model as the next version of a SavedModel."""

from keras_vtr.command_line.run_folder import load_model
from keras_vtr.command_line.run_folder import picture_size
from keras_vtr.command_line.run_folder import read_config
from keras_vtr.command_line.run_folder import score_thresholds
from keras_vtr.serving import export_detector


def add_arguments(parser):
    add = parser.add_argument
    add("run", help="the --output of a training")
    add("folder", help="the model's folder, such as savedmodels/mine")
    least = "0 to 1; default: the run's thresholds.json, else 0"
    add("--score-threshold", type=float, help=least)
    add("--max-detections", type=int, help="an image; default: all")


def run(run, folder, score_threshold, **options):
    config, model = read_config(run), load_model(run)
    version = export_detector(
        model,
        folder,
        score_threshold=score_thresholds(run, model, score_threshold, 0.0),
        **picture_size(config, model),
        **options,
    )
    print(version)
