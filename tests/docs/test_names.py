"""What the pages name exists: links, paths, classes, arguments, options."""

import ast
import functools
import inspect
import posixpath
import re

import keras
import pytest

import keras_vtr
from tests.docs.pages import PAGES
from tests.docs.pages import PROGRAMS
from tests.docs.pages import ROOT
from tests.docs.pages import code_words
from tests.docs.pages import links
from tests.docs.pages import python_blocks
from tests.docs.pages import read

PACKAGE = ROOT / "keras_vtr"
PACKAGES = [
    name
    for name in keras_vtr.__all__
    if (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()
]
NAME = re.compile(r"[A-Za-z_]\w*")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z_-]+")
PATH = re.compile(r"/?[\w.*-]+(?:/[\w.*-]+)+/?|[\w.*-]+(?:/|\.[a-z]{2,6}\b)")
SUFFIX = re.compile(
    r"\.(py|md|html|json|ya?ml|csv|png|xml|txt|cfg|config|pbtxt)$"
)
# What other projects name, and no code of ours.
OTHERS_NAMES = {
    *("GIoULoss", "MovingAverage", "GELU"),  # TensorFlow Addons
    *("ModelParallel", "DataParallel", "OrbaxCheckpoint", "mmap_mode"),
    *("TF_NUM_INTRAOP_THREADS", "SOAK_SECONDS", "TRITON_PYTHON"),
    *("True", "False", "None", "null", "MyTerm", "Call", "Returns", "Raises"),
    *("hustvl", "translator", "opt", "long_load", "CONTRIBUTING"),
}
OTHERS_OPTIONS = {
    *("--enable_cors_support", "--model_base_path"),  # TF Serving
    *("--model-repository", "--head", "--address", "--rm", "--help"),
}


@pytest.mark.parametrize("page", PAGES)
def test_each_link_leads_somewhere(page):
    for target in links(page):
        if ":" not in target:
            check_link(page, target)


def check_link(page, target):
    path, _, anchor = target.partition("#")
    there = posixpath.join(posixpath.dirname(page), path) if path else page
    there = posixpath.normpath(there)
    assert (ROOT / there).exists(), target
    if anchor:
        headings = re.findall(r"^#+ (.+)$", read(there), re.MULTILINE)
        assert anchor in {anchor_of(x) for x in headings}, target


def anchor_of(heading):
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_each_name_is_known(page):
    own = NAME.findall("".join(python_blocks(page)))
    for word in code_words(page):
        check_word(word, posixpath.dirname(page), own)


def check_word(word, folder=".", own=()):
    for path in PATH.findall(word):
        if "/" in path or SUFFIX.search(path):
            assert not is_ours(path) or is_there(path, folder), word
            word = word.replace(path, " ")
    if not word.strip():
        return
    unknown = {*OPTION.findall(word)} - options_of_code() - OTHERS_OPTIONS
    assert not unknown, unknown
    if word.split()[0] in (*PROGRAMS, "docker", "mkdocs"):
        return  # commands have their own tests
    # `build_*`, and blocks by their numbers
    names = NAME.findall(OPTION.sub("", re.sub(r"\w+\*", "", word)))
    names = {re.sub(r"_\d+$", "_0", name) for name in names}
    unknown = names - names_of_code() - OTHERS_NAMES - {*own}
    assert not unknown, unknown
    for call, keywords in calls(word):
        check_call(call, keywords)


def is_ours(path):
    """Whether a path is meant to be one of the repository.

    savedmodels/ holds what is written there, and a single word with a slash
    may be a folder of anybody's.
    """
    first, _, rest = path.partition("/")
    if not first:
        return False
    if not rest:
        return path.endswith(".py") and not path.startswith("*")
    if first == "savedmodels":
        return path.endswith(".md")
    return (ROOT / first).is_dir() or (
        path.endswith(".py") and (PACKAGE / first).is_dir()
    )


def is_there(path, folder):
    if "/" not in path:
        return path in file_names()
    places = (ROOT, ROOT / folder, PACKAGE)
    return any(next(x.glob(path), None) for x in places)


def calls(word):
    """Dotted names, and the arguments that are named in their calls."""
    try:
        tree = ast.parse(word, mode="eval")
    except SyntaxError:
        return
    inner = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            inner.add(node.func)
            yield (
                ast.unparse(node.func),
                [x.arg for x in node.keywords if x.arg],
            )
        elif isinstance(node, ast.Attribute) and node not in inner:
            yield ast.unparse(node), []
        if isinstance(node, ast.Attribute):
            inner.add(node.value)


def check_call(name, keywords):
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        return
    if len(parts) == 1:
        found = public_names().get(name)
    elif parts[0] in ("keras", "keras_vtr"):
        found = resolve(parts)
    elif parts[0] in PACKAGES and parts[-1] not in OTHERS_NAMES:
        is_keras = hasattr(getattr(keras, parts[0], None), parts[1])
        found = resolve(["keras" if is_keras else "keras_vtr", *parts])
    else:
        return
    if found is not None and keywords:
        accepted = inspect.signature(found).parameters
        if not any(x.kind == x.VAR_KEYWORD for x in accepted.values()):
            assert {*keywords} <= {*accepted}, (name, keywords)


def resolve(parts):
    found = {"keras": keras, "keras_vtr": keras_vtr}[parts[0]]
    for part in parts[1:]:
        if not hasattr(found, part) and found is keras_vtr:
            return importable(parts)
        assert hasattr(found, part), ".".join(parts)
        found = getattr(found, part)
    return found


def importable(parts):
    """A module of the package that is not public."""
    path = PACKAGE.joinpath(*parts[1:])
    assert path.is_dir() or path.with_suffix(".py").is_file(), parts


@functools.cache
def public_names():
    return {
        name: getattr(getattr(keras_vtr, package), name)
        for package in PACKAGES
        for name in getattr(getattr(keras_vtr, package), "__all__", ())
    }


@functools.cache
def code():
    folders = ("keras_vtr", "examples", "benchmarks", "tests")
    paths = [x for folder in folders for x in (ROOT / folder).rglob("*.py")]
    paths = [x for x in paths if x.parent.name != "docs"]  # such as this one
    paths += ROOT.glob("*.py")
    return "\n".join(x.read_text(encoding="utf-8") for x in paths)


@functools.cache
def names_of_code():
    tests = {x.stem for x in (ROOT / "tests").rglob("*.py")}
    names = NAME.findall((ROOT / "setup.cfg").read_text(encoding="utf-8"))
    for node in ast.walk(ast.parse(code())):
        names += names_of(node)
    return {*names, *(re.sub(r"_\d+$", "_0", x) for x in names), *tests}


def names_of(node):
    """What a part of a program names; comments and sentences name nothing."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [] if " " in node.value else NAME.findall(node.value)
    fields = ("name", "id", "attr", "arg", "asname", "module")
    found = [getattr(node, x, None) for x in fields]
    return [name for x in found if x for name in x.split(".")]


@functools.cache
def options_of_code():
    found = {*re.findall(r'"(--[a-z-]+)"', code())}
    return found | {f"--no-{x[2:]}" for x in found}


@functools.cache
def file_names():
    return {x.name for x in ROOT.rglob("*.py")}


@pytest.mark.parametrize(
    "word",
    [
        "examples/train_dert.py",
        "layers/tokens/class_tokens.py",
        "test_nowhere.py",
        "keras_vtr.data.read_cocoa",
        "layers.ClassTokens",
        "ClassTokens",
        "build_detr(10, queries_num=5)",
        "read_coco(..., mask=True)",
        "keras.layers.Denze",
        "--time-limits",
    ],
)
def test_what_does_not_exist_is_found(word):
    with pytest.raises(AssertionError):
        check_word(word)


@pytest.mark.parametrize("target", ["nowhere.md", "data.md#nowhere"])
def test_a_dead_link_is_found(target):
    with pytest.raises(AssertionError):
        check_link("docs/training.md", target)
