import dataclasses

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix
import pytest

import twinprob as tp
from tests.cases import OWN, Logistic, Stiff, Washout, washout
from twinprob.dynamics.integrators import Adaptive, FixedStep
from twinprob.dynamics.segments import build, drives
from twinprob.dynamics.simulate import borders, layout_of, simulate, timeline_of
from twinprob.patient.inputs import Inputs

NOTHING = Inputs({})
PUMP = Inputs.infusions("drive", [13.0, 101.5], [101.5, 150.0], [0.3, 0.05], "1/min", own=OWN)
TIMES = np.array([0.0, 10.0, 101.5, 160.0, 240.0])


def test_the_closed_form_of_a_washout_is_met_across_change_times():
    seen = simulate(Washout().fix(rate=0.01, first=3.0), PUMP, TIMES).output.amount
    expected = washout(TIMES, 0.01, 3.0, (0.0, 13.0, 101.5, 150.0), (0.0, 0.3, 0.05, 0.0))
    np.testing.assert_allclose(seen, expected, rtol=1e-8)


def test_fixed_steps_are_of_fourth_order():
    model, times = Logistic().fix(rate=0.05, first=0.1), np.array([0.0, 80.0])
    exact = 1 / (1 + 9 * np.exp(-0.05 * 80.0))
    errors = [
        abs(float(simulate(model, NOTHING, times, integrator=FixedStep(refine=n)).output.size[-1]) - exact)
        for n in (1, 2, 4)
    ]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.all(np.abs(orders - 4) < 0.4), orders


def test_the_estimated_error_bounds_the_true_one():
    times = np.linspace(0.0, 120.0, 7)
    seen = simulate(Logistic().fix(rate=0.08, first=0.1), NOTHING, times)
    exact = 1 / (1 + 9 * np.exp(-0.08 * times))
    assert np.all(np.abs(seen.output.size - exact) <= seen.error.size + 1e-12)


@pytest.mark.parametrize("rate", [1e300, -1e300, np.nan, np.inf, 1e6])
def test_an_absurd_parameter_is_a_failed_solve_with_a_finite_gradient(rate):
    model = Washout().fix(first=3.0)

    def last(rate):
        seen = simulate(dataclasses.replace(model, rate=rate), PUMP, TIMES)
        return seen.output.amount[-1], seen.solved

    (value, solved), gradient = jax.value_and_grad(last, has_aux=True)(jnp.asarray(rate))
    assert not solved
    assert np.isfinite(value)
    assert np.isfinite(gradient)


def test_a_stiff_model_is_solved_by_an_implicit_adaptive_integrator():
    implicit = Adaptive(
        rtol=1e-8, atol=1e-10, solver=diffrax.Kvaerno5(root_finder=optimistix.Newton(rtol=1e-8, atol=1e-10))
    )
    model, times = Stiff().fix(speed=1e4, rate=0.01), np.array([0.0, 30.0, 120.0])
    seen = simulate(model, NOTHING, times, integrator=implicit)
    exact = 1e4 / (1e4 - 0.01) * (np.exp(-0.01 * times) - np.exp(-1e4 * times))
    assert seen.solved
    np.testing.assert_allclose(seen.output.fast, exact, atol=1e-7)


def test_a_stiff_model_fails_as_a_value_with_fixed_steps():
    assert not simulate(Stiff().fix(speed=1e4, rate=0.01), NOTHING, np.array([0.0, 120.0])).solved


@pytest.fixture(scope="module")
def crossing():
    """A function of start, values, inputs and a known constant that goes through `borders` alone, and a point."""
    model = Washout().fix(first=3.0)
    segments, _ = build(model, drives(model, PUMP, {}), 0.0, 240.0, TIMES)
    layout, timeline = layout_of(segments, ("rate",)), jnp.asarray(timeline_of(segments))
    wave = jnp.linspace(0.5, 1.5, len(segments.start))

    class Heavy(Washout):
        def vector_field(self, time, state, inputs):
            return self.State(amount=inputs.drive - self.rate * state.amount * self.weight / 70.0)

    heavy = Heavy().fix(first=3.0)

    @jax.jit
    def total(point):
        states, _ = borders(
            point[:1],
            (point[1] * wave)[:, None],
            timeline.at[:, 2].multiply(point[2]),
            dataclasses.replace(heavy, weight=point[3], priors={}, motions={}),
            integrator=FixedStep(),
            layout=layout,
        )
        return jnp.sum(states**2)

    return total, jnp.array([3.0, 0.01, 1.3, 80.0])


@pytest.mark.parametrize("mode", [jax.grad, jax.jacfwd, jax.jacrev])
def test_gradients_equal_finite_differences(crossing, mode):
    total, point = crossing
    steps = 1e-5 * np.diag(point)
    slow = [(total(point + s) - total(point - s)) / (2 * s.sum()) for s in steps]
    np.testing.assert_allclose(mode(total)(point), slow, rtol=1e-6)


def test_a_batch_equals_the_loop(crossing):
    total, point = crossing
    points = point * (1 + 0.1 * jnp.arange(3.0)[:, None])
    np.testing.assert_allclose(jax.vmap(total)(points), [total(p) for p in points], rtol=1e-12)


def test_single_precision_meets_the_closed_form_to_single_precision():
    with jax.enable_x64(False):
        seen = simulate(Washout().fix(rate=0.01, first=3.0), PUMP, TIMES).output.amount
    expected = washout(TIMES, 0.01, 3.0, (0.0, 13.0, 101.5, 150.0), (0.0, 0.3, 0.05, 0.0))
    assert seen.dtype == np.float32
    np.testing.assert_allclose(seen, expected, rtol=1e-5)


def test_report_times_out_of_order_are_refused_with_the_first_offender():
    with pytest.raises(ValueError, match=r"times\[2\] = 5.0 follows times\[1\] = 10.0"):
        simulate(Washout(), NOTHING, [0.0, 10.0, 5.0])


def test_report_times_before_the_start_are_refused():
    with pytest.raises(ValueError, match="before the simulation's start"):
        simulate(Washout(), NOTHING, [0.0, 10.0], start=5.0)


def test_report_times_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="at least one finite time"):
        simulate(Washout(), NOTHING, [0.0, np.nan])


def test_a_measured_input_acts_as_its_line_says_within_a_segment_that_begins_late():
    class Sum(tp.AbstractModel):
        step = 5.0

        class State(eqx.Module):
            total: jax.Array = tp.quantity("1", "integral of the signal")

        class Input(eqx.Module):
            signal: jax.Array = tp.quantity("1/min", "signal", measured=True)

        class Output(eqx.Module):
            total: jax.Array = tp.quantity("1", "integral of the signal")
            heard: jax.Array = tp.quantity("1/min", "the signal itself")

        def initial(self, inputs):
            return self.State(total=jnp.zeros(()))

        def vector_field(self, time, state, inputs):
            return self.State(total=inputs.signal)

        def output(self, state, inputs):
            return self.Output(total=state.total, heard=inputs.signal)

    signal = tp.Series(np.array([100.0, 110.0, 130.0]), np.array([1.0, 3.0, 2.0]), "1/min")
    run = tp.simulate(Sum(), tp.Inputs(), np.array([100.0, 105.0, 120.0]), measured={"signal": signal})
    # Areas of trapezoids: 5 min from 1 to 2; 5 min from 2 to 3, then 10 min from 3 to 2.5.
    np.testing.assert_allclose(run.output.total, [0.0, 7.5, 7.5 + 12.5 + 27.5], rtol=1e-6)
    np.testing.assert_allclose(run.output.heard, [1.0, 2.0, 2.5], rtol=1e-6)
