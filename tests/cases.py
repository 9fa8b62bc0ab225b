"""Models whose outputs, or whose posteriors, are known in closed form."""

import math
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array

from twinprob.modeling.model import AbstractModel, covariate, parameter, quantity
from twinprob.modeling.observation import Gaussian, Observation
from twinprob.modeling.process import RandomWalk
from twinprob.patient.inputs import Inputs
from twinprob.patient.record import Record

OWN = ("amount", "drive", "size", "level")


class Washout(AbstractModel):
    """dx/dt = drive - rate x, from `first`: the one-compartment model."""

    step = 0.5
    traces: ClassVar[list[int]] = []

    class State(eqx.Module):
        amount: Array = quantity("1", "amount")

    class Input(eqx.Module):
        drive: Array = quantity("1/min", "drive")

    class Output(eqx.Module):
        amount: Array = quantity("1", "amount", noise=Observation(Gaussian(relative=0.1)))

    rate: float = parameter(dist.LogNormal(math.log(0.01), 0.5), unit="1/min", source="test")
    first: float = parameter(dist.LogNormal(math.log(10.0), 0.5), unit="1", source="test")
    weight: float = covariate("kg", value=70.0)

    def initial(self, inputs):
        return self.State(amount=jnp.asarray(self.first * self.weight / 70.0))

    def vector_field(self, time, state, inputs):
        self.traces.append(1)
        return self.State(amount=inputs.drive - self.rate * state.amount)

    def output(self, state, inputs):
        return self.Output(amount=state.amount)


def washout(times, rate, first, changes=(0.0,), drives=(0.0,)):
    """The amount at `times` (min) while the drive takes the values `drives` from `changes` on."""
    amounts, now, x = [], 0.0, first
    for time in times:
        while now < time:
            drive = drives[np.searchsorted(changes, now, side="right") - 1]
            later = [c for c in changes if c > now]
            stop = min([*later[:1], time])
            x = drive / rate + (x - drive / rate) * np.exp(-rate * (stop - now))
            now = stop
        amounts.append(x)
    return np.array(amounts)


class Logistic(AbstractModel):
    """dx/dt = rate x (1 - x): nonlinear, with a closed form."""

    step = 20.0

    class State(eqx.Module):
        size: Array = quantity("1", "size")

    class Input(eqx.Module):
        pass

    class Output(eqx.Module):
        size: Array = quantity("1", "size", noise=Observation(Gaussian(additive=0.1)))

    rate: float = parameter(dist.LogNormal(math.log(0.05), 0.5), unit="1/min", source="test")
    first: float = parameter(dist.LogNormal(math.log(0.1), 0.5), unit="1", source="test")

    def initial(self, inputs):
        return self.State(size=jnp.asarray(self.first))

    def vector_field(self, time, state, inputs):
        return self.State(size=self.rate * state.size * (1 - state.size))

    def output(self, state, inputs):
        return self.Output(size=state.size)


class Stiff(AbstractModel):
    """Two coupled amounts, one following the other a million times faster than that moves."""

    step = 5.0

    class State(eqx.Module):
        fast: Array = quantity("1", "follows")
        slow: Array = quantity("1", "leads")

    class Input(eqx.Module):
        pass

    class Output(eqx.Module):
        fast: Array = quantity("1", "follows", noise=Observation(Gaussian(additive=0.1)))

    speed: float = parameter(dist.LogNormal(math.log(1e4), 0.5), unit="1/min", source="test")
    rate: float = parameter(dist.LogNormal(math.log(0.01), 0.5), unit="1/min", source="test")

    def initial(self, inputs):
        return self.State(fast=jnp.zeros(()), slow=jnp.ones(()))

    def vector_field(self, time, state, inputs):
        return self.State(fast=self.speed * (state.slow - state.fast), slow=-self.rate * state.slow)

    def output(self, state, inputs):
        return self.Output(fast=state.fast)


class Drift(AbstractModel):
    """dx/dt = slope(t), an hourly random walk: linear in all unknowns, so that the posterior is a known normal."""

    step = 30.0

    class State(eqx.Module):
        level: Array = quantity("1", "level")

    class Input(eqx.Module):
        pass

    class Output(eqx.Module):
        level: Array = quantity("1", "level", noise=Observation(Gaussian(additive=0.5)))

    slope: float = parameter(
        dist.Normal(0.0, 0.02), unit="1/min", source="test", varies=RandomWalk(sd=0.01, every="1 h")
    )
    first: float = parameter(dist.Normal(5.0, 2.0), unit="1", source="test")

    def initial(self, inputs):
        return self.State(level=jnp.asarray(self.first))

    def vector_field(self, time, state, inputs):
        return self.State(level=jnp.asarray(self.slope))

    def output(self, state, inputs):
        return self.Output(level=state.level)


def drift_posterior(values, knots, sd=0.01, noise=0.5):
    """Exact mean, covariance and log evidence of (slope start, innovations, first) for hourly values from 0 h on."""
    count = len(values)
    design = np.zeros((count, knots + 2))
    design[:, -1] = 1.0
    for i in range(count):
        design[i, 0] = 60.0 * i
        for k in range(1, min(i, knots)):  # an innovation moves its own knot and all later ones
            design[i, 1 + k] = 60.0 * sd * (i - k)
    prior = np.diag([0.02**2, *np.ones(knots), 2.0**2])
    center = np.array([0.0, *np.zeros(knots), 5.0])
    spread = design @ prior @ design.T + noise**2 * np.eye(count)
    gain = np.linalg.solve(spread, design @ prior).T
    miss = values - design @ center
    evidence = -0.5 * (miss @ np.linalg.solve(spread, miss) + np.linalg.slogdet(2 * np.pi * spread)[1])
    return center + gain @ miss, prior - gain @ design @ prior, evidence


def drift_record(hours=10, seed=0):
    """Hourly values of a level that drifts, and their record."""
    chance = np.random.default_rng(seed)
    slopes = 0.02 + 0.01 * np.cumsum(chance.standard_normal(hours))
    values = 4.0 + np.append(0.0, 60 * np.cumsum(slopes)) + 0.5 * chance.standard_normal(hours + 1)
    times = 60.0 * np.arange(hours + 1)
    return Record.build({"level": (times, values, "1")}, Inputs({}), own=OWN, start=0.0), values


class Folded(AbstractModel):
    """A constant level, the square of `root`: two roots explain it, weighted by their prior alone."""

    step = 60.0

    class State(eqx.Module):
        level: Array = quantity("1", "level")

    class Input(eqx.Module):
        pass

    class Output(eqx.Module):
        level: Array = quantity("1", "level", noise=Observation(Gaussian(additive=0.5)))

    root: float = parameter(dist.Normal(0.2, 1.0), unit="1", source="test")

    def initial(self, inputs):
        return self.State(level=jnp.asarray(self.root**2))

    def vector_field(self, time, state, inputs):
        return self.State(level=0.0 * state.level)

    def output(self, state, inputs):
        return self.Output(level=state.level)


def folded_record():
    """Three values near 4."""
    return Record.build({"level": ([0.0, 60.0, 120.0], [4.2, 3.7, 4.1], "1")}, Inputs({}), own=OWN, start=0.0)


def folded_posterior(grid):
    """The exact posterior density on an equidistant grid of roots."""
    log = -0.5 * (grid - 0.2) ** 2
    for value in (4.2, 3.7, 4.1):
        log = log - 0.5 * ((value - grid**2) / 0.5) ** 2
    density = np.exp(log - log.max())
    return density / density.sum()
