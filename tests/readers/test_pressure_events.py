"""What line 05.6 is made of, on a record small enough to count by hand."""

import numpy as np
import pandas as pd
import pytest

import twinprob as tp
from tests.validation import v05_06
from twinprob.readers import hemodynamics

TIMES = np.array([0.0, 50.0, 70.0, 80.0, 118.0, 130.0, 400.0])


@pytest.fixture
def record():
    """Norepinephrine from 60 min, doubled at 300 min; 500 mL at 100 min, 100 mL slowly at 200 min."""
    given = tp.Inputs.infusions(
        "norepinephrine", [60.0, 300.0], [300.0, np.inf], [0.1, 0.2], "ug/kg/min", own=("norepinephrine",)
    )
    given = given | tp.Inputs.bolus("crystalloid", 100.0, 500.0, "mL", duration=30.0, own=("crystalloid",))
    given = given | tp.Inputs.infusions("crystalloid", 200.0, 400.0, 0.5, "mL/min", own=("crystalloid",))
    mean = (TIMES, 60.0 + np.arange(7.0), "mmHg")
    return tp.Record.build({v05_06.MAP: mean}, given, {"weight": (70.0, "kg")}, own=hemodynamics.NAMES)


def test_events_are_changes_of_the_rate_and_boluses(record):
    assert v05_06.events(record).tolist() == [60.0, 100.0, 300.0]


def test_a_pair_has_the_last_pressure_before_the_event_and_one_15_to_60_min_after(record):
    found = v05_06.pairs(record)
    rows = list(found[["origin", "time", "last", "value"]].itertuples(index=False, name=None))
    assert rows == [(60.0, 80.0, 61.0, 63.0), (60.0, 118.0, 61.0, 64.0), (100.0, 118.0, 63.0, 64.0),
                    (100.0, 130.0, 63.0, 65.0)]  # fmt: skip


def test_an_event_long_after_the_last_pressure_is_left_out(record):
    assert 300.0 not in v05_06.pairs(record)["origin"].to_numpy()


def test_a_pair_knows_the_dose_and_the_volume_up_to_its_measurement(record):
    found = v05_06.pairs(record)
    assert found[["before", "after"]].iloc[0].tolist() == [0.0, 0.1]
    np.testing.assert_allclose(found["volume"], [0.0, 300.0, 300.0, 500.0])


def frame(patients, moves):
    columns = {"patient": patients, "last": 70.0, "value": 70.0 + np.asarray(moves, float), "origin": 0.0, "time": 20.0}
    return pd.DataFrame({**columns, "before": 0.1, "after": 0.1, "volume": 0.0})


def test_the_empirical_interval_is_made_of_the_other_stays_each_counted_alike():
    drawn, weights = v05_06.empirical(frame([0, 1, 1, 2], [1.0, 2.0, 3.0, 4.0]))
    assert drawn[0].tolist() == [72.0, 73.0, 74.0]
    assert weights[0].tolist() == [0.5, 0.5, 1.0]


def test_the_linear_model_does_not_see_its_own_stay():
    known = frame([0, 1, 1, 2], [100.0, 2.0, 2.0, 2.0])
    assert v05_06.linear(known)[0] == pytest.approx(72.0)


def test_draws_that_are_right_are_hardly_widened():
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(20), 50)
    known = frame(patients, rng.normal(size=1000))
    drawn = [70.0 + rng.normal(size=2000) for _ in patients]
    _, factors = v05_06.widened(known, drawn)
    assert np.all(np.abs(np.array(factors) - 1.0) < 5 * 0.04)


def test_draws_half_as_wide_as_they_should_be_are_widened_twofold():
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(20), 50)
    known = frame(patients, rng.normal(size=1000))
    drawn = [70.0 + 0.5 * rng.normal(size=2000) for _ in patients]
    wide, factors = v05_06.widened(known, drawn)
    assert np.mean(factors) == pytest.approx(2.0, abs=5 * 0.08)
    assert np.median(wide[0]) == pytest.approx(np.median(drawn[0]))


def test_a_stay_is_not_widened_by_its_own_misses():
    rng = np.random.default_rng(0)
    patients = np.repeat([0, 1, 2], 50)
    moves = np.where(patients == 0, 50.0, rng.normal(size=150))
    _, factors = v05_06.widened(frame(patients, moves), [70.0 + rng.normal(size=2000) for _ in patients])
    assert factors[0] < 2.0 < factors[1]
