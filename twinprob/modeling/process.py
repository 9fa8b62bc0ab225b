"""How a parameter moves in time: the stochastic processes a model author can declare."""

import math

import equinox as eqx
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ..patient.require import number, require_sizes, require_spacing
from ..patient.units import minutes


class AbstractProcess(eqx.Module):
    """A path of knots, one every `every`, on the unconstrained scale of a parameter.

    A path starts from the parameter's own value (its *base*) and is driven by independent standard-normal
    innovations, so that the prior of every unknown is a standard normal and the forecast extends the same recursion.
    """

    sd: eqx.AbstractVar[float]
    every: eqx.AbstractVar[str]

    def __check_init__(self):
        """Refuse a size or a spacing that no path has."""
        require_sizes(self, sd=number(0.0))
        require_spacing(f"Setting `every` of `{type(self).__name__}`", self.every)

    @property
    def interval(self) -> float:
        """Time between two knots in minutes."""
        return minutes(self.every)

    def path(self, base, innovations: Float[Array, " knot"], sd) -> Float[Array, " knot"]:
        """Return the knots that start at `base`; the first innovation moves the first knot only if it is random."""
        raise NotImplementedError

    def extend(self, base, last, innovations: Float[Array, " knot"], sd) -> Float[Array, " knot"]:
        """Return the knots that follow `last`."""
        raise NotImplementedError


class RandomWalk(AbstractProcess):
    """A random walk without drift: the spread of its forecast grows with the square root of time.

    Parameters
    ----------
    sd : float or numpyro Distribution
        Standard deviation of the change over one hour, on the unconstrained (for positive parameters: log) scale.
        A distribution makes the volatility an unknown of the patient, named `<parameter>_volatility`.
    every : str
        Time between knots, e.g. ``"1 h"``; the parameter is constant in between.
    """

    sd: float
    every: str = eqx.field(static=True, default="1 h")

    def _step(self, sd):
        return sd * math.sqrt(self.interval / 60.0)

    def path(self, base, innovations, sd):  # noqa: D102
        steps = jnp.concatenate([jnp.zeros(1, innovations.dtype), innovations[1:]])
        return base + self._step(sd) * jnp.cumsum(steps)

    def extend(self, base, last, innovations, sd):  # noqa: D102
        return last + self._step(sd) * jnp.cumsum(innovations)


class OrnsteinUhlenbeck(AbstractProcess):
    """A mean-reverting path around the parameter's base value.

    Parameters
    ----------
    sd : float or numpyro Distribution
        Stationary standard deviation on the unconstrained scale.
    timescale : str
        Time after which the correlation with the present has fallen to exp(-1).
    every : str
        Time between knots; the parameter is constant in between.
    """

    sd: float
    timescale: str = eqx.field(static=True, default="12 h")
    every: str = eqx.field(static=True, default="1 h")

    def __check_init__(self):
        """Refuse a time scale that no path has."""
        require_spacing("Setting `timescale` of `OrnsteinUhlenbeck`", self.timescale)

    def _memory(self):
        return math.exp(-self.interval / minutes(self.timescale))

    def extend(self, base, last, innovations, sd):  # noqa: D102
        memory = self._memory()
        kick = sd * math.sqrt(1.0 - memory**2)

        def step(deviation, innovation):
            deviation = memory * deviation + kick * innovation
            return deviation, deviation

        _, deviations = lax.scan(step, last - base, innovations)
        return base + deviations

    def path(self, base, innovations, sd):  # noqa: D102
        first = base + sd * innovations[0]
        return jnp.concatenate([first[None], self.extend(base, first, innovations[1:], sd)])
