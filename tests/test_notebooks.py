import nbformat
import pytest
from nbclient import NotebookClient
from traitlets.config import Config

from tests import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TIMEOUT = 600
# Half a minute and more each, most of it to compile.
LONG = ("02_can_these_data_tell", "03_a_lung_before_the_peep_step", "04_fluid_or_norepinephrine")
RUN = [pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * (path.stem in LONG)) for path in NOTEBOOKS]


def stderr_of(notebook: nbformat.NotebookNode) -> str:
    """Return all that the cells of an executed notebook wrote to the error stream."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.text for output in outputs if output.get("name") == "stderr")


def parameter_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_reduces_its_budget_in_its_parameter_cell(path):
    cells = parameter_cells(nbformat.read(path, as_version=4))
    assert ["TWINPROB_SMALL" in cell.source for cell in cells] == [True]


@pytest.mark.parametrize("path", RUN)
def test_a_notebook_runs_without_errors_and_warnings(path, tmp_path, monkeypatch):
    monkeypatch.setenv("TWINPROB_SMALL", "1")
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(path, as_version=4)
    # Without keys, the kernel warns of its open port.
    config = Config({"KernelManager": {"transport_encryption": "auto"}})
    NotebookClient(notebook, timeout=TIMEOUT, config=config, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert "Warning" not in stderr_of(notebook)
