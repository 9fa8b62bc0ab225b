"""Models of the kinds that a modeler brings: stiff, with two modes, with a long tail, with a lag."""

import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array

import twinprob as tp

OWN = ("outside", "inside", "level")


class Shuttle(tp.AbstractModel):
    """A signal that is taken up by an import of unknown speed, which only slow imports could be told by.

    dx/dt = -rate x, dy/dt = rate x - uptake y, dz/dt = uptake y: linear, so that all is known in closed form.
    """

    step = 2.0

    class State(eqx.Module):
        outside: Array = tp.quantity("1", "not yet taken up")
        waiting: Array = tp.quantity("1", "under way")
        inside: Array = tp.quantity("1", "taken up")

    class Input(eqx.Module):
        pass

    class Output(eqx.Module):
        outside: Array = tp.quantity("1", "not yet taken up", noise=tp.Observation(tp.Gaussian(additive=0.05)))
        inside: Array = tp.quantity("1", "taken up", noise=tp.Observation(tp.Gaussian(additive=0.05)))

    rate: float = tp.parameter(dist.LogNormal(math.log(0.05), 0.3), unit="1/min", source="test")
    uptake: float = tp.parameter(dist.LogUniform(1e-2, 1e4), unit="1/min", source="test")

    def initial(self, inputs):
        return self.State(outside=jnp.ones(()), waiting=jnp.zeros(()), inside=jnp.zeros(()))

    def vector_field(self, time, state, inputs):
        gone, taken = self.rate * state.outside, self.uptake * state.waiting
        return self.State(outside=-gone, waiting=gone - taken, inside=taken)

    def output(self, state, inputs):
        return self.Output(outside=state.outside, inside=state.inside)


SHUTTLE_TIMES = np.array([5.0, 10.0, 20.0, 40.0, 60.0])


def shuttle_outputs(rate, uptake, times=SHUTTLE_TIMES):
    """Outside and inside at `times` (min) in closed form; rate and uptake broadcast before the times."""
    rate, uptake = np.asarray(rate)[..., None], np.asarray(uptake)[..., None]
    outside = np.exp(-rate * times)
    waiting = rate / (uptake - rate) * (np.exp(-rate * times) - np.exp(-uptake * times))
    return outside, 1.0 - outside - waiting


def shuttle_record(key=0):
    """A record of an import too fast to be seen."""
    chance = np.random.default_rng(key)
    outside, inside = (y + 0.05 * chance.normal(size=y.shape) for y in shuttle_outputs(0.05, 500.0))
    return tp.Record.build(
        {"outside": (SHUTTLE_TIMES, outside, "1"), "inside": (SHUTTLE_TIMES, inside, "1")}, own=OWN, start=0.0
    )


def shuttle_quantiles(record, probabilities):
    """Quantiles of the uptake's posterior by quadrature over both unknowns."""
    rates = math.log(0.05) + 0.3 * np.linspace(-5, 5, 201)
    uptakes = np.linspace(math.log(1e-2), math.log(1e4), 1401)
    outside, inside = shuttle_outputs(*np.exp(np.meshgrid(rates, uptakes + 1e-7, indexing="ij")))
    seen = record.observations
    misfit = ((outside - seen["outside"].values) ** 2 + (inside - seen["inside"].values) ** 2).sum(axis=-1)
    logs = -0.5 * misfit / 0.05**2 - 0.5 * ((rates - math.log(0.05)) / 0.3)[:, None] ** 2
    weights = np.exp(logs - logs.max()).sum(axis=0)
    shares = np.cumsum(weights) / weights.sum()
    return np.exp(np.interp(probabilities, shares, uptakes))


class Bent(tp.AbstractModel):
    """level = root² + tilt root t: two roots of nearly one misfit, and a noise whose size nobody knows."""

    step = 30.0

    class State(eqx.Module):
        hours: Array = tp.quantity("1", "time passed")

    class Input(eqx.Module):
        pass

    class Output(eqx.Module):
        level: Array = tp.quantity(
            "1", "level", noise=tp.Observation(tp.Gaussian(additive=dist.LogNormal(math.log(0.1), 1.0)))
        )

    root: float = tp.parameter(dist.Normal(0.0, 2.0), unit="1", source="test")

    tilt = 0.02

    def initial(self, inputs):
        return self.State(hours=jnp.zeros(()))

    def vector_field(self, time, state, inputs):
        return self.State(hours=jnp.asarray(1.0 / 60.0))

    def output(self, state, inputs):
        return self.Output(level=self.root**2 + self.tilt * self.root * state.hours)


BENT_TIMES = 10.0 * np.arange(150)


def bent_record(key=1):
    """Levels around one root, with noise 1.5 prior standard deviations above its prior's center."""
    noise = 0.1 * math.exp(1.5) * np.random.default_rng(key).normal(size=len(BENT_TIMES))
    level = 2.0**2 + Bent.tilt * 0.05 * BENT_TIMES / 60.0
    return tp.Record.build({"level": (BENT_TIMES, level + noise, "1")}, own=OWN, start=0.0)


def bent_posterior(record):
    """Return roots, log sizes and their joint posterior on that grid (root, size), by quadrature."""
    roots, sizes = np.linspace(-2.5, 2.5, 4001), math.log(0.1) + np.linspace(-2.0, 4.0, 601)
    values, hours = record.observations["level"].values, BENT_TIMES / 60.0
    misfit = ((roots[:, None] ** 2 + Bent.tilt * roots[:, None] * hours - values) ** 2).sum(axis=1)
    logs = -0.5 * misfit[:, None] * np.exp(-2 * sizes) - len(values) * sizes
    logs = logs - 0.5 * (roots[:, None] / 2.0) ** 2 - 0.5 * (sizes - math.log(0.1)) ** 2
    weights = np.exp(logs - logs.max())
    return roots, sizes, weights / weights.sum()
