"""The commands, their arguments and their exit codes."""

import signal
import sys

import tensorflow as tf
import yaml

import keras_vtr_command
from keras_vtr.callbacks import CheckpointError
from keras_vtr.callbacks import NonFiniteError
from keras_vtr.command_line import evaluate
from keras_vtr.command_line import export
from keras_vtr.command_line import inspect
from keras_vtr.command_line import predict
from keras_vtr.command_line import serve
from keras_vtr.command_line import train
from keras_vtr.command_line.printing import own_warnings
from keras_vtr.command_line.printing import printer_of
from keras_vtr.host_errors import own_errors

EXPECTED = (
    ValueError,
    OSError,
    ImportError,  # of a package that an extra brings
    CheckpointError,
    NonFiniteError,
    tf.errors.OpError,
)
COMMANDS = {
    "inspect": inspect,
    "train": train,
    "evaluate": evaluate,
    "predict": predict,
    "export": export,
    "serve": serve,
}


def main(arguments=None):
    """Runs a command; returns its exit code."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    name = options.pop("command")
    printer = printer_of(options.pop("quiet"), options.pop("json"))
    try:
        with own_errors(), own_warnings(printer):
            code = COMMANDS[name].run(**options, printer=printer) or 0
    except KeyboardInterrupt:
        printer.error("stopped")
        return 128 + signal.SIGINT  # as a shell has it
    except EXPECTED as error:
        printer.error(_reason(error))
        return 1
    printer.report("done", command=name, code=code)
    return code


def _reason(error):
    """The error's text; TensorFlow's without the names of graph nodes."""
    if not isinstance(error, tf.errors.OpError):
        return error
    return error.message.partition("\n\t [[")[0].strip().splitlines()[-1]


def parse(arguments):
    """The command and its options, from the command line and --config."""
    parser, parsers = keras_vtr_command.parsers()
    for name, module in COMMANDS.items():
        own = parsers[name]
        own.description = module.__doc__
        module.add_arguments(own)
        own.add_argument(
            "--config", help="YAML file of options, by their names"
        )
        printed = own.add_mutually_exclusive_group()
        less = "print warnings and errors alone"
        printed.add_argument("--quiet", action="store_true", help=less)
        objects = 'print a JSON object a line, the last one a "done"'
        printed.add_argument("--json", action="store_true", help=objects)
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
