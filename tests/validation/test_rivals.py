"""The simple forecasters beside a twin: what they learn, and from whom."""

import numpy as np
import pandas as pd
import pytest

from tests.cases import OWN, Washout
from twinprob.models.respiratory import ChartedMechanics
from twinprob.patient.inputs import Inputs
from twinprob.patient.record import Record
from twinprob.validation.rivals import features, held, rivals, untreated

SPREAD = 0.05


def cohort(persons=12, each=20, seed=0) -> pd.DataFrame:
    """Pairs whose value returns halfway to 8 in logarithms, and falls by 0.1 per unit of a rate."""
    chance, rows = np.random.default_rng(seed), []
    for person in range(persons):
        last = np.exp(np.log(8.0) + 0.4 * chance.standard_normal(each))
        rate = chance.uniform(0.0, 3.0, each)
        value = np.exp(np.log(last) - 0.5 * np.log(last / 8.0) - 0.1 * rate + SPREAD * chance.standard_normal(each))
        columns = {"variable": "glucose", "horizon": "0.4–1.5 h", "hours_ahead": 1.0, "person": f"p{person}"}
        columns |= {
            "last": last,
            "trend": last,
            "smoothed": last,
            "own": 0.1,
            "usual": np.log(last),
            "move": 0.0,
            "rate insulin": rate,
            "value": value,
        }
        rows.append(pd.DataFrame(columns))
    return pd.concat(rows, ignore_index=True)


def medians(found) -> np.ndarray:
    return np.array([np.median(m) for m in found.members])


def test_the_regression_learns_return_to_the_mean_and_the_treatment():
    pairs = cohort()
    found = rivals(pairs)["regression"]
    expected = np.log(pairs["last"]) - 0.5 * np.log(pairs["last"] / 8.0) - 0.1 * pairs["rate insulin"]
    # 220 pairs and four slopes: a fitted value errs by the spread times sqrt(4/220) typically.
    assert np.abs(np.log(medians(found)) - expected).max() < 5 * SPREAD * np.sqrt(4 / 220)
    held = [
        np.quantile(m, 0.05) <= v <= np.quantile(m, 0.95) for m, v in zip(found.members, pairs["value"], strict=True)
    ]
    assert np.mean(held) == pytest.approx(0.9, abs=5 * np.sqrt(0.09 / len(pairs)))


@pytest.mark.parametrize("name", ["other patients", "smoothed", "linear on smoothed", "regression"])
def test_nothing_is_learned_from_the_persons_own_values(name):
    pairs = cohort(6)
    mine = (pairs["person"] == "p0").to_numpy()
    changed = pairs.assign(value=np.where(mine, 3.0 * pairs["value"], pairs["value"]))
    before, after = (rivals(x)[name].members for x in (pairs, changed))
    assert all(np.array_equal(before[i], after[i]) for i in np.flatnonzero(mine))
    assert not any(np.array_equal(before[i], after[i]) for i in np.flatnonzero(~mine))


def test_other_patients_move_the_last_value_by_their_own_factors():
    pairs = cohort(3, each=2)
    members = rivals(pairs)["other patients"].members[0]
    others = pairs[pairs["person"] != "p0"]
    assert np.sort(members) == pytest.approx(np.sort(pairs["last"][0] * others["value"] / others["last"]))


def test_a_cohort_of_one_person_teaches_nothing():
    found = rivals(cohort(1))
    assert all(np.isnan(m).all() for m in found["regression"].members + found["smoothed"].members)


def test_what_is_known_at_the_origin():
    given = Inputs.infusions("drive", [0.0, 90.0], [90.0, np.inf], [2.0, 5.0], "1/min", own=OWN)
    record = Record.build({"amount": ([0.0, 60.0, 120.0], [4.0, 8.0, 99.0], "1")}, given, own=OWN, start=0.0)
    pairs = pd.DataFrame({"variable": ["amount"], "unit": ["1"], "origin": [60.0], "time": [120.0]})
    found = features(Washout(), record, pairs).iloc[0]
    share = np.exp(-60.0 / 240.0)
    assert found["smoothed"] == pytest.approx((share * 4.0 + 8.0) / (share + 1.0))
    assert found["own"] == pytest.approx(np.log(2.0))
    assert found["rate drive"] == pytest.approx(2.0)


def test_a_row_charted_after_the_origin_is_not_known_there():
    late = Inputs.infusions("drive", [0.0], [np.inf], [2.0], "1/min", own=OWN, known=[100.0])
    record = Record.build({"amount": ([0.0, 60.0, 120.0], [4.0, 8.0, 9.0], "1")}, late, own=OWN, start=0.0)
    pairs = pd.DataFrame({"variable": ["amount"], "unit": ["1"], "origin": [60.0], "time": [120.0]})
    assert features(Washout(), record, pairs)["rate drive"].iloc[0] == 0.0


def test_what_is_measured_above_an_unknown_setting_is_unknown_and_not_above_zero():
    given = Inputs.settings("peep", [30.0], [10.0], "cmH2O")
    plateaus = {"plateau_pressure": ([0.0, 60.0, 120.0], [20.0, 26.0, 30.0], "cmH2O")}
    record = Record.build(plateaus, given, start=0.0)
    pairs = pd.DataFrame({"variable": "plateau_pressure", "unit": "cmH2O", "origin": [0.0, 60.0], "time": 120.0})
    found = features(ChartedMechanics(), record, pairs)["above peep"].to_numpy()
    assert np.isnan(found[0])
    assert found[1] == 26.0  # 16 above a PEEP of 10; of the first plateau nothing is known


def test_what_is_not_known_of_any_pair_says_nothing():
    pairs = cohort(8)
    bare = pairs.assign(own=np.nan, move=np.nan)  # alike for all pairs before
    before, after = (medians(rivals(x)["regression"]) for x in (pairs, bare))
    np.testing.assert_allclose(after, before, rtol=1e-6)


def test_treatment_is_switched_off_in_the_past_and_held_where_it_is_needed():
    given = Inputs.infusions("drive", [0.0, 90.0], [90.0, np.inf], [2.0, 5.0], "1/min", own=OWN)
    record = Record.build({"amount": ([0.0, 60.0], [4.0, 8.0], "1")}, given, own=OWN, start=0.0)
    still = held(given, ("drive",), 60.0)["drive"]
    assert (still.at(30.0), still.at(120.0)) == (2.0, 2.0)
    bare = untreated(Washout(), record, ("drive",))
    assert ("drive" in bare.inputs) == (Washout().quantities(Washout.Input)["drive"].default is None)
