"""Publishes a run's model as the next version of a SavedModel."""

from keras_vtr.command_line.run_folder import load_model
from keras_vtr.command_line.run_folder import picture_size
from keras_vtr.command_line.run_folder import read_config
from keras_vtr.serving import export_detector


def add_arguments(parser):
    add = parser.add_argument
    add("run", help="the --output of a training")
    add("folder", help="the model's folder, such as savedmodels/mine")
    add("--score-threshold", type=float, default=0.0, help="0 to 1")
    add("--max-detections", type=int, help="an image; default: all")


def run(run, folder, *, printer, **options):
    config, model = read_config(run), load_model(run)
    version = export_detector(
        model,
        folder,
        **picture_size(config, model),
        **options,
    )
    printer.report("export", version, path=str(version))
