import importlib.util

import numpy as np
import pandas as pd
import pytest

from tests import ROOT
from twinprob import storage
from twinprob.models.metabolic import icing
from twinprob.patient.record import Record
from twinprob.readers.examples import load_example

STAYS = 8


@pytest.fixture
def generator():
    """The script that makes the synthetic stays."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "datasets" / "icu_glucose" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_glucose_tolerance_test_is_the_published_table():
    # Spot checks of Pacini and Bergman's table: the peak, the lowest glucose, the last row.
    record = load_example("fsigt")
    glucose, insulin = record.observations["glucose"], record.observations["plasma_insulin"]
    rows = {time: (g, i) for time, g, i in zip(glucose.times, glucose.values, insulin.values, strict=True)}
    assert (len(rows), rows[2], rows[72], rows[182]) == (24, (350, 26), (84, 11), (90, 7))


def test_the_glucose_tolerance_test_has_units():
    observations = load_example("fsigt").observations
    assert [observations[name].unit for name in ("glucose", "plasma_insulin")] == ["mg/dL", "uU/mL"]


@pytest.mark.parametrize("name", ["fsigt", "icu_glucose", "reference"])
def test_a_dataset_says_where_it_comes_from(name):
    text = (ROOT / "datasets" / name / "README.md").read_text(encoding="utf-8")
    assert "**License.**" in text


def test_the_cohort_has_records_by_number():
    stays = load_example("icu_glucose")
    assert [(number, type(stay)) for number, stay in stays.items()] == [(i, Record) for i in range(1, STAYS + 1)]


@pytest.mark.parametrize("number", range(1, STAYS + 1))
def test_a_stay_lasts_two_to_three_days(number):
    stay = load_example("icu_glucose", stay=number)
    # The present is when something was last known: glucose every two hours at most, whenever the last infusion ends.
    assert 46 * 60 <= stay.end == stay.observations["glucose"].times[-1] <= 72 * 60


@pytest.mark.parametrize("number", range(1, STAYS + 1))
def test_a_stay_has_glucose_every_one_to_two_hours(number):
    gaps = np.diff(load_example("icu_glucose", stay=number).observations["glucose"].times)
    assert set(gaps) <= {60.0, 120.0}


@pytest.mark.parametrize("number", range(1, STAYS + 1))
def test_a_stay_has_insulin_and_feed_that_change(number):
    inputs = load_example("icu_glucose", stay=number).inputs
    assert all(inputs[name].steps()[0].size > 4 for name in ("insulin", "enteral_glucose"))


@pytest.mark.slow
def test_the_generator_makes_the_same_bytes_again(generator, tmp_path):
    generator.main(tmp_path)
    kept = {path.name: path.read_bytes() for path in (ROOT / "datasets" / "icu_glucose").glob("*.csv")}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == kept


def test_the_generator_makes_a_stay_again(generator, tmp_path):
    with generator.jax.enable_x64(True):
        generator.write_stay(tmp_path, 6)
    kept = ROOT / "datasets" / "icu_glucose" / "stay_6.csv"
    assert (tmp_path / "stay_6.csv").read_bytes() == kept.read_bytes()


def test_the_reference_tables_are_frames():
    tables = load_example("reference")
    assert {name: type(table) for name, table in tables.items()} == {
        "fsigt_refits": pd.DataFrame,
        "icing_steady_states": pd.DataFrame,
    }


def test_the_steady_states_name_secretions_that_exist():
    names = load_example("reference")["icing_steady_states"]["secretion"]
    assert [name for name in names if not hasattr(icing, name)] == []


def test_an_unknown_example_lists_the_known_ones():
    with pytest.raises(
        ValueError,
        match=r"no example 'fsight'; did you mean `fsigt`\? .*icu_glucose, septic_shock, ventilated_lung, reference",
    ):
        load_example("fsight")


def test_an_unknown_stay_says_which_there_are():
    with pytest.raises(ValueError, match=r"no stay 99; its stays are 1 to 8"):
        load_example("icu_glucose", stay=99)


def test_a_single_record_has_no_stays():
    with pytest.raises(ValueError, match="'fsigt' has no stays"):
        load_example("fsigt", stay=1)


def test_an_installation_without_data_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(storage, "__file__", str(tmp_path / "twinprob" / "storage.py"))
    with pytest.raises(FileNotFoundError, match="install twinprob again"):
        load_example("fsigt")


def test_the_data_inside_a_wheel_come_first(monkeypatch, tmp_path):
    bundled = tmp_path / "twinprob" / "datasets" / "fsigt"
    bundled.mkdir(parents=True)
    (bundled / "fsigt.csv").write_text("time,variable,value,unit\n0,glucose,5,mmol/L\n", encoding="utf-8")
    (tmp_path / "datasets").mkdir()
    monkeypatch.setattr(storage, "__file__", str(tmp_path / "twinprob" / "storage.py"))
    assert load_example("fsigt").observations["glucose"].values == [5.0]


def test_a_ventilated_stay_holds_plateaus_under_settings():
    stays = load_example("ventilated_lung")
    assert sorted(stays) == [1, 2, 3, 4]
    record = load_example("ventilated_lung", stay=1)
    assert record.observations["plateau_pressure"].unit == "cmH2O"
    assert not record.inputs["peep"].bolus.any()
    assert 4.0 <= record.inputs["peep"].at(60.0) <= 20.0
