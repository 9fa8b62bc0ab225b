"""A measurement error that lasts: it wanders as an Ornstein–Uhlenbeck process and is integrated out by a filter."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import lax
from jax.scipy.special import log_ndtr, logsumexp

from ..patient.require import number, require_sizes

NEVER = 1e12  # min since the measurement before the first: finite, so that its derivatives are
_HALF_LOG_TWO_PI = 0.5 * float(np.log(2.0 * np.pi))


class Correlated(eqx.Module):
    """An error of the meter that lasts: neighboring measurements share it, distant ones do not.

    It adds to the independent noise of each measurement and wanders around zero as a stationary Ornstein–Uhlenbeck
    process: two errors t minutes apart correlate by exp(-t / timescale). A pressure charted each second wanders so for
    minutes; without this part a twin of such data is far too certain.

    Parameters
    ----------
    sd : float
        Its standard deviation, in the output's unit.
    timescale : float, min
        Time after which a share 1/e of it is left. Either may be a numpyro Distribution: it then is an unknown of the
        patient, `<output>_drift_sd` or `<output>_drift_timescale`.

    Notes
    -----
    The error is no unknown: given all others it is integrated out by a Kalman filter over the measurements, at a cost
    that grows with their number. With `Gaussian` noise the density is exact. Heavy-tailed noises are mixtures of
    normals, and a value beyond a detection limit has the probability of its side: there the filtered error is replaced
    by the normal of the same mean and variance after each value (assumed-density filtering), so that the first
    value's density is exact and later ones nearly so.

    References
    ----------
    .. [1] Minka TP. Expectation propagation for approximate Bayesian inference. UAI 2001, 362-369. arXiv:1301.2294.

    Examples
    --------
    >>> from twinprob.modeling.observation import Gaussian, Observation
    >>> pressure = Observation(Gaussian(additive=2.0), drift=Correlated(sd=4.0, timescale=5.0))
    """

    sd: float
    timescale: float

    def __check_init__(self):
        """Refuse an error of no size, or of no duration."""
        require_sizes(self, sd=number(0.0, above=True), timescale=number(0.0, above=True))

    def unknowns(self) -> dict[str, dist.Distribution]:
        """Return the priors of the fields that are unknown."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, dist.Distribution)}

    def steps(self, gaps):
        """Return how much of the error is left after `gaps` (…) min, and the variance that came in meanwhile."""
        left = jnp.exp(-gaps / self.timescale)
        return left, self.sd**2 * (1.0 - left) * (1.0 + left)

    def carried(self, error: "Error", gap) -> "Error":
        """Return what is known of the error `gap` min later."""
        left, fresh = self.steps(gap)
        return Error(left * error.mean, left**2 * error.variance + fresh)

    def unknown(self) -> "Error":
        """Return what is known of the error where nothing was measured."""
        return Error(jnp.zeros(()), jnp.asarray(self.sd, float) ** 2)

    def path(self, key, gaps, first: "Error | None" = None):
        """Draw the error at times that follow each other by `gaps` (time,) min, (time,); `first` is before them."""
        left, fresh = self.steps(jnp.asarray(gaps))
        begin_key, key = jax.random.split(key)
        first = self.unknown() if first is None else first
        begin = first.mean + jnp.sqrt(first.variance) * jax.random.normal(begin_key)
        kicks = jnp.sqrt(fresh) * jax.random.normal(key, jnp.shape(gaps))

        def step(error, now):
            error = now[0] * error + now[1]
            return error, error

        return lax.scan(step, begin, (left, kicks))[1]


class Error(NamedTuple):
    """What is known of a lasting error: `mean` and `variance` of a normal, in the output's unit and its square."""

    mean: Any
    variance: Any


class Heard(NamedTuple):
    """What one measurement says of the mean it was predicted with.

    Attributes
    ----------
    density : log predictive density, or log probability of its side beyond a limit
    slope, bend : first derivative by the mean, and minus the second
    weight : the same without what the mixture's own indecision takes off: never negative
    """

    density: Any
    slope: Any
    bend: Any
    weight: Any


def heard(residual, shares, variances) -> Heard:
    """Return what a measurement says whose residual (…) is a mixture of normals, (part,) and (…, part)."""
    if variances.shape[-1] == 1:
        weight = 1.0 / variances[..., 0]
        density = -0.5 * residual**2 * weight + 0.5 * jnp.log(weight) - _HALF_LOG_TWO_PI
        return Heard(density, residual * weight, weight, weight)
    away = residual[..., None] / variances
    logs = jnp.log(shares) - 0.5 * residual[..., None] * away - 0.5 * jnp.log(variances) - _HALF_LOG_TWO_PI
    return _mixed(logs, away, 1.0 / variances)


def beyond(residual, shares, variances, side) -> Heard:
    """Return what a value says that is known only to lie beyond a limit, on this side (+1 above, -1 below)."""
    scales = jnp.sqrt(variances)
    z = -side[..., None] * residual[..., None] / scales
    logs = log_ndtr(z)
    ratio = jnp.exp(-0.5 * z**2 - _HALF_LOG_TWO_PI - logs)
    return _mixed(jnp.log(shares) + logs, side[..., None] * ratio / scales, ratio * (ratio + z) / variances)


def _mixed(logs, slopes, bends) -> Heard:
    """Return what a mixture says from what its parts say, (…, part)."""
    density = logsumexp(logs, axis=-1)
    share = jnp.exp(logs - density[..., None])
    slope, weight = jnp.sum(share * slopes, axis=-1), jnp.sum(share * bends, axis=-1)
    spread = jnp.sum(share * (slopes - slope[..., None]) ** 2, axis=-1)
    return Heard(density, slope, weight - spread, weight)


def either(residual, shares, variances, limits) -> Heard:
    """Return what a measurement says that may lie beyond a limit: `limits` (…) is -1, 0 or +1."""
    exact = heard(residual, shares, variances)
    side = jnp.where(limits == 0, 1, limits).astype(float)
    # Far on its own side a limit says nothing and far on the other too much: both tails stay within the numbers.
    far = beyond(jnp.where(limits == 0, 0.0, residual), shares, variances, side)
    return jax.tree.map(lambda a, b: jnp.where(limits == 0, a, b), exact, far)


def learned(error: Error, told: Heard) -> Error:
    """Return what is known of the error after a measurement: the first two moments, exactly."""
    mean = error.mean + error.variance * told.slope
    return Error(mean, jnp.maximum(error.variance - error.variance**2 * told.bend, 1e-12 * error.variance))


class Series(NamedTuple):
    """A series of measurements of one output, for `sweep`.

    Attributes
    ----------
    gaps : (time,) min since the measurement before; `NEVER` for the first
    residuals : (time,) measurements minus noise-free outputs
    variances : (time, part), the independent noise as a mixture of normals
    limits, present : (time,) int and bool
    """

    gaps: Any
    residuals: Any
    variances: Any
    limits: Any
    present: Any


def sweep(drift: Correlated, series: Series, shares, limited: bool, report: Callable[[Error, Heard], Any]):
    """Filter the lasting error from a series of measurements.

    Parameters
    ----------
    drift : Correlated
    series : Series
    shares : (part,) of the noise
    limited : bool, whether any value may lie beyond a limit: the tails cost far more than a density
    report : function of (Error, Heard)
        What is asked at each measurement: of what was known of the error just before, and of what the value then said.

    Returns
    -------
    reported : as `report` says, leaves (time, ...)
    last : Error (), after the last measurement
    """

    def step(error, row):
        before = drift.carried(error, row.gaps)
        given = row.residuals - before.mean, shares, before.variance + row.variances
        told = either(*given, row.limits) if limited else heard(*given)
        after = jax.tree.map(lambda new, old: jnp.where(row.present, new, old), learned(before, told), error)
        return after, report(before, told)

    last, reported = lax.scan(step, drift.unknown(), series)
    return reported, last
