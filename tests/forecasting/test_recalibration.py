"""Forecasts widened by what became of earlier ones, against closed forms of normal distributions."""

import dataclasses

import jax
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.tank import NOISE, Tank, stay
from twinprob.forecasting.forecast import forecast
from twinprob.forecasting.recalibration import (
    Recalibration,
    Taught,
    learn_recalibration,
    recalibrate,
    standard,
    transported,
)
from twinprob.inference.fit import fit
from twinprob.inference.outcomes import GROUP, Outcomes
from twinprob.labels import tree
from twinprob.modeling.observation import Gaussian, Observation

LEVELS = np.array([-1.645, 0.0, 1.645])


def own(scores, ahead=60.0):
    count = len(scores)
    return Outcomes(60.0 * np.arange(count), np.full(count, ahead), stats.norm.cdf(scores), np.full(count, "level"))


def even(count):
    """Standard normal scores without chance."""
    return stats.norm.ppf((np.arange(count) + 0.5) / count)


@pytest.mark.parametrize("widening", [0.5, 1.0, 1.5])
def test_nothing_is_sharper_than_the_twin_without_own_forecasts(widening):
    state = Recalibration({"level": Taught({(-1, False): widening}, {(-1, False): 0.0})}).state("level", own([]))
    assert state.said(1.0)[0] >= max(1.0, widening)


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_many_own_forecasts_tell_the_factor(factor):
    scores = np.random.default_rng(0).permutation(factor * even(400))
    found, shift = Recalibration().state("level", own(scores)).said(1.0)
    assert found == pytest.approx(factor, rel=5 * 1 / np.sqrt(2 * 60))
    assert abs(shift) < 5 * factor / np.sqrt(60)


def test_two_own_forecasts_that_lay_close_are_no_evidence():
    assert Recalibration().state("level", own([0.3, -0.3])).said(1.0)[0] >= 1.0


def test_old_forecasts_fade():
    late = np.concatenate([2.0 * even(60), 1.0 * even(200)])
    early = np.concatenate([1.0 * even(200), 2.0 * even(60)])
    said = [Recalibration().state("level", own(scores)).said(1.0)[0] for scores in (late, early)]
    assert said[0] < 1.2 < 1.5 < said[1]


def test_draws_are_moved_as_a_normal_is():
    draws = 2.0 * even(2000)
    state = Recalibration({"level": Taught({(-1, False): 1.5}, {(-1, False): 0.5}, 1e-3, 1e-3)}).state("level", own([]))
    moved = transported(draws, state.at(1.0))
    assert np.allclose(np.quantile(moved, [0.05, 0.5, 0.95]), 2.0 * (0.5 + 1.5 * LEVELS), atol=0.05)
    assert np.array_equal(np.argsort(moved), np.argsort(draws))
    positive = transported(np.exp(even(2000)), state.at(1.0))
    assert np.all(positive > 0)


def test_each_class_of_horizons_and_changed_treatments_learn_their_own():
    chance, rows = np.random.default_rng(1), []
    for patient in range(60):
        for hours, changed, scale in ((1.0, False, 1.0), (1.0, True, 2.0), (5.0, False, 1.5)):
            pits = stats.norm.cdf(scale * chance.standard_normal(20))
            columns = {"patient": patient, "variable": "level", "hours_ahead": hours, "changed": changed, "pit": pits}
            rows.append(pd.DataFrame(columns))
    taught = learn_recalibration(pd.concat(rows)).taught["level"]
    found = taught.of([1.0, 1.0, 5.0], [False, True, False])[0]
    assert np.allclose(found, [1.0, 2.0, 1.5], rtol=5 / np.sqrt(2 * 1200))
    assert (taught.patients, taught.pairs) == (60, 3600)


def test_a_forecast_says_what_was_done():
    record, _ = stay(4)
    twin = fit(Tank(), record, key=jax.random.key(1))
    groups = {name: node.to_dataset() for name, node in twin.tree.children.items()}
    wide = dataclasses.replace(twin, tree=tree({**groups, GROUP: own(3 * even(30)).labeled()}, dict(twin.tree.attrs)))
    plain = forecast(twin, hours=2, every="1 h", key=jax.random.key(2))
    found = recalibrate(plain, wide)
    width = [np.diff(f.quantiles("level", [0.05, 0.95]), axis=0) for f in (plain, found)]
    assert np.all(width[1] > 1.5 * width[0])
    assert np.array_equal(
        found.quantiles("level", [0.5], measured=False), plain.quantiles("level", [0.5], measured=False)
    )
    assert "level: 90 % interval x " in repr(found)
    assert "30 own forecasts and 0 other patients" in repr(found)
    assert recalibrate(plain, twin).recalibration == ()
    with pytest.raises(ValueError, match="was recalibrated before"):
        recalibrate(found, wide)


def test_no_forecast_passes_a_limit_of_its_meter_widened_or_not():
    record, _ = stay(4)
    meter = Observation(Gaussian(additive=NOISE), upper=8.0)
    twin = fit(Tank(), record, observations={"level": meter}, key=jax.random.key(1))
    groups = {name: node.to_dataset() for name, node in twin.tree.children.items()}
    wide = dataclasses.replace(twin, tree=tree({**groups, GROUP: own(3 * even(30)).labeled()}, dict(twin.tree.attrs)))
    plain = forecast(twin, hours=2, every="1 h", key=jax.random.key(2))
    for found in (plain, recalibrate(plain, wide)):
        assert found.group("predictions")["level"].values.max() == 8.0
    assert plain.group("predicted_outputs")["level"].values.max() > 8.0


def test_a_table_without_pits_is_refused():
    with pytest.raises(ValueError, match="needs column `pit`"):
        learn_recalibration(pd.DataFrame({"patient": [1], "variable": ["x"], "hours_ahead": [1.0]}))
    assert np.all(np.isfinite(standard([0.0, 1.0])))
