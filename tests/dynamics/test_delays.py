"""An input that acts after a lag, against the closed form: the outputs, and how they move with the lag."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jaxtyping import Array
from scipy.stats import norm

import twinprob as tp

OWN = ("drug", "amount")
GIVEN = tp.Inputs.infusions("drug", [0.0, 100.0], [30.0, 130.0], [2.0, 4.0], "mg/min", own=("drug",))
TIMES = np.array([5.0, 17.0, 40.0, 90.0, 119.5, 150.0, 200.0])


class Delayed(tp.AbstractModel):
    """One compartment: dA/dt = u(t - lag) - k A."""

    step = 10.0

    class State(eqx.Module):
        amount: Array = tp.quantity("mg")

    class Input(eqx.Module):
        drug: Array = tp.quantity("mg/min", lag="lag")

    class Output(eqx.Module):
        amount: Array = tp.quantity("mg", noise=tp.Observation(tp.Gaussian(additive=1.0)))
        drug: Array = tp.quantity("mg/min")

    k: float = tp.parameter(dist.LogNormal(math.log(0.03), 0.3), unit="1/min", source="test")
    lag: float = tp.parameter(dist.LogNormal(math.log(12.0), 0.4), unit="min", source="test")

    def initial(self, inputs):
        return self.State(amount=jnp.zeros(()))

    def vector_field(self, time, state, inputs):
        return self.State(amount=inputs.drug - self.k * state.amount)

    def output(self, state, inputs):
        return self.Output(amount=state.amount, drug=inputs.drug)


def amount(k, lag, times=TIMES, xp=np):
    """The closed form: each infusion starts and ends later by the lag."""
    total = 0.0
    for begin, end, rate in ((0.0, 30.0, 2.0), (100.0, 130.0, 4.0)):
        since = [xp.maximum(times - moment - lag, 0.0) for moment in (begin, end)]
        total = total + rate / k * (xp.exp(-k * since[1]) - xp.exp(-k * since[0]))
    return total


@pytest.mark.parametrize("lag", [0.0, 3.0, 12.345, 20.0, 55.0, 500.0])
@pytest.mark.parametrize("integrator", [None, tp.Rosenbrock()], ids=["steps", "implicit"])
def test_outputs_are_those_of_the_closed_form_whatever_the_lag(lag, integrator):
    run = tp.simulate(Delayed(k=0.03, lag=lag), GIVEN, TIMES, integrator=integrator)
    assert bool(run.solved)
    assert np.allclose(run.output.amount, amount(0.03, lag), atol=1e-3 if integrator else 2e-3)
    late = [(lag < t <= 30.0 + lag) * 2.0 + (100.0 + lag < t <= 130.0 + lag) * 4.0 for t in TIMES]
    assert np.allclose(run.output.drug, late)


def test_outputs_are_smooth_in_the_lag():
    found = jax.jacfwd(lambda lag: tp.simulate(Delayed(k=0.03, lag=lag), GIVEN, TIMES).output.amount)(12.345)
    exact = jax.jacfwd(lambda lag: amount(0.03, lag, jnp.asarray(TIMES), jnp))(12.345)
    assert np.allclose(found, exact, atol=2e-3)


def record():
    values = amount(0.03, 9.0) + np.cos(7.0 * TIMES)
    return tp.Record.build({"amount": (TIMES, values, "mg")}, GIVEN, own=OWN)


@eqx.filter_jit
def at(density, positions):
    return jax.lax.map(jax.value_and_grad(density.log_density), positions)


def test_the_density_is_that_of_the_closed_form_at_every_lag():
    density, seen = tp.joint(Delayed(), record()), record().observations["amount"].values
    lags, k = np.array([1.0, 7.0, 9.3, 14.0, 40.0]), 0.028
    values, gradients = at(density, jnp.stack([density.unconstrain({"k": k, "lag": lag}) for lag in lags]))
    exact = np.array([norm.logpdf(seen, amount(k, lag), 1.0).sum() for lag in lags])
    exact += norm.logpdf(np.log(k), math.log(0.03), 0.3) + norm.logpdf(np.log(lags), math.log(12.0), 0.4)
    assert np.allclose(values, exact, atol=0.02)
    ahead = np.array([norm.logpdf(seen, amount(k, lag * 1.0001), 1.0).sum() for lag in lags])
    ahead += norm.logpdf(np.log(k), math.log(0.03), 0.3) + norm.logpdf(np.log(lags * 1.0001), math.log(12.0), 0.4)
    assert np.allclose(gradients[:, 1], (ahead - exact) / math.log(1.0001), rtol=0.02, atol=0.5)


@pytest.fixture(scope="module")
def twin():
    return tp.fit(Delayed(), record().until(135.0), key=jax.random.key(1), method=tp.Laplace(draws=50, proposals=500))


@pytest.mark.slow
def test_what_was_given_before_the_present_still_arrives_after_it(twin):
    times = np.array([136.5, 150.0, 200.0])
    ahead = tp.forecast(twin, times=times, key=jax.random.key(2)).tree["predicted_outputs"]
    k, lag = (twin.tree["posterior"][name].values.ravel() for name in ("k", "lag"))
    exact = np.stack([amount(*one, times) for one in zip(k, lag, strict=True)])
    assert np.allclose(ahead["amount"].values.reshape(exact.shape), exact, atol=0.02)


@pytest.mark.slow
def test_an_update_of_a_model_with_a_lag_says_what_to_do(twin):
    later = tp.Record.build({"amount": ([220.0], [1.0], "mg")}, GIVEN, own=OWN)
    with pytest.raises(ValueError, match="Input `drug` of model `Delayed` acts after a lag"):
        tp.update(twin, later, key=jax.random.key(3))


def test_a_lag_that_no_parameter_says_is_refused_when_the_class_is_read():
    class Input(eqx.Module):
        drug: Array = tp.quantity("mg/min", lag="late")

    with pytest.raises(ValueError, match="Input `drug` of model `Other` has the lag `late`, which is no parameter"):
        type("Other", (Delayed,), {"__module__": __name__, "__doc__": "Other.", "Input": Input})


def test_a_measured_signal_has_no_lag():
    with pytest.raises(ValueError, match="A measured signal has no `lag`"):
        tp.quantity("mg/min", measured=True, lag="late")
