"""What a diagnosis says of residuals, against distributions known in closed form, and of values that do not move."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.stats

import twinprob as tp
from tests.cases import OWN, Washout
from tests.diagnostics.test_diagnose import edited, finding
from tests.inference.test_fit import record, twin  # noqa: F401  fixtures shared with the fit's tests
from tests.twins import QUICK
from twinprob.diagnostics.misfit import _far_off, held, misfit

DRAWS = 20_000


def replicates(count, seed=0, df=None):
    chance = np.random.default_rng(seed)
    return chance.normal(size=(DRAWS, count)) if df is None else chance.standard_t(df, size=(DRAWS, count))


@pytest.mark.parametrize("count", [1, 2, 4, 8, 40])
def test_a_sum_of_squares_is_judged_by_its_own_chi_square(count):
    limit = np.sqrt(scipy.stats.chi2.isf(0.004, count) / count)
    drawn, side = replicates(count), np.zeros(count)
    verdicts = [_far_off("fit", np.full(count, limit * f), side, drawn).verdict for f in (0.85, 1.1)]
    # 40 equal residuals of this size are as far off together, though none is far off by itself.
    assert verdicts == ["trustworthy", "use with care"]


@pytest.mark.parametrize("df", [None, 4])
@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_values_ten_deviations_off_are_not_trusted_however_few(count, df):
    found = _far_off("fit", np.full(count, 10.0), np.zeros(count), replicates(count, df=df))
    assert found.verdict != "trustworthy"
    assert f"Residuals ({count}): root mean square" in found.evidence


def test_sound_values_are_seldom_suspected():
    drawn, chance = replicates(4), np.random.default_rng(1)
    found = [_far_off("fit", chance.normal(size=4), np.zeros(4), drawn).verdict for _ in range(300)]
    assert found.count("trustworthy") >= 300 - scipy.stats.binom.ppf(0.999, 300, 0.01)


@pytest.mark.parametrize(("side", "verdict"), [(1, "do not use"), (-1, "trustworthy")])
def test_a_limit_is_a_residual_only_where_the_prediction_lies_on_its_other_side(side, verdict):
    assert _far_off("fit", np.full(3, 10.0), np.full(3, side), replicates(3)).verdict == verdict


@pytest.mark.slow
@pytest.mark.parametrize("noise", [tp.Gaussian(additive=0.2), tp.StudentT(additive=0.2)])
def test_four_values_where_the_model_has_nothing_are_refused(noise):
    model = Washout().vary(rate=None).free(first=dist.LogNormal(np.log(1e-4), 0.01))
    few = tp.Record.build({"amount": ([60.0, 120.0, 240.0, 360.0], [3.5, 2.6, 1.4, 0.8], "1")}, own=OWN, start=0.0)
    twin = tp.fit(model, few, key=jax.random.key(0), method=QUICK, observations={"amount": tp.Observation(noise)})  # noqa: F811
    assert finding(twin, "fit: amount").verdict == "do not use"
    assert tp.diagnose(twin).headline.startswith("do not use. First look at: ")


@pytest.mark.slow
def test_a_fit_says_which_output_is_zero_where_something_was_measured():
    class Empty(Washout):
        def initial(self, inputs):
            return self.State(amount=jnp.asarray(0.0 * self.first))

    few = tp.Record.build({"amount": ([60.0, 120.0], [3.5, 2.6], "1")}, own=OWN, start=0.0)
    with pytest.raises(RuntimeError, match=r"`Empty` predicts 0 for `amount` at 60 min.*from every start.*relative"):
        tp.fit(Empty(), few, key=jax.random.key(0), method=QUICK)


# ---- values that do not move ---------------------------------------------------------------------------------------


def seen(twin, values, limits=None, spacing=1.0):  # noqa: F811
    times = spacing * np.arange(1, len(values) + 1)
    record = tp.Record.build({"glucose": (times, values, "mmol/L", limits)})  # noqa: F811
    return dataclasses.replace(twin, record=record)


@pytest.mark.parametrize("value", [9.0, 8.7, 7.31, 10.0, 20.0])
def test_a_value_held_for_an_hour_is_flagged(twin, value):  # noqa: F811
    (found,) = held(seen(twin, np.full(60, value)))
    assert (found.subject, found.verdict) == ("held value: glucose", "use with care")
    assert "60 values in a row, from 1 to 60 min" in found.evidence


def test_a_held_stretch_within_moving_values_is_flagged(twin):  # noqa: F811
    values = np.concatenate([[8.1, 8.4, 7.9], np.full(10, 8.2), [8.8, 8.3]])
    assert "10 values in a row, from 4 to 13 min" in held(seen(twin, values))[0].evidence


@pytest.mark.parametrize("values", [[9.0], [9.0, 9.0, 9.0], [9.0, 8.0, 9.0, 9.0, 10.0, 9.0], 8 + np.arange(9.0) / 10])
def test_values_that_agree_by_chance_are_not_flagged(twin, values):  # noqa: F811
    assert held(seen(twin, np.asarray(values))) == []


def test_censored_values_are_no_held_ones(twin):  # noqa: F811
    assert held(seen(twin, np.full(60, 2.0), np.full(60, -1))) == []


def test_repeats_that_are_declared_are_not_flagged(twin):  # noqa: F811
    how = {"glucose": tp.Observation(tp.Gaussian(relative=0.05), repeats=tp.Repeats(within=2.0, correlation=0.99))}
    assert held(dataclasses.replace(seen(twin, np.full(60, 9.0)), observations=how)) == []


# ---- what a verdict holds for --------------------------------------------------------------------------------------


def test_a_headline_names_what_it_holds_for_and_what_it_does_not(twin):  # noqa: F811
    diagnosis = dataclasses.replace(tp.diagnose(twin), findings=(tp.Finding("fit", "trustworthy", ""),))
    assert diagnosis.headline.startswith("trustworthy for glucose, treated as so far")
    never = dataclasses.replace(twin, record=dataclasses.replace(twin.record, inputs=tp.Inputs()))
    assert "the response to insulin, which never changed" in tp.diagnose(never).open


def test_the_age_of_the_last_measurement_is_said_and_judged(twin):  # noqa: F811
    fresh = finding(twin, "last measurement: glucose")
    old = dataclasses.replace(twin, record=dataclasses.replace(twin.record, end=twin.now + 2760.0))
    found = finding(old, "last measurement: glucose")
    assert (fresh.verdict, found.verdict) == ("trustworthy", "use with care")
    assert f"{(old.now - twin.record.observations['glucose'].times[-1]) / 60:.3g} h before" in found.evidence


def test_draws_that_failed_do_not_hide_a_misfit(twin):  # noqa: F811
    drawn = twin.group("posterior_predictive")["glucose"]
    values = drawn.values.copy()
    values[0, :5] = np.nan
    far = twin.group("observed_data")["glucose"] * 5
    spoiled = edited(twin, posterior_predictive={"glucose": (drawn.dims, values)}, observed_data={"glucose": far})
    assert misfit(spoiled)[0].verdict == "do not use"
