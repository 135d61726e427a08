"""Commands on the pages: programs, options, extras, marks and stages exist."""

import configparser
import importlib.util
import re
import shlex

import pytest

from keras_vtr.command_line import main
from tests.docs.pages import PAGES
from tests.docs.pages import ROOT
from tests.docs.pages import commands
from tests.docs.pages import mentioned_commands

SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")
OURS = re.compile(r"(?:\.|keras-vtr)(\[.*?\])")
OTHERS_MODULES = {"venv"}


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)  # --config examples/digits.yaml


@pytest.mark.parametrize("page", PAGES)
def test_a_command_can_be_typed_as_it_is_written(page, capsys):
    for command in commands(page):
        check(command, capsys)
    for command in mentioned_commands(page):
        check(command, capsys, is_whole=False)


def test_there_are_commands_of_each_program():
    found = [x.split()[0] for page in PAGES for x in commands(page)]
    assert {"keras-vtr", "python", "pip", "pytest"} <= {*found}
    assert len(found) > 30


@pytest.mark.parametrize(
    "command",
    [
        "keras-vtr train scenes --output run --epoch 3s",
        "keras-vtr train scenes",
        "keras-vtr fit scenes",
        "python examples/train_dert.py",
        "python examples/train_detr.py --step 3",
        "python -m keras_vtr.nowhere",
        'pip install -e ".[example]"',
        'pip install "keras-vtr[webb]"',
        "pytest -m slower",
        "pytest tests/nowhere",
        ".ci/run fast",
    ],
)
def test_what_does_not_exist_is_found(command, capsys):
    with pytest.raises((AssertionError, StopIteration)):
        check(command, capsys)


def check(command, capsys, is_whole=True):
    program, *arguments = shlex.split(command)
    if program == "keras-vtr":
        check_keras_vtr(arguments, capsys, is_whole)
    elif program == "python" and arguments:
        check_python(arguments)
    elif program == "pip":  # -e ".[extra]", "keras-vtr[extra]"
        extras = re.findall(r"\w+", "".join(OURS.findall(command)))
        known = SETUP["options.extras_require"]
        assert {*extras} <= {*known}, command
    elif program == "pytest":
        check_pytest(arguments)
    elif program == ".ci/run":
        stages = re.search(r"^stages=\((.*)\)", text(".ci/run"), re.MULTILINE)
        assert {*arguments} <= {*stages[1].split()}, command


def check_keras_vtr(arguments, capsys, is_whole):
    try:
        main.parse(arguments)
    except SystemExit as error:
        printed = capsys.readouterr().err
        lacks = "arguments are required" in printed
        lacks = lacks or "expected one argument" in printed
        assert not error.code or (lacks and not is_whole), printed


def check_python(arguments):
    program = next(x for x in arguments if x != "-m")
    if arguments[0] == "-m":
        is_known = program in OTHERS_MODULES
        assert is_known or importlib.util.find_spec(program), program
        return
    assert (ROOT / program).is_file(), program
    for option in arguments:
        if option.startswith("--"):
            assert f'"{option}"' in options_of(program), (program, option)


def options_of(program):
    """The text of a program, and of the modules beside it that it imports."""
    own = text(program)
    folder = (ROOT / program).parent
    imported = re.findall(r"^ *(?:from|import) (\w+)", own, re.MULTILINE)
    paths = [folder / f"{x}.py" for x in imported]
    return own + "".join(text(x) for x in paths if x.is_file())


def check_pytest(arguments):
    marks = {
        x.partition(":")[0] for x in SETUP["tool:pytest"]["markers"].split("\n")
    }
    if "-m" in arguments:
        words = arguments[arguments.index("-m") + 1].split()
        assert {*words} <= {*marks, "and", "or", "not"}, words
    for path in arguments:
        if "/" in path:
            assert (ROOT / path).exists(), path


def text(path):
    return (ROOT / path).read_text(encoding="utf-8")
