"""Makes examples/tutorial.ipynb of examples/tutorial.py, with its answers.

    pip install -e ".[examples,notebook]" && python docs/make_notebook.py

takes about 5 minutes on two cores. What the program writes to stderr is left
out, and so are second copies of its pictures.
"""

import pathlib
import re
import shutil
import tempfile

import jupytext
import nbclient

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"


def main():
    notebook = jupytext.read(EXAMPLES / "tutorial.py")
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(EXAMPLES / "write_scenes.py", folder)
        place = {"metadata": {"path": folder}}
        client = nbclient.NotebookClient(
            notebook, timeout=3600, resources=place
        )
        client.execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.metadata = {}  # the times of this run
            cell.outputs = [
                x for x in cell.outputs if x.get("name") != "stderr"
            ]
            for output in cell.outputs:
                output.get("data", {}).pop("image/jpeg", None)
                if "text" in output:  # TensorFlow's own lines
                    output.text = re.sub("INFO:.*\n", "", output.text)
    jupytext.write(notebook, EXAMPLES / "tutorial.ipynb")


if __name__ == "__main__":
    main()
