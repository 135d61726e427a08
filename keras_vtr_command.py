"""The command `keras-vtr`: keeps TensorFlow silent, then runs the package.

    python -m keras_vtr_command train FOLDER --output RUN

A module beside the package, because whoever imports a part of `keras_vtr`
imports Keras and TensorFlow: too late to choose what they print, and too slow
for `keras-vtr --help`. If TF_CPP_MIN_LOG_LEVEL is set, they print what it says.
"""

import argparse
import contextlib
import logging
import os
import sys
import tempfile
import time

STARTED = time.monotonic()
LEVEL = "TF_CPP_MIN_LOG_LEVEL"
DESCRIPTION = """Trains, evaluates and exports detectors and classifiers.

A data folder holds annotations in COCO's format beside a folder of pictures of
the same name: train.json and train/, val.json and val/. Also recognized are
exports of Roboflow and CVAT (COCO), Ultralytics' data.yaml, Pascal VOC, and a
folder of pictures for each class, which trains a classifier (docs/data.md).
Look at the data first: `keras-vtr inspect FOLDER`. Exit codes: 0 done; 1
failed, the reason is the last line; 2 wrong arguments; 130 interrupted.
"""
COMMANDS = {
    "inspect": "show a data set and its problems",
    "train": "train a detector or classifier; run again, it resumes",
    "evaluate": "evaluate a run's model",
    "predict": "ask a run's model about pictures",
    "export": "publish a run's model: TF Serving, runtimes, a web page",
    "serve": "try a run's model in a browser",
}


def main():
    """Runs the command line of this process; returns the exit code."""
    arguments = sys.argv[1:]
    if arguments[:1] == [] or arguments[0] not in COMMANDS:
        parsers()[0].parse_args(arguments)  # prints help or what is wrong
    with contextlib.nullcontext() if LEVEL in os.environ else silence():
        from keras_vtr.command_line.main import main as run
    return run(arguments)


def parsers():
    """The parser of the command line, and of each command by name.

    The parsers of the commands have no arguments yet.
    """
    parser = argparse.ArgumentParser(
        prog="keras-vtr",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND"
    )
    kind = argparse.ArgumentDefaultsHelpFormatter
    return parser, {
        name: commands.add_parser(name, help=text, formatter_class=kind)
        for name, text in COMMANDS.items()
    }


@contextlib.contextmanager
def silence():
    """Silences TensorFlow: all of it while imported, later all but errors.

    Its libraries write some lines to file descriptor 2 before they read the
    level. They are held back, and shown only if the import fails.
    """
    os.environ[LEVEL] = "3"
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        stderr = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(stderr, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
    for name in ("tensorflow", "absl"):
        logging.getLogger(name).setLevel(logging.ERROR)


if __name__ == "__main__":
    sys.exit(main())
