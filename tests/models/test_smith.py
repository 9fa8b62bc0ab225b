"""The six-chamber model: golden beat, what it keeps, its septum, its valves, and gradients through the steady beat."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq

from twinprob.models.cardiovascular import SixChamber
from twinprob.models.cardiovascular.chambers import Chambers, Form, pressures
from twinprob.models.cardiovascular.smith import KEPT, START, beat, steady_beat, summarize, traced

HEART = SixChamber().heart()


@pytest.fixture(scope="module")
def found():
    """A function of heart and volume: the steady beat and its summary."""

    def both(heart, volume):
        shown = steady_beat(heart, volume)
        return shown, summarize(heart, shown)

    return jax.jit(both)


@pytest.fixture(scope="module")
def simulated():
    """The last of 53 beats with the valves of the paper, and the volume at every step of them."""
    form = Form(published_valves=True)
    _, path = jax.jit(lambda h: beat(h, START, form=form, steps=750, beats=53))(HEART)
    return summarize(HEART, traced(HEART, path[-1], form=form)), np.asarray(path) @ np.asarray(KEPT)


@pytest.mark.slow
def test_the_nominal_beat_has_its_golden_values(found):
    summary = found(HEART, 1500.0)[1]
    golden = {
        "left_end_diastolic": 111.67, "left_end_systolic": 45.67, "right_end_diastolic": 112.08, "stroke_volume": 66.0,
        "aortic_systolic": 116.50, "aortic_diastolic": 79.04, "pulmonary_mean": 15.66, "right_peak": 26.22,
    }  # fmt: skip
    for name, value in golden.items():
        assert float(getattr(summary, name)) == pytest.approx(value, rel=2e-3), name


@pytest.mark.slow
def test_the_beat_found_is_the_one_that_simulation_comes_to(found, simulated):
    steady, long = found(HEART, float(simulated[1][0, 0]))[1], simulated[0]
    for name in steady._fields:
        assert float(getattr(steady, name)) == pytest.approx(float(getattr(long, name)), rel=2e-3), name


def test_no_blood_is_lost_in_forty_seconds(simulated):
    volumes = simulated[1]
    assert np.abs(volumes / volumes[0, 0] - 1.0).max() < 1e-10


@pytest.mark.slow
@pytest.mark.parametrize("volume", [700.0, 1500.0, 2500.0])
def test_the_beat_closes_and_keeps_the_volume_asked_for(found, volume):
    shown = found(HEART, volume)[0]
    assert float(shown.error) < 1e-6
    totals = sum(np.asarray(x) for x in shown.chambers[:6])
    np.testing.assert_allclose(totals, volume, rtol=1e-9)


def test_draws_from_the_prior_have_a_beat(found):
    model = SixChamber()
    for key in jax.random.split(jax.random.key(0), 5):
        keys = jax.random.split(key, len(model.unknowns()))
        drawn = {name: model.prior(name).sample(k) for name, k in zip(model.unknowns(), keys, strict=True)}
        shown, summary = found(
            model.install(tuple(drawn), jnp.stack(list(drawn.values()))).heart(), float(drawn["initial_volume"])
        )
        assert float(shown.error) < 1e-6
        assert all(np.isfinite(float(value)) for value in summary)


def test_closed_valves_let_nothing_back(found):
    shown = found(HEART, 1500.0)[0]
    x, P = shown.chambers, shown.pressures
    assert np.all(np.maximum(np.asarray(x.aortic), 0.0)[np.asarray(P.left_ventricle < P.aorta - 20.0)] == 0.0)


@pytest.mark.parametrize(("time", "left", "right"), [(0.0, 110.0, 112.0), (0.375, 50.0, 60.0), (0.3, 100.0, 90.0)])
def test_the_septum_stands_where_a_search_in_scipy_finds_its_balance(time, left, right):
    e = np.exp(-80.0 * (time - 0.375) ** 2)

    def wall(V, elastance, dead, P_0, stiffness, V_0):
        return e * elastance * (V - dead) + (1 - e) * P_0 * (np.exp(stiffness * (V - V_0)) - 1)

    def imbalance(V):
        return (
            wall(V, 48.754, 2.0, 1.1101, 0.435, 2.0)
            - wall(left - V, 2.8798, 0.0, 0.1203, 0.033, 0.0)
            + wall(right + V, 0.585, 0.0, 0.2157, 0.023, 0.0)
        )

    expected = brentq(imbalance, -60.0, 60.0)
    state = Chambers(*jnp.array([left, right, 43.0, 800.0, 130.0, 330.0, 0.0, 0.0, 0.0, 0.0, expected + 0.4]))
    assert float(pressures(HEART, time, state).septum) == pytest.approx(expected, abs=1e-4)


def test_more_intrathoracic_pressure_costs_flow(found):
    free, pressed = (found(HEART | {"intrathoracic_pressure": jnp.asarray(p, float)}, 1500.0)[1] for p in (-4.0, 0.0))
    assert float(pressed.cardiac_output / free.cardiac_output) == pytest.approx(0.81, abs=0.01)


@pytest.mark.slow
def test_gradients_through_the_steady_beat_equal_finite_differences(found):
    names = ("left_elastance", "systemic_resistance", "heart_rate")

    def shown(summary):
        return jnp.stack([summary.aortic_mean, summary.central_venous])

    def stroke(x):
        heart = SixChamber().install(names, x[:3]).heart()
        return shown(summarize(heart, steady_beat(heart, x[3])))

    x = np.array([2.8798, 1.0889, 80.0, 1500.0])
    backward = np.asarray(jax.jit(jax.jacrev(stroke))(x))
    for i, value in enumerate(x):
        h = 1e-4 * value * np.eye(4)[i]
        ends = [found(SixChamber().install(names, y[:3]).heart(), float(y[3]))[1] for y in (x + h, x - h)]
        slope = np.asarray((shown(ends[0]) - shown(ends[1])) / (2e-4 * value))
        np.testing.assert_allclose(backward[:, i], slope, rtol=1e-3, atol=1e-6)


def test_given_volume_mixes_in_and_stays():
    model = SixChamber()
    inputs = model.Input(*(jnp.asarray(x) for x in (200.0, 1.0, 50.0, -4.0)))
    slope = model.vector_field(0.0, model.State(jnp.asarray(1500.0)), inputs)
    assert float(slope.stressed_volume) == pytest.approx(150.0)
    assert float(model.initial(inputs).stressed_volume) == pytest.approx(1650.0)
