"""The drawn pictures show the names, shapes and numbers of today's code."""

import importlib
import pathlib

import pytest

DOCS = pathlib.Path(__file__).parents[2] / "docs"
FOLDER = DOCS / "pictures"
NAMES = sorted(path.stem for path in FOLDER.glob("*.svg"))


@pytest.fixture(scope="module")
def drawing():
    """The module `docs/pictures/draw.py`, which imports those beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield importlib.import_module("draw")


@pytest.mark.any_backend
@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_current(drawing, name):
    drawn = drawing.PICTURES[name]().svg()
    assert drawn == (FOLDER / f"{name}.svg").read_text(encoding="utf-8"), (
        "Run `python docs/pictures/draw.py` and look at the picture."
    )


@pytest.mark.any_backend
def test_the_guide_shows_each_picture(drawing):
    guide = (DOCS / "guide.md").read_text(encoding="utf-8")
    assert sorted(drawing.PICTURES) == NAMES
    for name in NAMES:
        assert f"(pictures/{name}.svg)" in guide, name


@pytest.mark.any_backend
def test_the_guide_matches_the_queries_of_the_picture(drawing):
    guide = (DOCS / "guide.md").read_text(encoding="utf-8")
    numbers = drawing.numbers_of_layers
    rows = [
        [*numbers.relative(corners), *probabilities]
        for corners, probabilities in numbers.PREDICTIONS
    ]
    rows += [numbers.relative(corners) for _, corners in numbers.OBJECTS]
    for row in rows:
        assert f"[{', '.join(f'{x:.2f}' for x in row)}]," in guide, row
