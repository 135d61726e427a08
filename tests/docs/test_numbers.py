"""Measured numbers on the pages stand where their commands print them.

In benchmarks/, in the heads of programs under examples/, or, counts of
parameters and the like, in the code and its tests. The numbers of a table's row
stand there together, in one line or row.
"""

import functools
import re

import pytest

from tests.docs.pages import CODE
from tests.docs.pages import PAGES
from tests.docs.pages import ROOT
from tests.docs.pages import prose
from tests.docs.pages import python_blocks

QUOTING = [x for x in PAGES if x == "README.md" or x.startswith("docs/")]
# Neither versions, such as 3.15.1, nor parts of words.
NUMBER = r"(?<![\w.,-])(?:\d{1,3}(?:,\d{3})+|\d+\.\d{%s,})(?![\w]|[.,]\d)"
IN_ROW, IN_TEXT = re.compile(NUMBER % 1), re.compile(NUMBER % 3)
FOLDERS = ("benchmarks", "examples", "keras_vtr", "tests")
SUFFIXES = (".md", ".py", ".yaml")


@pytest.mark.parametrize("page", QUOTING)
def test_measured_numbers_are_quoted(page):
    is_published = False  # a table whose head says so
    own = IN_TEXT.findall("".join(python_blocks(page)))  # what its code prints
    text, lines = "", CODE.sub("", prose(page)).splitlines()
    for line in lines:
        starts = line.startswith("|") and not text.startswith("|")
        is_published = line.startswith("|") and (
            "published" in line if starts else is_published
        )
        text = line
        if not is_published:
            check(line, own)


def check(line, own=()):
    if line.startswith("|"):
        row = {*IN_ROW.findall(line)}
        assert any(row <= numbers for numbers in lines_of_numbers()), line
    else:
        known = set(own).union(*lines_of_numbers())
        assert {*IN_TEXT.findall(line)} <= known, line


@functools.cache
def lines_of_numbers():
    """The numbers of each line of the files that may be quoted."""
    found = []
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in SUFFIXES and path.parent.name != "docs":
                text = re.sub(
                    r"(?<=\d)_(?=\d{3})", ",", path.read_text("utf-8")
                )
                found += (set(IN_ROW.findall(x)) for x in text.splitlines())
    return [set(), *filter(None, found)]


def test_the_pages_have_measured_numbers():
    texts = "".join(prose(page) for page in QUOTING)
    assert len(IN_TEXT.findall(texts)) > 20


@pytest.mark.parametrize(
    "line",
    [
        "| seed 0, the default | 0.868 | 0.972 | 0.967 |",
        "| int8 | 0.868 | 0.972 | 0.964 | 2.68 | 1,296 |",
        "Where 0.9971 of 2,000 are right.",
        "It has 41,524,769 parameters.",
    ],
)
def test_a_changed_digit_is_found(line):
    with pytest.raises(AssertionError):
        check(line)
