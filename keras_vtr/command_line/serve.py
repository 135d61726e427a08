"""Serves a run's model on this machine, with a page to drop pictures on.

For trying the model: TF Serving's REST interface, without its speed. In
production, export the model and serve it with TF Serving.
"""

import pathlib
import tempfile

from keras_vtr.command_line.export import add_arguments_of_answers
from keras_vtr.command_line.run_folder import CONFIG
from keras_vtr.command_line.run_folder import load_model
from keras_vtr.command_line.tasks import task_of_run
from keras_vtr.serving.publishing import versions
from keras_vtr.serving.rest import load_served_model
from keras_vtr.serving.rest_server import check_server
from keras_vtr.serving.rest_server import listen
from keras_vtr.serving.rest_server import make_server

SAVED_MODEL = "saved_model.pb"


def add_arguments(parser):
    add = parser.add_argument
    add("run", help="the --output of a training, or an exported SavedModel")
    add("--port", type=int, default=8501, help="0 takes a free one")
    add_arguments_of_answers(parser)


def run(run, port, *, printer, **options):
    check_server()
    folder = pathlib.Path(run).resolve()
    with listen(port) as listening:  # before time is spent on a model
        if (folder / CONFIG).is_file():
            printer.report("exporting", f"Exporting the model of {folder}")
            model = _export(folder, options, printer)
        else:
            version, name = find_version(folder)
            _refuse_options(options)
            printer.report("loading", f"Loading the SavedModel {version}")
            model = load_served_model(version, name)
        server = make_server(model, listening)
    address = f"http://{server.host}:{server.port}"
    printer.report(
        "serving",
        f"{model.name}: {address}/ (Ctrl-C ends it)",
        model=model.name,
        address=address,
    )
    server.serve_forever()
    raise KeyboardInterrupt  # which Werkzeug 3.1 took for its end


def find_version(folder):
    """The folder of a SavedModel's newest version, and the model's name.

    Args:
        folder: `pathlib.Path` of a version, or of a model with versions.

    Raises:
        FileNotFoundError: If it is neither.
    """
    version, name = folder, folder.name
    if name.isdecimal():
        name = folder.parent.name
    elif versions(folder):
        version = folder / str(max(versions(folder)))
    if not (version / SAVED_MODEL).is_file():
        raise FileNotFoundError(
            f"{folder} must be the --output of `keras-vtr train`, with its "
            f"{CONFIG}, or a SavedModel of `keras-vtr export`, with its "
            f"{SAVED_MODEL}. Received: a folder with neither"
        )
    return version, name


def _refuse_options(options):
    given = {key: x for key, x in options.items() if x is not None}
    if given:
        words = ", ".join(f"--{key.replace('_', '-')}" for key in given)
        raise ValueError(
            f"{words} must be left out for an exported model, which answers as "
            f"it was exported. Received: {given}"
        )


def _export(folder, options, printer):
    """The model of a run, exported and loaded."""
    task = task_of_run(folder, options)
    with tempfile.TemporaryDirectory() as temporary:
        version = task.export(
            load_model(folder),
            pathlib.Path(temporary) / folder.name,
            {**options, "format": "saved_model"},
            printer,
        )
        return load_served_model(version, folder.name)
