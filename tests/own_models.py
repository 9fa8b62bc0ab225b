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


class Saturable(tp.AbstractModel):
    """Absorption of first order into one compartment that eliminates by Michaelis and Menten.

    dC/dt = exp(-k_a t) D k_a / V - (V_m / V) C / (K_m + C): the Stan benchmark `one_comp_mm_elim_abs` of posteriordb,
    doi:10.48550/arXiv.2407.04967. Its days are hours here.
    """

    time_unit = "h"
    step = 0.25

    class State(eqx.Module):
        concentration: Array = tp.quantity("mg/L", "concentration")

    class Input(eqx.Module):
        pass

    class Output(eqx.Module):
        level: Array = tp.quantity(
            "mg/L", "concentration", noise=tp.Observation(tp.Multiplicative(dist.HalfCauchy(1.0)))
        )

    k_a: float = tp.parameter(dist.HalfCauchy(1.0), unit="1/h", source="doi:10.48550/arXiv.2407.04967")
    K_m: float = tp.parameter(dist.HalfCauchy(1.0), unit="mg/L", source="doi:10.48550/arXiv.2407.04967")
    V_m: float = tp.parameter(dist.HalfCauchy(1.0), unit="mg/h", source="doi:10.48550/arXiv.2407.04967")

    def initial(self, inputs):
        return self.State(concentration=jnp.zeros(()))

    def vector_field(self, time, state, inputs):
        absorbed = jnp.exp(-self.k_a * time) * 30.0 * self.k_a / 2.0
        C = state.concentration
        return self.State(concentration=absorbed - self.V_m / 2.0 * C / (self.K_m + C))

    def output(self, state, inputs):
        return self.Output(level=state.concentration)


SATURABLE_LEVELS = np.array(
    [
        *(5.70812264865215, 7.10126075072086, 8.38520678426651, 9.79008249883381, 13.4390409239245, 11.4478987597702),
        *(11.2124282696837, 11.4269217682577, 12.2432859438401, 13.8201804108938, 13.8408670746042, 11.422291744251),
        *(10.5031943081843, 11.9121452242965, 14.0849980781312, 10.5505145523917, 10.1905539351877, 12.2232272590821),
        *(11.7290653047821, 12.2719396535996),
    ]
)


def saturable_record():
    """The twenty concentrations of the benchmark."""
    return tp.Record.build({"level": (30.0 * np.arange(1, 21), SATURABLE_LEVELS, "mg/L")}, own=OWN, start=0.0)


def saturable_quantiles(probabilities=(0.05, 0.5, 0.95)):
    """Quantiles (unknown, probability) of k_a, K_m, V_m and the noise by quadrature over all four.

    The grid runs over log k_a, log K_m and the logarithm of the elimination at 12 mg/L, which the data know best.
    """
    k_a = np.exp(np.linspace(math.log(0.35), math.log(2.0), 70))
    K_m = np.exp(np.linspace(math.log(3e-3), math.log(1e3), 110))
    spent = np.exp(np.linspace(math.log(0.25), math.log(2.0), 80))
    a, m, e = (x.ravel() for x in np.meshgrid(k_a, K_m, spent, indexing="ij"))
    V_m = e * (m + 12.0) / 12.0
    C, h, misfit = np.zeros_like(a), 0.1, np.zeros_like(a)

    def slope(t, c):
        return np.exp(-a * t) * 15.0 * a - V_m / 2.0 * c / (m + c)

    for i in range(100):
        t = i * h
        k1 = slope(t, C)
        k2 = slope(t + h / 2, C + h / 2 * k1)
        k3 = slope(t + h / 2, C + h / 2 * k2)
        C = np.maximum(C + h / 6 * (k1 + 2 * k2 + 2 * k3 + slope(t + h, C + h * k3)), 1e-9)
        if i % 5 == 4:
            misfit += (np.log(SATURABLE_LEVELS[i // 5]) - np.log(C)) ** 2
    prior = sum(np.log(x) - np.log1p(x**2) for x in (a, m)) + np.log(e) + np.log(V_m / e) - np.log1p(V_m**2)
    sizes = np.exp(np.linspace(math.log(0.06), math.log(0.4), 60))
    logs = [prior - 0.5 * misfit / s**2 - 20 * np.log(s) + np.log(s) - np.log1p(s**2) for s in sizes]
    weights = np.exp(np.stack(logs) - np.max(logs))
    over, shares = weights.sum(axis=0), weights.sum(axis=1)
    cube = over.reshape(len(k_a), len(K_m), len(spent))
    every = ((k_a, cube.sum(axis=(1, 2))), (K_m, cube.sum(axis=(0, 2))), (V_m, over), (sizes, shares))
    return np.exp([_quantiles(np.log(x), weights, probabilities) for x, weights in every])


def _quantiles(values, weights, probabilities):
    """Weighted quantiles, the mass of a point spread over half the way to its neighbors."""
    order = np.argsort(values)
    shares = np.cumsum(weights[order])
    return np.interp(probabilities, (shares - 0.5 * weights[order]) / shares[-1], values[order])


class Lagged(tp.AbstractModel):
    """A dose that is absorbed from a lag on: the equations change where nobody has looked yet."""

    time_unit = "h"
    step = 0.25

    class State(eqx.Module):
        depot: Array = tp.quantity("mg", "not yet absorbed")
        amount: Array = tp.quantity("mg", "in the body")

    class Input(eqx.Module):
        pass

    class Output(eqx.Module):
        level: Array = tp.quantity("mg", "in the body", noise=tp.Observation(tp.Gaussian(additive=2.0)))

    absorption: float = tp.parameter(dist.LogNormal(math.log(1.0), 0.6), unit="1/h", source="test")
    elimination: float = tp.parameter(dist.LogNormal(math.log(0.2), 0.4), unit="1/h", source="test")
    lag: float = tp.parameter(dist.LogNormal(math.log(1.0), 0.5), unit="h", source="test")

    def initial(self, inputs):
        return self.State(depot=jnp.asarray(100.0), amount=jnp.zeros(()))

    def vector_field(self, time, state, inputs):
        absorbed = jnp.where(time > self.lag, self.absorption, 0.0) * state.depot
        return self.State(depot=-absorbed, amount=absorbed - self.elimination * state.amount)

    def output(self, state, inputs):
        return self.Output(level=state.amount)


def lagged_record(key=0):
    """Twelve measurements over twelve hours, of a lag of 1.3 h."""
    hours = np.arange(1.0, 13.0)
    a, e, since = 0.9, 0.25, np.maximum(hours - 1.3, 0.0)
    level = 100.0 * a / (a - e) * (np.exp(-e * since) - np.exp(-a * since))
    return tp.Record.build(
        {"level": (60.0 * hours, level + 2.0 * np.random.default_rng(key).normal(size=12), "mg")}, own=OWN, start=0.0
    )
