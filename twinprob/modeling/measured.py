"""The measurements of one output as a distribution: censored, absent, and with an error that lasts."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from .correlated import Error, Series, sweep
from .observation import Observation


class Innovations(NamedTuple):
    """A series of measurements as independent ones: each beside what the ones before it let expect.

    Attributes
    ----------
    errors : (time,) measurement minus expectation
    log_variances : (time,)
    weights : (time,) information of one measurement about its expectation, zero where absent
    exact : (time,) bool, whether there is a value, and not only the side of a limit
    """

    errors: Any
    log_variances: Any
    weights: Any
    exact: Any


class Measured(dist.Distribution):
    """Measurements of one output as a numpyro distribution: censored values and absent (padded) ones included.

    Parameters
    ----------
    observation : Observation
    mean : (time,) noise-free output, in its unit
    limits : (time,) int, -1 below a limit, 0 measured, +1 above
    present : (time,) bool, False where nothing was measured
    gaps : (time,) min since the measurement before, needed where the observation has a lasting error
    limited : bool, whether values of such an observation may lie beyond a limit
    """

    support = dist.constraints.real_vector

    def __init__(self, observation: Observation, mean, limits, present, gaps=None, limited=True):
        self.observation, self.mean_output, self.limits, self.present = observation, mean, limits, present
        self.gaps, self.limited = gaps, limited
        super().__init__(batch_shape=(), event_shape=jnp.shape(mean), validate_args=False)

    def sample(self, key, sample_shape=()):
        """Draw replicated measurements, each time with a lasting error anew, as the meter would show them."""
        drawn = self.observation.noise.distribution(self.mean_output).sample(key, sample_shape)
        if self.observation.drift is None:
            return self.observation.shown(drawn)
        keys = jax.random.split(jax.random.fold_in(key, 1), math.prod(sample_shape))
        drift: Any = self.observation.drift
        wander = jax.vmap(lambda k: drift.path(k, self.gaps))(keys)
        return self.observation.shown(drawn + wander.reshape(drawn.shape))

    def elementwise(self, value):
        """Return the log density of each measurement, zero where absent; shape (time,).

        Where the error lasts, it is the density given the measurements before it: their sum is that of all together.
        """
        if self.observation.drift is None:
            density = self.observation.log_density(value, self.mean_output, self.limits)
        else:
            density, _ = self._swept(value, lambda before, told: told.density)
        return jnp.where(self.present, density, 0.0)

    def log_prob(self, value):
        """Return the log density of all measurements together."""
        return jnp.sum(self.elementwise(value), axis=-1)

    def neighbors(self, value):
        """Return how residuals correlate with the one before, (): zero but for chance where they are white.

        They are taken around the given means, in their own standard deviations; where the error lasts, they are what
        the measurements before do not explain. A value beyond a limit has none.
        """
        if self.observation.drift is None:
            spread = jnp.sqrt(self.observation.noise.distribution(self.mean_output).variance)
            away, exact = (value - self.mean_output) / spread, self.present & (self.limits == 0)
        else:
            found = self.innovations(value)
            away, exact = found.errors * jnp.sqrt(found.weights), found.exact
        return _neighbors(jnp.where(exact, away, 0.0))

    def described(self, value, later):
        """Return what `elementwise`, `neighbors` and `last_error` do, from one sweep where the error lasts.

        The last of them is None where it does not.
        """
        if self.observation.drift is None:
            return self.elementwise(value), self.neighbors(value), None
        (density, expected, weight), last = self._swept(
            value, lambda before, told: (told.density, before.mean, told.weight)
        )
        exact = self.present & (self.limits == 0)
        away = jnp.where(exact, (value - self.mean_output - expected) * jnp.sqrt(weight), 0.0)
        return jnp.where(self.present, density, 0.0), _neighbors(away), self.observation.drift.carried(last, later)

    def _swept(self, value, report):
        shares, variances = self.observation.noise.parts(self.mean_output)
        series = Series(self.gaps, value - self.mean_output, variances, self.limits, self.present)
        drift: Any = self.observation.drift
        return sweep(drift, series, shares, self.limited, report)

    def last_error(self, value, later) -> Error:
        """Return what is known of the lasting error `later` min after the last measurement."""
        _, last = self._swept(value, lambda before, told: None)
        drift: Any = self.observation.drift
        return drift.carried(last, later)

    def innovations(self, value) -> Innovations:
        """Return measurements with a lasting error as independent ones, linear in what is expected of each."""
        (expected, weight), _ = self._swept(value, lambda before, told: (before.mean, told.weight))
        return Innovations(
            value - self.mean_output - expected,
            -jnp.log(weight),
            jax.lax.stop_gradient(jnp.where(self.present, weight, 0.0)),
            self.present & (self.limits == 0),
        )


def _neighbors(away):
    """Return how standardized residuals (time,), zero where there is none, correlate with the one before."""
    return jnp.sum(away[1:] * away[:-1]) / jnp.maximum(jnp.sum(away**2), 1e-300)
