"""A recalibration on disk: the same numbers back, and nothing that was changed or is something else."""

import json

import pandas as pd
import pytest

from twinprob.forecasting.recalibration import Recalibration, Taught, learn_recalibration
from twinprob.forecasting.taught_file import load_recalibration, save_recalibration


@pytest.fixture
def taught():
    table = {(-1, False): 1.25, (0, True): 1.1 + 0.1 / 3}
    return Recalibration({"glucose": Taught(table, {(-1, False): -0.2}, 0.7, 0.3, 14, 677)})


def test_every_number_comes_back(taught, tmp_path):
    save_recalibration(tmp_path / "a.json", taught)
    assert load_recalibration(tmp_path / "a.json") == taught


def test_an_output_of_which_nothing_was_learned_comes_back(tmp_path):
    plain = Recalibration({"glucose": Taught()})
    save_recalibration(tmp_path / "a.json", plain)
    assert load_recalibration(tmp_path / "a.json") == plain


def test_what_was_learned_comes_back(tmp_path):
    rows = {"patient": [0, 1, 2] * 20, "variable": "y", "hours_ahead": 1.0, "pit": [(i + 0.5) / 60 for i in range(60)]}
    learned = learn_recalibration(pd.DataFrame(rows))
    save_recalibration(tmp_path / "a.json", learned)
    assert load_recalibration(tmp_path / "a.json") == learned


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("1.25", "0.25"), "changed since it was written"),
        (lambda text: text[: len(text) // 2], "cut short"),
        (lambda text: text.replace("recalibration/1", "recalibration/9"), "is of format"),
        (lambda text: json.dumps([1, 2]), "is no recalibration"),
        (lambda text: "{}", "is no recalibration"),
        (lambda text: " " * (1 << 21), "larger than any"),
    ],
)
def test_a_changed_or_foreign_file_is_refused(taught, tmp_path, change, said):
    file = tmp_path / "a.json"
    save_recalibration(file, taught)
    file.write_text(change(file.read_text()))
    with pytest.raises(ValueError, match=said):
        load_recalibration(file)


def test_an_unknown_name_says_so():
    with pytest.raises(FileNotFoundError, match="nobody"):
        load_recalibration("nobody")
