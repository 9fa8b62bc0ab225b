import csv
import dataclasses

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from tests.twins import small_forecast, small_twin
from twinprob.presentation import export


@pytest.fixture(scope="module")
def twin():
    return small_twin()


@pytest.fixture(scope="module")
def ahead():
    return small_forecast()


def read(path):
    return pd.read_csv(path, comment="#")


def test_a_forecast_table_states_unit_level_and_draws_in_every_row(ahead, tmp_path):
    export.forecast_csv(ahead, tmp_path / "forecast.csv", ci_prob=0.8)
    stated = read(tmp_path / "forecast.csv")[["unit", "ci_prob", "ci_kind", "draws"]].drop_duplicates()
    assert stated.to_numpy().tolist() == [["mmol/L", 0.8, "eti", 400]]


def test_a_forecast_table_begins_with_what_it_is(ahead, tmp_path):
    export.forecast_csv(ahead, tmp_path / "forecast.csv")
    first, second = (tmp_path / "forecast.csv").read_text(encoding="utf-8").splitlines()[:2]
    assert ("times in min" in first, second) == (True, "# research software, not a medical device")


def test_a_forecast_table_holds_the_quantiles_of_the_draws(ahead, tmp_path):
    export.forecast_csv(ahead, tmp_path / "forecast.csv", ci_prob=0.8)
    draws = ahead.tree["predictions"]["glucose"].values.reshape(-1, ahead.times.size)
    table = read(tmp_path / "forecast.csv")[["lower", "median", "upper"]]
    np.testing.assert_allclose(table, np.quantile(draws, [0.1, 0.5, 0.9], axis=0).T, rtol=1e-5)


@pytest.mark.parametrize(("measured", "group"), [(True, "predictions"), (False, "predicted_outputs")])
def test_draws_come_back_in_their_order(ahead, tmp_path, measured, group):
    export.draws_csv(ahead, tmp_path / "draws.csv", measured=measured)
    table = read(tmp_path / "draws.csv")
    assert (table["unit"] == "mmol/L").all()
    found = table.set_index(["chain", "draw", "time"])["value"].to_xarray()
    np.testing.assert_allclose(found.values, ahead.tree[group]["glucose"].values, rtol=1e-5)


def test_a_parameter_that_varies_has_a_row_per_knot(twin):
    table = export.parameters_frame(twin)
    rows = table[table["parameter"] == "insulin_sensitivity"]
    np.testing.assert_array_equal(rows["time"], 60.0 * np.arange(10))


def test_a_parameter_table_holds_the_quantiles_of_the_draws(twin):
    table = export.parameters_frame(twin, ci_prob=0.5).set_index("parameter")
    expected = np.quantile(twin.tree["posterior"]["initial_glucose"].values, [0.25, 0.5, 0.75])
    np.testing.assert_allclose(table.loc["initial_glucose", ["lower", "median", "upper"]].astype(float), expected)


def test_a_parameter_table_gives_unit_and_source(twin, tmp_path):
    export.parameters_csv(twin, tmp_path / "parameters.csv")
    table = read(tmp_path / "parameters.csv").set_index("parameter")
    assert table.loc["endogenous_glucose_production", "unit"] == "mmol/min"
    assert table["source"].notna().sum() >= 4


def test_an_impossible_level_is_refused(twin):
    with pytest.raises(ValueError, match="`ci_prob` must be a number above 0 and below 1, but is 90"):
        export.parameters_frame(twin, ci_prob=90)


def test_a_table_that_cannot_be_written_leaves_the_old_one(ahead, tmp_path, monkeypatch):
    (tmp_path / "forecast.csv").write_text("old", encoding="utf-8")

    def fail(*args, **kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(pd.DataFrame, "to_csv", fail)
    with pytest.raises(OSError, match="no space left"):
        export.forecast_csv(ahead, tmp_path / "forecast.csv")
    assert [path.read_text(encoding="utf-8") for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_text_that_a_spreadsheet_would_compute_is_made_inert(twin, tmp_path, formula):
    tree = twin.tree.copy()
    tree["posterior"]["initial_glucose"].attrs |= {"units": formula, "source": formula}
    export.parameters_csv(dataclasses.replace(twin, tree=tree), tmp_path / "parameters.csv")
    with (tmp_path / "parameters.csv").open(newline="", encoding="utf-8") as file:
        row = next(row for row in csv.reader(file) if row[0] == "initial_glucose")
    shown = "'" + formula.replace("\r", " ")  # a carriage return would begin a row
    assert (row[2], row[-1]) == (shown, shown)


def test_numbers_below_zero_stay_numbers(ahead, tmp_path):
    tree, group = ahead.tree.copy(), ahead.group("predictions")
    below = group["glucose"].copy(data=np.full(group["glucose"].shape, -1.5))
    tree["predictions"] = xr.DataTree(group.assign(glucose=below))
    export.draws_csv(dataclasses.replace(ahead, tree=tree), tmp_path / "draws.csv")
    assert (read(tmp_path / "draws.csv")["value"] == -1.5).all()
