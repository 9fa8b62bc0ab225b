"""A model in which two parameters act only as their product."""

import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array

from twinprob.modeling.model import AbstractModel, parameter, quantity
from twinprob.modeling.observation import Gaussian, Observation
from twinprob.patient.inputs import Inputs
from twinprob.patient.record import Record

TIGHT, LOOSE = 0.1, 1.0


class Product(AbstractModel):
    """dx/dt = -uptake · fraction · x from 10: only the product of the two is seen."""

    step = 5.0

    class State(eqx.Module):
        amount: Array = quantity("1", "amount")

    class Input(eqx.Module):
        pass

    class Output(eqx.Module):
        amount: Array = quantity("1", "amount", noise=Observation(Gaussian(additive=0.2)))

    uptake: float = parameter(dist.LogNormal(math.log(0.02), LOOSE), unit="1/min", source="test")
    fraction: float = parameter(dist.LogNormal(math.log(0.5), TIGHT), unit="1", source="test")

    def initial(self, inputs):
        return self.State(amount=jnp.asarray(10.0))

    def vector_field(self, time, state, inputs):
        return self.State(amount=-self.uptake * self.fraction * state.amount)

    def output(self, state, inputs):
        return self.Output(amount=state.amount)


def product_record(rate: float = 0.015, seed: int = 0) -> Record:
    """Twelve noisy values of a decay with this product."""
    times = 10.0 * np.arange(1, 13)
    values = 10.0 * np.exp(-rate * times) + 0.2 * np.random.default_rng(seed).standard_normal(12)
    return Record.build({"amount": (times, values, "1")}, Inputs({}), own=("amount",), start=0.0)
