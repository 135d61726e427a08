"""Publishes a run's model as the next version of a served model.

The format web is a folder for any web server, with a page in which the browser
itself runs the model.
"""

from keras_vtr.command_line.run_folder import load_model
from keras_vtr.command_line.tasks import task_of_run
from keras_vtr.serving.exporter import FORMATS


def add_arguments(parser):
    add = parser.add_argument
    add("run", help="the --output of a training")
    add("folder", help="the model's folder, such as savedmodels/mine")
    add("--format", choices=FORMATS, default=FORMATS[0], help="what to write")
    add_arguments_of_answers(parser)


def add_arguments_of_answers(parser):
    add = parser.add_argument
    threshold = (
        "of detections, 0 to 1; default: the run's thresholds.json, else 0"
    )
    add("--score-threshold", type=float, help=threshold)
    add("--max-detections", type=int, help="an image; default: all")
    add("--max-labels", type=int, help="of a classifier; default: all")


def run(run, folder, *, printer, **options):
    task, model = task_of_run(run, options), load_model(run)
    version = task.export(model, folder, options, printer)
    printer.report("export", version, path=str(version))
