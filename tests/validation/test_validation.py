import importlib

import numpy as np
import pytest

from tests import ROOT
from tests.validation import DataAbsent, Result, rows, shared_data
from tests.validation import __main__ as runner
from tests.validation.acceptance import LINES


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A place for rows that is not the documentation."""
    monkeypatch.setattr(rows, "FOLDER", tmp_path)
    return tmp_path


def measured(monkeypatch, measure) -> int:
    """Run `measure` as if it were the script of line 01.3."""
    script = type("Script", (), {"measure": staticmethod(measure)})
    monkeypatch.setattr(runner, "scripts", lambda: {"01.3": "tests.validation"})
    monkeypatch.setattr(runner, "declared", lambda line: {})
    monkeypatch.setattr(importlib, "import_module", lambda name: script)
    return runner.main(["01.3"])


def need_absent_data() -> Result:
    shared_data("a dataset nobody has")
    return Result("", True)


def break_down() -> Result:
    raise ArithmeticError(f"in {ROOT}")


@pytest.mark.parametrize("line", sorted(runner.scripts()))
def test_a_script_belongs_to_a_line_of_an_acceptance_table(line):
    assert line in LINES


@pytest.mark.parametrize(
    ("measure", "status"),
    [
        (lambda: Result("1 mmol/L", True), 0),
        (lambda: Result("1 mmol/L", False), 1),
        (break_down, 1),
        (need_absent_data, 3),
    ],
    ids=["holds", "misses", "breaks", "data absent"],
)
def test_the_exit_status_says_how_a_line_stands(measure, status, folder, monkeypatch):
    assert measured(monkeypatch, measure) == status


def test_the_figure_is_printed_last(folder, monkeypatch, capsys):
    measured(monkeypatch, lambda: Result("1.5 mmol/L", True, {"patients": 3}))
    assert capsys.readouterr().out.splitlines()[-1] == "01.3 holds: 1.5 mmol/L"


def test_a_measured_line_stands_in_the_table(folder, monkeypatch):
    measured(monkeypatch, lambda: Result("1.5 mmol/L", False))
    assert "| 1.5 mmol/L | **misses** |" in (folder / "index.md").read_text(encoding="utf-8")


def test_absent_data_leave_an_earlier_figure_standing(folder, monkeypatch):
    measured(monkeypatch, lambda: Result("1.5 mmol/L", True))
    measured(monkeypatch, need_absent_data)
    assert rows.read("01.3", LINES["01.3"]).figure == "1.5 mmol/L"


def test_a_row_names_no_folder_of_this_machine(folder, monkeypatch):
    measured(monkeypatch, lambda: Result(f"see {ROOT}/out", True, {"file": ROOT / "out"}))
    assert str(ROOT) not in (folder / "01.3.json").read_text(encoding="utf-8")


def test_details_may_be_arrays_and_not_finite(folder, monkeypatch):
    measured(monkeypatch, lambda: Result("", True, {"values": np.array([1.0, np.nan])}))
    assert rows.read("01.3", LINES["01.3"]).details == {"values": [1.0, "nan"]}


def test_absent_data_are_named():
    with pytest.raises(DataAbsent, match="a dataset nobody has"):
        shared_data("a dataset nobody has")


def test_a_line_without_a_script_is_refused(capsys):
    assert runner.main(["99.1"]) == 2
