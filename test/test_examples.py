"""The notebooks of examples/ run as they are, and what they say of themselves holds: they assert it."""

from pathlib import Path

import nbclient
import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "examples").glob("*.ipynb"))


def read(path):
    return nbformat.read(path, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_notebooks():
    assert [path.stem for path in NOTEBOOKS] == ["private_classifier", "your_own_policy"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_they_run(path):
    notebook = read(path)
    nbclient.NotebookClient(notebook, timeout=240, kernel_name="python3").execute(cwd=str(path.parent))
    outputs = [output for cell in code(notebook) for output in cell.outputs]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    shown = [output["data"] for output in outputs if "data" in output]
    pages = [data for data in shown if "<iframe" in data.get("text/html", "")]
    plots = [data for data in shown if "image/png" in data]
    if path.stem == "private_classifier":
        (page,) = pages
        assert page["text/plain"].startswith("classify under policy ditto: ")
        # Besides the page: ranges, the program, the simulation, statistics.
        assert len(shown) == 5 and all("\n" not in data["text/plain"] for data in shown if data is not page)
    else:
        assert len(plots) == 2


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_they_are_stored_without_outputs(path):
    """So that no output is of an earlier Ditto, and a change of a notebook is a change of its text."""
    for cell in code(read(path)):
        assert cell.outputs == [] and cell.execution_count is None


def test_the_classifier_is_ten_cells():
    (path,) = (path for path in NOTEBOOKS if path.stem == "private_classifier")
    assert len(code(read(path))) == 10
