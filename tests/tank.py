"""A linear model with Gaussian noise, and the Kalman filter that is exact for it."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array

from twinprob.modeling.model import AbstractModel, parameter, quantity
from twinprob.modeling.observation import Gaussian, Observation
from twinprob.modeling.process import RandomWalk
from twinprob.patient.inputs import Inputs
from twinprob.patient.record import Record

DECAY, NOISE, WALK = 0.01, 0.4, 0.5  # 1/min, unit of level, per sqrt(h)
OWN = ("level", "double", "drive")


class Tank(AbstractModel):
    """dx/dt = -decay x + supply + drive: linear, so that a Kalman filter is exact."""

    step = 5.0

    class State(eqx.Module):
        level: Array = quantity("1", "level")

    class Input(eqx.Module):
        drive: Array = quantity("1/min", "drive")

    class Output(eqx.Module):
        level: Array = quantity("1", "level", noise=Observation(Gaussian(additive=NOISE)))
        double: Array = quantity("1", "twice the level", noise=Observation(Gaussian(additive=NOISE)))

    supply: float = parameter(
        dist.Normal(0.0, 0.03), unit="1/min", source="test", varies=RandomWalk(sd=WALK * 0.03, every="1 h")
    )
    first: float = parameter(dist.Normal(5.0, 2.0), unit="1", source="test")

    def initial(self, inputs):
        return self.State(level=jnp.asarray(self.first))

    def vector_field(self, time, state, inputs):
        return self.State(level=-DECAY * state.level + self.supply + inputs.drive)

    def output(self, state, inputs):
        return self.Output(level=state.level, double=2 * state.level)


def stay(hours, seed=0):
    """An hourly record of the tank under a drive that is switched on at 3 h, and the values measured."""
    chance = np.random.default_rng(seed)
    values, x, supply = [], 5.5, 0.02
    for hour in range(hours + 1):
        values.append(x + NOISE * chance.standard_normal())
        drive = 0.05 if hour >= 3 else 0.0
        x = np.exp(-60 * DECAY) * x + (1 - np.exp(-60 * DECAY)) / DECAY * (supply + drive)
        supply += WALK * 0.03 * chance.standard_normal()
    inputs = Inputs.infusions("drive", [180.0], [np.inf], [0.05], "1/min", own=OWN)
    record = Record.build({"level": (60.0 * np.arange(hours + 1), values, "1")}, inputs, own=OWN, start=0.0)
    return record, np.array(values)


def kalman(values):
    """The exact posterior of (first, base of supply, supply now, level) after every hourly value, as a loop."""
    mean = np.array([5.0, 0.0, 0.0, 5.0])
    cov = np.zeros((4, 4))
    cov[0, 0] = cov[0, 3] = cov[3, 0] = cov[3, 3] = 2.0**2
    cov[1:3, 1:3] = 0.03**2
    fade, gain = np.exp(-60 * DECAY), (1 - np.exp(-60 * DECAY)) / DECAY
    answers = []
    for hour, value in enumerate(values):
        if hour > 0:
            if hour > 1:  # the first knot is the base itself; each later one begins with the hour
                cov[2, 2] += (WALK * 0.03) ** 2
            step = np.eye(4)
            step[3] = [0.0, 0.0, gain, fade]
            mean, cov = step @ mean, step @ cov @ step.T
            mean[3] += gain * (0.05 if hour > 3 else 0.0)
        residual, spread = value - mean[3], cov[3, 3] + NOISE**2
        weight = cov[:, 3] / spread
        mean, cov = mean + weight * residual, cov - np.outer(weight, cov[3])
        answers.append((mean.copy(), np.sqrt(np.diag(cov))))
    return answers


def predictive(answers, values, hour):
    """Mean and variance of the level before one value, from the change that value made to them."""
    mean, sd = answers[hour]
    # Kalman: 1/sd² = 1/prior² + 1/noise², mean/sd² = prior mean/prior² + value/noise²
    variance = 1 / (1 / sd[3] ** 2 - 1 / NOISE**2)
    return variance * (mean[3] / sd[3] ** 2 - values[hour] / NOISE**2), variance


def beliefs(twin):
    posterior, state = twin.group("posterior"), twin.group("state")
    draws = [posterior["first"], posterior["supply_start"], posterior["supply"][..., -1], state["level"]]
    return np.stack([d.values.ravel() for d in draws], axis=-1)
