"""Hare and lynx: a model of a user's own in one file, as the documentation teaches it."""

import equinox as eqx
import numpyro.distributions as dist
from jaxtyping import Array

import twinprob as tp

_SOURCE = "prior of posteriordb hudson_lynx_hare-lotka_volterra"
_PELTS = tp.Observation(tp.Multiplicative(sd=dist.LogNormal(-1.0, 1.0)))


def _positive(mean, sd):
    return lambda model: dist.TruncatedNormal(mean, sd, low=0.0)


class LotkaVolterra(tp.AbstractModel):
    """Prey u and predator v: du/dt = (alpha - beta v) u, dv/dt = (-gamma + delta u) v."""

    time_unit = "year"
    step = 0.1

    class State(eqx.Module):
        """Both populations."""

        hare: Array | float = tp.quantity("1", "thousands of pelts of hare")
        lynx: Array | float = tp.quantity("1", "thousands of pelts of lynx")

    class Input(eqx.Module):
        """Nothing is done to them."""

    class Output(eqx.Module):
        """Both are counted."""

        hare: Array | float = tp.quantity("1", "thousands of pelts of hare", noise=_PELTS)
        lynx: Array | float = tp.quantity("1", "thousands of pelts of lynx", noise=_PELTS)

    alpha: float = tp.parameter(_positive(1.0, 0.5), unit="1/year", source=_SOURCE)
    beta: float = tp.parameter(_positive(0.05, 0.05), unit="1/year", source=_SOURCE)
    gamma: float = tp.parameter(_positive(1.0, 0.5), unit="1/year", source=_SOURCE)
    delta: float = tp.parameter(_positive(0.05, 0.05), unit="1/year", source=_SOURCE)
    first_hare: float = tp.parameter(dist.LogNormal(2.302585, 1.0), unit="1", source=_SOURCE)
    first_lynx: float = tp.parameter(dist.LogNormal(2.302585, 1.0), unit="1", source=_SOURCE)

    def initial(self, inputs):
        """Start from the two unknown populations."""
        return self.State(self.first_hare, self.first_lynx)

    def vector_field(self, time, state, inputs):
        """Return both growth rates."""
        u, v = state.hare, state.lynx
        return self.State((self.alpha - self.beta * v) * u, (-self.gamma + self.delta * u) * v)

    def output(self, state, inputs):
        """Return what is counted."""
        return self.Output(state.hare, state.lynx)
