"""Forecasts moved by others' errors and the patient's own, and averaged with a regression's, in made-up cohorts."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from twinprob.validation.adapted import recalibrated, stacked
from twinprob.validation.rivals import Forecasts

LEVELS = (np.arange(400) + 0.5) / 400
OTHERS, EACH = 8, 20


def cohort(persons=OTHERS, each=EACH, seed=0) -> pd.DataFrame:
    """Standard normal values about zero, forecast one hour ahead, each known ten minutes after it was taken."""
    chance = np.random.default_rng(seed)
    person = np.repeat([f"p{i}" for i in range(persons)], each)
    origin = np.tile(60.0 * np.arange(each), persons)
    columns = {"patient": person, "person": person, "variable": "y", "horizon": "0.4–1.5 h", "hours_ahead": 1.0}
    columns |= {"origin": origin, "time": origin + 60.0, "known": origin + 70.0, "changed": False}
    return pd.DataFrame(columns | {"value": chance.standard_normal(persons * each)})


def forecasts(pairs, sd) -> list[np.ndarray]:
    return [norm.ppf(LEVELS) * sd for _ in range(len(pairs))]


def coverage(members, values) -> float:
    return float(
        np.mean([np.quantile(m, 0.05) <= v <= np.quantile(m, 0.95) for m, v in zip(members, values, strict=True)])
    )


@pytest.fixture(scope="module")
def pairs():
    return cohort()


@pytest.fixture(scope="module")
def narrow(pairs):
    return recalibrated(pairs, forecasts(pairs, 0.5))


def test_a_twin_whose_intervals_are_half_as_wide_is_widened_to_what_holds(pairs, narrow):
    # .59 of values lie within .5 x 1.645. Standard errors of 160 values.
    assert coverage(forecasts(pairs, 0.5), pairs["value"]) == pytest.approx(0.589, abs=4 * 0.039)
    assert coverage(narrow.members, pairs["value"]) == pytest.approx(0.9, abs=4 * 0.024)


def test_a_right_twin_is_never_sharpened_and_soon_hardly_widened(pairs):
    found = recalibrated(pairs, forecasts(pairs, 1.0)).members
    factors = np.array([np.ptp(np.quantile(m, [0.05, 0.95])) for m in found]).reshape(OTHERS, EACH).mean(axis=0) / 3.29
    # How wrong this patient's own intervals are is not known at first: its factor's spread is 0.7 in logarithms.
    assert factors.min() > 0.98
    assert factors[-5:].mean() < 1.2
    assert factors[-5:].mean() < factors[0]


def test_no_forecast_uses_what_was_not_known_at_its_origin(pairs, narrow):
    mine = (pairs["person"] == "p3").to_numpy()
    later = mine & (pairs["known"] > 600.0).to_numpy()
    changed = pairs.assign(value=np.where(later, pairs["value"] + 5.0, pairs["value"]))
    found = recalibrated(changed, forecasts(changed, 0.5))
    early = np.flatnonzero(mine & (pairs["origin"] <= 600.0))
    assert all(np.array_equal(found.members[i], narrow.members[i]) for i in early)
    after = np.flatnonzero(mine & (pairs["origin"] > 1000.0))
    high = [np.quantile(x.members[i], 0.95) for x in (found, narrow) for i in after]
    assert all(a > b + 0.1 for a, b in zip(high[: len(after)], high[len(after) :], strict=True))


def test_a_patient_alone_learns_from_its_own_errors():
    own = cohort(1, 50)
    found = recalibrated(own, forecasts(own, 0.4)).members
    widths = [np.ptp(np.quantile(m, [0.05, 0.95])) for m in found]
    assert widths[-1] > 1.5 * 2 * 1.645 * 0.4  # two and a half times would be right
    assert coverage(found[10:], own["value"].to_numpy()[10:]) > 0.9 - 3 * 0.047


def test_the_stack_takes_what_served_others_and_never_the_persons_own_values(pairs):
    chance = np.random.default_rng(1)
    value = pairs["value"].to_numpy()
    good = Forecasts([v + 0.3 * chance.standard_normal() + 0.3 * norm.ppf(LEVELS) for v in value], [None] * len(value))
    poor = Forecasts([norm.ppf(LEVELS) for _ in value], [None] * len(value))
    found = stacked(pairs, good, poor)
    assert np.corrcoef([np.median(m) for m in found.members], value)[0, 1] > 0.9
    mine = np.flatnonzero(pairs["person"] == "p2")
    moved = pairs.assign(value=np.where(pairs["person"] == "p2", -9.0, pairs["value"]))
    again = stacked(moved, good, poor)
    assert all(np.array_equal(found.members[i], again.members[i]) for i in mine)


def test_two_equal_errors_are_averaged(pairs):
    # Independent errors of one size: half and half is best, and a mean of normals' quantiles is a normal's.
    chance = np.random.default_rng(2)
    value = pairs["value"].to_numpy()
    one, other = (
        Forecasts([v + chance.standard_normal() + norm.ppf(LEVELS) for v in value], [None] * len(value)) for _ in "ab"
    )
    found = stacked(pairs, one, other)
    middle = [0.5 * (np.median(a) + np.median(b)) for a, b in zip(one.members, other.members, strict=True)]
    away = np.abs(np.array([np.median(m) for m in found.members]) - middle)
    apart = np.abs([np.median(a) - np.median(b) for a, b in zip(one.members, other.members, strict=True)])
    assert np.mean(away) <= 0.21 * np.mean(apart)  # a share between .3 and .7


def test_where_the_regression_is_silent_the_twin_stands(pairs):
    twin = Forecasts(forecasts(pairs, 1.0), [None] * len(pairs))
    silent = Forecasts([np.full(1, np.nan)] * len(pairs), [None] * len(pairs))
    found = stacked(pairs, twin, silent).members
    assert np.max(np.abs(np.quantile(found[0], [0.05, 0.5, 0.95]) - [-1.645, 0.0, 1.645])) < 0.03
