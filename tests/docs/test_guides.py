"""The paths and names that the two guides send their readers to exist."""

import functools
import pathlib
import re

import keras
import pytest

import keras_vtr

ROOT = pathlib.Path(__file__).parents[2]
GUIDES = ("docs/guide.md", "docs/ja/guide.md")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LAYERS = ("layers", "models", "losses", "backbones")


def prose(guide):
    """The page without its fenced code, which is run elsewhere."""
    return FENCED.sub("", (ROOT / guide).read_text(encoding="utf-8"))


def paths(guide):
    """Those in backticks or indented commands, and the targets of links."""
    text = prose(guide)
    for path in re.findall(r"(?<![\w/])[\w./]+\.(?:py|md)\b", text):
        if "/" in path and not path.startswith(("../", "ja/")):
            yield ROOT / path
    for target in re.findall(r"\]\(([^)]+)\)", text):
        yield (ROOT / guide).parent / target


def names(guide):
    """In backticks: dotted names, and what looks like a class or a builder."""
    for words in re.findall(r"`([^`]+)`", prose(guide)):
        for name in re.findall(r"(?<![\w./\"'])[A-Za-z_][\w.]*", words):
            is_class = re.fullmatch(r"[A-Z]\w*[a-z]\w*", name)
            is_builder = re.fullmatch(r"build_\w+", name)
            is_ours = is_class or is_builder or "keras" in name
            if (is_ours or "layers." in name) and name not in ("True", "False"):
                yield name


def find(name):
    """The object of a name; AttributeError if there is none."""
    first, *rest = name.split(".")
    roots = {"keras": keras, "keras_vtr": keras_vtr, "layers": keras_vtr.layers}
    if first in roots:
        return functools.reduce(getattr, rest, roots[first])
    packages = [getattr(keras_vtr, package) for package in LAYERS]
    (package,) = [x for x in packages if hasattr(x, name)] or [keras_vtr]
    return getattr(package, name)


@pytest.mark.any_backend
@pytest.mark.parametrize("guide", GUIDES)
def test_each_path_of_a_guide_exists(guide):
    found = list(paths(guide))
    assert len(found) > 20
    assert not [path for path in found if not path.exists()]


@pytest.mark.any_backend
@pytest.mark.parametrize("guide", GUIDES)
def test_each_name_of_a_guide_exists(guide):
    found = set(names(guide))
    assert len(found) > 12
    for name in found:
        find(name)
