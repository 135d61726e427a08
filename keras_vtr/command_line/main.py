"""The commands, their arguments and their exit codes."""

import argparse
import signal
import sys

import tensorflow as tf
import yaml

from keras_vtr.callbacks import CheckpointError
from keras_vtr.callbacks import NonFiniteError
from keras_vtr.command_line import evaluate
from keras_vtr.command_line import export
from keras_vtr.command_line import predict
from keras_vtr.command_line import train
from keras_vtr.data import inspect
from keras_vtr.host_errors import own_errors

EXPECTED = (
    ValueError,
    OSError,
    CheckpointError,
    NonFiniteError,
    tf.errors.OpError,
)
COMMANDS = {
    "train": train,
    "evaluate": evaluate,
    "predict": predict,
    "export": export,
}
DESCRIPTION = """Trains, evaluates and exports detectors.

A data folder holds annotations in COCO's format beside a folder of pictures of
the same name: train.json and train/, val.json and val/. COCO exports of
Roboflow and CVAT, and Ultralytics' data.yaml, are read, too. Look at the data
first: `keras-vtr inspect FOLDER`. Exit codes: 0 done; 1 failed, the reason is
the last line; 2 wrong arguments.
"""


def main(arguments=None):
    """Runs a command; returns its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["inspect"]:
        command, options = inspect.main, {"arguments": arguments[1:]}
    else:
        options = parse(arguments)
        command = COMMANDS[options.pop("command")].run
    try:
        with own_errors():
            return command(**options) or 0
    except KeyboardInterrupt:
        print("keras-vtr: stopped", file=sys.stderr)
        return 128 + signal.SIGINT  # as a shell has it
    except EXPECTED as error:
        print(f"keras-vtr: {_reason(error)}", file=sys.stderr)
        return 1


def _reason(error):
    """The error's text; TensorFlow's without the names of graph nodes."""
    if not isinstance(error, tf.errors.OpError):
        return error
    return error.message.partition("\n\t [[")[0].strip().splitlines()[-1]


def parse(arguments):
    """The command and its options, from the command line and --config."""
    parser = argparse.ArgumentParser(
        prog="keras-vtr",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("inspect", help="show a data set and its problems")
    parsers = {}
    for name, module in COMMANDS.items():
        parsers[name] = commands.add_parser(
            name,
            help=module.__doc__.splitlines()[0],
            description=module.__doc__,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        module.add_arguments(parsers[name])
        parsers[name].add_argument(
            "--config", help="YAML file of options, by their names"
        )
    # The command line overrides the file.
    first, _ = parser.parse_known_args(arguments)
    if first.config:
        own = parsers[first.command]
        own.set_defaults(**_read(first.config, own))
    options = vars(parser.parse_args(arguments))
    options.pop("config")
    return options


def _read(path, parser):
    known = {
        action.dest: action
        for action in parser._actions  # no public list (Python 3.13)
        if action.option_strings
        and not action.required
        and action.dest not in ("help", "config")
    }
    try:
        with open(path) as file:
            found = yaml.safe_load(file) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        parser.error(f"{path} can't be read: {error}")
    if not isinstance(found, dict) or not set(found) <= set(known):
        unknown = set(found) - set(known) if isinstance(found, dict) else found
        parser.error(
            f"{path} must hold options by name, such as {sorted(known)[:5]}. "
            f"Received: {unknown}"
        )
    for name, value in found.items():
        if known[name].type is float and isinstance(value, str):
            # YAML 1.1 reads 1e-4, without a point, as text.
            value = found[name] = _number(value)
        if not _fits(known[name], value):
            choices = known[name].choices
            wanted = f"must be one of {choices}" if choices else None
            parser.error(
                f"{path}: {name}={value!r} {wanted or 'is not of its type'}"
            )
    return found


def _number(text):
    try:
        return float(text)
    except ValueError:
        return text


def _fits(action, value):
    """Whether a value of a YAML file is what the option takes."""
    is_list = isinstance(value, list)
    if is_list != (action.nargs in ("+", 2)):
        return False
    if action.nargs == 0:  # a flag
        return isinstance(value, bool)
    if value is None:
        return action.default is None
    if action.choices is not None:
        return value in action.choices
    # Python counts True among the integers.
    kinds = {int: int, float: (int, float)}.get(action.type, str)
    return all(
        isinstance(x, kinds) and not isinstance(x, bool)
        for x in (value if is_list else [value])
    )
