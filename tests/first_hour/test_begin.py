"""A newcomer's first hour, its beginning: install, import, the README, an own table with faults, units."""

import io
import re
import subprocess
import sys
import venv

import nbformat
import pytest
from nbclient import NotebookClient
from traitlets.config import Config

import twinprob as tp
from tests import ROOT
from tests.test_docs import python_blocks

FAULTY = """time,variable,value,unit,start,end,rate
2024-03-01T08:00,glucose,180,mg/dL,,,
2024-03-01T09:00,glucose,165,mg/dL,,,
2024-03-01T09:00,glucose,165,mg/dL,,,
2024-03-01T10:00,glucose,n/a,mg/dL,,,
2024-03-01T11:00,glucose,LO,mg/dL,,,
,insulin,,U/h,2024-03-01T08:00,2024-03-01T11:00,2
"""


@pytest.mark.slow
def test_01_it_installs_into_an_empty_environment(tmp_path):
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(ROOT)], check=True)
    said = subprocess.run([python.with_name("twinprob"), "--version"], capture_output=True, text=True, cwd=tmp_path)
    assert said.stdout.strip() == f"twinprob {tp.__version__}"


def test_02_importing_says_nothing_and_takes_little_more_than_what_it_stands_on():
    first = "import time, warnings, jax, numpyro, diffrax, equinox, xarray, scipy; warnings.simplefilter('error')"
    probe = f"{first}; t = time.perf_counter(); import twinprob; print(time.perf_counter() - t)"
    said = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, check=True, capture_output=True, text=True)
    assert said.stderr == ""
    assert float(said.stdout) < 30.0  # a machine under load; the figure itself is measured elsewhere


@pytest.mark.slow
def test_03_the_readme_runs_in_a_fresh_notebook_without_a_warning(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    blocks = python_blocks("README.md")[:1]
    shown = ["stay", "model", "twin", "ahead"]  # what a reader looks at next
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in (*blocks, *shown)])
    config = Config({"KernelManager": {"transport_encryption": "auto"}})
    NotebookClient(notebook, timeout=600, config=config, resources={"metadata": {"path": str(tmp_path)}}).execute()
    streams = [output for cell in notebook.cells for output in cell.outputs if output.output_type == "stream"]
    assert not [output.text for output in streams if output.name == "stderr"]
    assert all("text/html" in cell.outputs[-1].data for cell in notebook.cells[len(blocks) :])
    assert (tmp_path / "fan.png").stat().st_size > 10_000


def test_04_an_own_table_with_faults_is_read_and_every_row_accounted_for():
    with pytest.raises(ValueError, match=r"LO.*limits"):
        tp.read_tidy(io.StringIO(FAULTY))
    record = tp.read_tidy(io.StringIO(FAULTY), limits={"glucose": (20, 600, "mg/dL")})
    assert record.observations["glucose"].limits.tolist() == [0, 0, -1]
    assert sum(line.count for line in record.ledger) == 6
    assert sum(line.count for line in record.ledger if line.fate != "used") == 2
    assert "6 rows: " in repr(record)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("0,glucose,6\n", "unit"),
        ("0,glucose,6,mmol/mol\n", "mmol/mol"),
        ("0,glucose,110,mmol/L\n60,glucose,120,mmol/L\n", "mg/dL"),
        ("0,glucos,6,mmol/L\n", "The nearest of .* names: glucose, "),
    ],
)
def test_05_units_are_asked_for_and_doubted(rows, says):
    with pytest.raises(ValueError, match=says):
        tp.read_tidy(io.StringIO("time,variable,value,unit\n" + rows))


def test_05_two_units_of_one_thing_are_one_record():
    molar, mass = (
        tp.Record.build({"glucose": ([0, 60], values, unit)})
        for values, unit in (([10.0, 8.0], "mmol/L"), ([180.16, 144.128], "mg/dL"))
    )
    numbers = [tp.patient.units.convert(r.observations["glucose"].values, r.observations["glucose"].unit, "mmol/L",
                                        variable="glucose") for r in (molar, mass)]  # fmt: skip
    assert numbers[0].tolist() == pytest.approx(numbers[1].tolist(), rel=1e-12)


def test_what_is_printed_is_five_lines_that_say_what_it_is():
    stay = tp.load_example("icu_glucose", stay=3)
    for noun in (stay, tp.models.metabolic.ICING()):
        lines = repr(noun).splitlines()
        assert len(lines) == 5
        assert max(map(len, lines)) < 200
    assert re.match(r"Record: 0 min to 71 h\n  measured: glucose × 45\n", repr(stay))
