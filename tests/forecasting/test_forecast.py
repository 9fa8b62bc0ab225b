import dataclasses

import jax
import numpy as np
import numpyro.distributions as dist
import pytest

import twinprob as tp
from tests.inference.test_fit import record, twin  # noqa: F401  fixtures shared with the fit's tests
from tests.tank import DECAY, Tank, beliefs, stay
from tests.twins import QUICK

KEY = jax.random.key(7)


@pytest.fixture(scope="module")
def ahead(twin):  # noqa: F811
    return tp.forecast(twin, hours=4, key=KEY)


def test_the_fan_widens_with_time(ahead):
    low, high = ahead.quantiles("glucose", [0.05, 0.95])
    assert (high - low)[-1] > 1.2 * (high - low)[0]


def test_measurements_scatter_around_outputs_by_the_meters_error(ahead):
    clean, noisy = (ahead.group(group)["glucose"].values for group in ("predicted_outputs", "predictions"))
    scatter = np.std((noisy - clean) / clean, axis=(0, 1))
    np.testing.assert_allclose(scatter, 0.05, atol=5 * 0.05 / np.sqrt(2 * 400))


def test_the_summary_states_level_draws_and_error(ahead):
    frame = ahead.summary(ci_prob=0.8)
    assert set(frame["ci_prob"]) == {0.8}
    assert set(frame["draws"]) == {400}
    assert (frame["mcse_median"] > 0).all()
    assert set(frame["unit"]) == {"mmol/L"}


def test_the_same_key_gives_the_same_forecast(twin, ahead):  # noqa: F811
    again = tp.forecast(twin, hours=4, key=KEY)
    np.testing.assert_array_equal(again.group("predictions")["glucose"], ahead.group("predictions")["glucose"])


def test_more_insulin_lowers_glucose(twin, ahead):  # noqa: F811
    more = tp.forecast(twin, hours=4, key=KEY, inputs=tp.Inputs.constant(insulin=(8.0, "U/h")))
    assert more.quantiles("glucose", 0.5)[-1] < ahead.quantiles("glucose", 0.5)[-1] - 0.3


def test_inputs_not_named_run_on(twin, ahead):  # noqa: F811
    same = tp.forecast(twin, hours=4, key=KEY, inputs=tp.Inputs.constant(enteral_glucose=(0.6, "mmol/min")))
    np.testing.assert_allclose(same.quantiles("glucose", 0.5), ahead.quantiles("glucose", 0.5), rtol=1e-12)


def test_a_forecast_to_the_next_instant_starts_from_the_twins_state(twin):  # noqa: F811
    soon = tp.forecast(twin, times=[twin.now + 1e-6], key=KEY)
    output = soon.group("predicted_outputs")["glucose"].values[..., 0]
    np.testing.assert_allclose(output, twin.group("state")["glucose"].values, rtol=1e-6)


def test_draws_that_cannot_be_solved_are_counted_and_left_out(twin, ahead):  # noqa: F811
    state = twin.group("state")
    glucose = state["glucose"].values.copy()
    glucose[0, :3] = np.nan
    broken = dataclasses.replace(twin, tree=twin.tree.copy())
    broken.tree["state"] = state.assign(glucose=(state["glucose"].dims, glucose))
    found = tp.forecast(broken, hours=4, key=KEY)
    values = found.group("predictions")["glucose"].values
    assert (ahead.solves_failed, found.solves_failed) == (0, 3)
    assert (np.isnan(values[0, :3]).all(), np.isnan(values).sum()) == (True, 3 * values.shape[-1])
    rest = ahead.group("predictions")["glucose"].values.reshape(-1, values.shape[-1])[3:]
    np.testing.assert_allclose(found.quantiles("glucose", [0.1, 0.9]), np.quantile(rest, [0.1, 0.9], axis=0))


def test_times_in_the_past_are_refused(twin):  # noqa: F811
    with pytest.raises(ValueError, match="after the twin's present, 720 min"):
        tp.forecast(twin, times=[700.0], key=KEY)


def test_hours_and_times_together_are_refused(twin):  # noqa: F811
    with pytest.raises(ValueError, match="either `hours` or `times`"):
        tp.forecast(twin, hours=2, times=[800.0], key=KEY)


def test_an_unknown_input_is_named(twin):  # noqa: F811
    plan = tp.Inputs.constant(own=("insulim",), insulim=(1.0, "U/h"))
    with pytest.raises(ValueError, match="no input `insulim`; did you mean `insulin`"):
        tp.forecast(twin, hours=2, key=KEY, inputs=plan)


def test_a_moving_parameter_goes_on_from_its_last_knot():
    # half an hour after the last knot, so that it still acts in the first forecast
    tank = tp.fit(Tank(), stay(6, seed=3)[0].until(330), key=jax.random.key(1), method=QUICK)
    _, base, supply, level = beliefs(tank).T
    ahead = tp.forecast(tank, times=[345.0, 360.0, 420.0, 570.0], key=KEY)
    found = ahead.group("predicted_outputs")["level"].values.reshape(len(level), -1)
    fade = np.exp(-DECAY * (ahead.times - tank.now))
    expected = level[:, None] * fade + (supply[:, None] + 0.05) / DECAY * (1 - fade)
    np.testing.assert_allclose(found[:, :2], expected[:, :2], rtol=1e-6)  # later knots have its value as their mean
    kicked = found - expected
    error = kicked.std(axis=0) / np.sqrt(len(level))
    assert np.all(np.abs(kicked.mean(axis=0)) <= 5 * error + 1e-6)
    assert np.abs(np.mean(supply - base)) / DECAY * (1 - fade[-1]) > 10 * error[-1]  # a path from its base would show


# ---- risk ------------------------------------------------------------------------------------------------------------


def test_risk_counts_draws_that_cross_at_any_time(ahead):
    values = ahead.group("predicted_outputs")["glucose"].values.reshape(400, -1)
    inside = ahead.times <= ahead.now + 120.0
    limit = float(np.median(values[:, inside].max(axis=1)))
    found = tp.risk(ahead, f"glucose > {limit} mmol/L", hours=2)
    assert found.probability == np.mean((values[:, inside] > limit).any(axis=1))


def test_risk_converts_units(ahead):
    assert tp.risk(ahead, "glucose < 126.112 mg/dL").probability == tp.risk(ahead, "glucose < 7 mmol/L").probability


def test_an_impossible_event_still_has_a_monte_carlo_error(ahead):
    found = tp.risk(ahead, "glucose < 0.6 mmol/L")
    assert found.probability == 0.0
    assert 0 < found.mcse < 0.05


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ("glucose below 4", "must read like"),
        ("glucos < 4 mmol/L", "no variable `glucos`; did you mean `glucose`"),
        ("glucose < 4", "has no unit"),
    ],
)
def test_an_unreadable_event_is_refused(ahead, event, message):
    with pytest.raises(ValueError, match=message):
        tp.risk(ahead, event)


def test_a_horizon_beyond_the_forecast_is_refused(ahead):
    with pytest.raises(ValueError, match="reaches 4 h ahead"):
        tp.risk(ahead, "glucose < 4 mmol/L", hours=6)


def test_draws_that_run_away_are_failed_solves_and_not_glucose():
    # Uptake of a unit per minute is too fast for steps of five minutes: some of these patients grow without bound.
    fast = tp.models.metabolic.ICING().free(insulin_sensitivity=dist.LogNormal(np.log(0.02), 1.0))
    given = tp.Inputs.constant(insulin=(5.0, "U/h"), enteral_glucose=(0.5, "mmol/min"))
    new = tp.fit(fast, tp.Record.admission(inputs=given), key=jax.random.key(0), method=QUICK)
    ahead = tp.forecast(new, hours=4, key=KEY)
    glucose = ahead.group("predictions")["glucose"].values
    gone = np.isnan(glucose).all(axis=-1)
    assert 0 < gone.sum() < gone.size
    assert ahead.solves_failed == gone.sum()
    assert np.nanmax(np.abs(glucose)) < 2 * 800


def test_a_summary_counts_hours_from_the_present_and_holds_the_probability_asked_for(twin):  # noqa: F811
    ahead = tp.forecast(twin, hours=2, every="1 h", key=jax.random.key(0))
    frame = ahead.summary(ci_prob=0.5)
    assert frame["hours_ahead"].tolist() == pytest.approx([1.0, 2.0])
    draws = ahead.group("predictions")["glucose"].values.reshape(-1, 2)
    assert frame["lower"].to_numpy() == pytest.approx(np.quantile(draws, 0.25, axis=0))
    assert frame["upper"].to_numpy() == pytest.approx(np.quantile(draws, 0.75, axis=0))
