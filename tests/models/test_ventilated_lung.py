"""The synthetic ventilated stays: made again byte for byte, and read."""

import importlib.util

import pandas as pd
import pytest

import twinprob as tp
from tests import ROOT

FOLDER = ROOT / "datasets" / "ventilated_lung"


@pytest.mark.slow
def test_the_generator_makes_the_same_bytes_again(tmp_path):
    spec = importlib.util.spec_from_file_location("generate", FOLDER / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(tmp_path)
    kept = {path.name: path.read_bytes() for path in FOLDER.glob("*.csv")}
    assert kept == {path.name: path.read_bytes() for path in tmp_path.glob("*.csv")}


def read(number):
    """Return the record of one stay: measurements as they stand, settings as inputs that hold from start to end."""
    table = pd.read_csv(FOLDER / f"stay_{number}.csv")
    seen = {
        name: (part["time"], part["value"], part["unit"].iloc[0])
        for name, part in table.dropna(subset="time").groupby("variable")
    }
    given = tp.Inputs()
    for name, part in table.dropna(subset="start").groupby("variable"):
        starts, ends, rates = (part[column].to_numpy() for column in ("start", "end", "rate"))
        given = given | tp.Inputs.infusions(str(name), starts, ends, rates, part["unit"].iloc[0])
    return tp.Record.build(seen, given)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_every_plateau_is_above_its_peep(number):
    record = read(number)
    assert set(record.inputs.names) == {"peep", "tidal_volume", "respiratory_rate", "inspired_oxygen"}
    series = record.observations["plateau_pressure"]
    above = series.values > record.inputs["peep"].at(series.times - 1.0)
    assert (series.times.size, bool(above.all())) == (12, True)
