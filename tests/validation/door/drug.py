"""One compartment, with elimination alone and with absorption: the smallest twins, and their closed forms."""

import math

import equinox as eqx
import jax
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array

import twinprob as tp

OWN = ("drug", "concentration")
SMALL = tp.Laplace(draws=50, proposals=400, starts=2, nodes=8)
RELATIVE = {"concentration": tp.Observation(tp.Gaussian(relative=0.1))}
RATE, VOLUME = 0.25, 16.0  # 1/h, L


class Drug(tp.AbstractModel):
    """dA/dt = u - k A, C = A / V."""

    time_unit = "h"
    step = 0.25

    class State(eqx.Module):
        amount: Array = tp.quantity("mg", "drug in the body")

    class Input(eqx.Module):
        drug: Array = tp.quantity("mg/h", "infusion")

    class Output(eqx.Module):
        concentration: Array = tp.quantity("mg/L", "in plasma", noise=tp.Observation(tp.Gaussian(additive=0.2)))

    k: float = tp.parameter(dist.LogNormal(math.log(RATE), 0.4), unit="1/h", source="test", about="elimination")
    volume: float = tp.parameter(dist.LogNormal(math.log(VOLUME), 0.3), unit="L", source="test", about="volume")

    def initial(self, inputs):
        return self.State(amount=inputs.drug / self.k)

    def vector_field(self, time, state, inputs):
        return self.State(amount=inputs.drug - self.k * state.amount)

    def output(self, state, inputs):
        return self.Output(concentration=state.amount / self.volume)


class Absorbed(tp.AbstractModel):
    """dA/dt = u - a A, dB/dt = a A - e B, C = B / V: a and e may change places, if V does too."""

    time_unit = "h"
    step = 0.25

    class State(eqx.Module):
        depot: Array = tp.quantity("mg", "not yet absorbed")
        amount: Array = tp.quantity("mg", "in the body")

    class Input(eqx.Module):
        drug: Array = tp.quantity("mg/h", "swallowed")

    class Output(eqx.Module):
        concentration: Array = tp.quantity("mg/L", "in plasma", noise=tp.Observation(tp.Gaussian(additive=0.05)))

    a: float = tp.parameter(dist.LogNormal(math.log(0.6), 0.6), unit="1/h", source="test", about="absorption")
    e: float = tp.parameter(dist.LogNormal(math.log(0.3), 0.6), unit="1/h", source="test", about="elimination")
    volume: float = tp.parameter(dist.LogNormal(math.log(16.0), 0.5), unit="L", source="test", about="volume")

    def initial(self, inputs):
        return self.State(depot=inputs.drug / self.a, amount=inputs.drug / self.e)

    def vector_field(self, time, state, inputs):
        return self.State(depot=inputs.drug - self.a * state.depot, amount=self.a * state.depot - self.e * state.amount)

    def output(self, state, inputs):
        return self.Output(concentration=state.amount / self.volume)


def after_a_dose(hours, mg: float = 80.0, k: float = RATE, volume: float = VOLUME):
    """Return the concentration hours after the middle of a dose."""
    return mg / volume * np.exp(-k * np.maximum(np.asarray(hours, float), 0.0))


def during(hours, mg_per_hour: float, k: float = RATE, volume: float = VOLUME):
    """Return the concentration hours after an infusion began."""
    return mg_per_hour / (k * volume) * (1 - np.exp(-k * np.asarray(hours, float)))


def absorbed(hours, a, e, volume, mg: float = 80.0):
    """Return the concentration hours after a swallowed dose; `a` and `e` differ."""
    hours = np.asarray(hours, float)
    return mg / volume * a / (a - e) * (np.exp(-e * hours) - np.exp(-a * hours))


def dose(time: float, mg: float = 80.0) -> tp.Inputs:
    """Return a dose at a time (min)."""
    return tp.Inputs.bolus("drug", time, mg, "mg", own=OWN)


def record(times, values, inputs, *, covariates=None, **how) -> tp.Record:
    """Return a record of concentrations."""
    return tp.Record.build(
        {"concentration": (np.asarray(times, float), np.asarray(values, float), "mg/L", *how.pop("more", ()))},
        inputs,
        covariates,
        own=OWN,
        **how,
    )


def fitted(data: tp.Record, model=None, **how) -> tp.Twin:
    """Return a small twin."""
    return tp.fit(Drug() if model is None else model, data, key=jax.random.key(0), **{"method": SMALL, **how})


def at(inputs: tp.Inputs, times, **how) -> np.ndarray:
    """Return the simulated concentrations of the true patient."""
    found = tp.simulate(Drug(k=RATE, volume=VOLUME), inputs, np.asarray(times, float), **how)
    return np.asarray(found.output.concentration)


def findings(twin: tp.Twin) -> str:
    """Return the verdict and its reasons in words."""
    return str(tp.diagnose(twin))
