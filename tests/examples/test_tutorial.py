"""examples/tutorial.py, and the notebook that is made of it."""

import pathlib
import shutil

import pytest

pytestmark = pytest.mark.examples

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


def cells(notebook):
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def test_the_notebook_is_made_of_the_program_and_shows_its_answers():
    import jupytext

    program, notebook = (
        jupytext.read(EXAMPLES / f"tutorial.{kind}") for kind in ("py", "ipynb")
    )
    assert cells(notebook) == cells(program)
    outputs = [x for cell in notebook.cells for x in cell.get("outputs", ())]
    assert sum("image/png" in x.get("data", {}) for x in outputs) == 4
    assert not any(x.output_type == "error" for x in outputs)


def test_every_cell_runs(tmp_path, monkeypatch):
    import nbclient
    import nbformat

    monkeypatch.setenv("STEPS", "10")
    for name in ("tutorial.ipynb", "write_scenes.py"):
        shutil.copy(EXAMPLES / name, tmp_path)
    notebook = nbformat.read(tmp_path / "tutorial.ipynb", as_version=4)
    place = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=600, resources=place).execute()
    assert (tmp_path / "keras_vtr_tutorial/report/report.html").exists()
    assert (tmp_path / "keras_vtr_tutorial/savedmodels/digits/1").is_dir()
