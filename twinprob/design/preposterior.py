"""What a measurement not yet made is expected to teach: arrays of draws in, expected losses out."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import ndtr, ndtri

from ..dynamics.programs import compiled
from ..inference.methods.importance import smooth
from ..modeling.observation import Gaussian, Observation

_QUANTILES = 400
_RESAMPLES = 100
_LOST = 30.0  # a log weight so far below the largest is nothing beside it in float64


@dataclass(frozen=True)
class Sensed:
    """One output as it would be measured, at every draw.

    Attributes
    ----------
    observation : Observation
    sizes : mapping of str to (draw,) the noise fields that are unknown
    means : (draw, time) noise-free output, in its unit
    """

    observation: Observation
    sizes: Mapping[str, np.ndarray]
    means: np.ndarray

    @cached_property
    def variance(self) -> np.ndarray:
        """Variance of normal noise that would tell as much, (draw, time): 1 / Fisher information about the output."""
        return np.asarray(_variance(self.observation, dict(self.sizes), self.means))

    @cached_property
    def logarithmic(self) -> bool:
        """Whether the size of the noise varies less in proportion to the output than in its unit."""
        return log_scaled(self.means, self.variance)

    @property
    def features(self) -> np.ndarray:
        """The output on the scale on which its noise is nearest to constant, (draw, time)."""
        return np.log(self.means) if self.logarithmic else self.means

    @property
    def noise(self) -> np.ndarray:
        """Variance of the noise on the scale of the features, (time,)."""
        return np.mean(self.variance / self.means**2 if self.logarithmic else self.variance, axis=0)

    def select(self, kept: np.ndarray) -> "Sensed":
        """Return some of the draws."""
        return Sensed(self.observation, {name: values[kept] for name, values in self.sizes.items()}, self.means[kept])

    def sample(self, rows: np.ndarray, key) -> np.ndarray:
        """Return one measurement of each of some draws, (row, time)."""
        sizes = {name: values[rows] for name, values in self.sizes.items()}
        return np.asarray(_sample(self.observation, sizes, self.means[rows], jax.random.split(key, len(rows))))

    def log_density(self, measured: np.ndarray) -> np.ndarray:
        """Return the log density of each measurement given each draw, (row, draw)."""
        return np.asarray(_log_density(self.observation, dict(self.sizes), self.means, measured))


def log_scaled(means: np.ndarray, variance: np.ndarray) -> bool:
    """Tell whether noise is nearer to constant on the log scale; means and variance have shape (draw, time)."""
    if not np.all(means > 0):
        return False
    log_sd = 0.5 * np.log(variance)
    return bool(np.std(log_sd - np.log(means)) < np.std(log_sd))


@compiled
def _variance(observation, sizes, means):
    def one(own, mean):
        noise = observation.sized(own).alone().noise
        if type(noise) is Gaussian:
            return noise.scale(mean) ** 2
        spread = jnp.sqrt(noise.distribution(mean).variance)
        points = mean + jnp.sinh(jnp.linspace(-7.0, 7.0, 801))[:, None] / 8 * spread

        def score(m, y):
            return jax.grad(lambda m: noise.distribution(m[None]).log_prob(y[None])[0])(m)

        density = jnp.exp(noise.distribution(mean).log_prob(points))
        scores = jax.vmap(jax.vmap(score), in_axes=(None, 0))(mean, points)
        terms = jnp.where(density > 0, density * scores**2, 0.0)
        return 1.0 / jnp.trapezoid(jnp.where(jnp.isfinite(terms), terms, 0.0), points, axis=0)

    return jax.vmap(one)(sizes, jnp.asarray(means))


@compiled
def _sample(observation, sizes, means, keys):
    def one(own, mean, key):
        drawn = observation.sized(own).alone().noise.distribution(mean).sample(key)
        return observation.shown(drawn)

    return jax.vmap(one)(sizes, jnp.asarray(means), keys)


@compiled
def _log_density(observation, sizes, means, measured):
    limits = jnp.where(measured <= observation.lower, -1, jnp.where(measured >= observation.upper, 1, 0))

    def one(own, mean):
        mine = observation.sized(own).alone()
        return jax.vmap(lambda y, limit: jnp.sum(mine.log_density(y, mean, limit)))(measured, limits)

    return jax.vmap(one)(sizes, jnp.asarray(means)).T


# ---- what is to be lost ------------------------------------------------------------------------------------------


class AbstractLoss:
    """What is lost by not knowing a patient better, from values of shape (draw, quantity)."""

    @property
    def one_draw(self) -> float:
        """The loss that hangs on a single draw, times the number of draws."""
        return 0.0

    def expected(self, values: np.ndarray, told: np.ndarray) -> float:
        """Return the loss after a measurement, where its posterior means have covariance `told`."""
        raise NotImplementedError

    def weighted(self, weights: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return the loss under each row of weights over the draws, (row,)."""
        raise NotImplementedError


class Spread(AbstractLoss):
    """The variance of one quantity; values have shape (draw, 1)."""

    def expected(self, values, told):  # noqa: D102
        return float(np.var(values, ddof=1) - told[0, 0])

    def weighted(self, weights, values):  # noqa: D102
        mean = weights @ values[:, 0]
        square = np.einsum("rd,rd->r", weights, (values[:, 0][None] - mean[:, None]) ** 2)
        return square / np.maximum(1.0 - np.sum(weights**2, axis=1), 1e-12)


@dataclass(frozen=True)
class Misjudged(AbstractLoss):
    """The loss from taking a quantity to be on the wrong side of a limit; values are its normal scores, (draw, 1).

    Attributes
    ----------
    limit : float, the limit's normal score
    missed, false_alarm : float, cost of taking a value below the limit to be above, and the reverse
    """

    limit: float
    missed: float
    false_alarm: float

    @property
    def one_draw(self):  # noqa: D102
        return max(self.missed, self.false_alarm)

    def expected(self, values, told):  # noqa: D102
        mean, variance = float(np.mean(values)), float(np.var(values, ddof=1))
        known = min(max(told[0, 0], 0.0), variance)
        means = mean + np.sqrt(known) * ndtri((np.arange(_QUANTILES) + 0.5) / _QUANTILES)
        return float(np.mean(self._loss(ndtr((self.limit - means) / np.sqrt(max(variance - known, 1e-300))))))

    def weighted(self, weights, values):  # noqa: D102
        below = values[:, 0] < self.limit
        costs = [np.stack([self.missed * p, self.false_alarm * (1.0 - p)]) for p in (np.mean(below), weights @ below)]
        return _after_deciding_anew(-costs[0], -costs[1].T, float(np.min(costs[0])))

    def _loss(self, below):
        return np.minimum(self.missed * below, self.false_alarm * (1.0 - below))


@dataclass(frozen=True)
class Regret(AbstractLoss):
    """The utility lost by not choosing the option that is best for the patient; values are utilities (draw, option).

    Attributes
    ----------
    normals : (row, option) standard normal numbers, the same for all candidates
    """

    normals: np.ndarray

    def expected(self, values, told):  # noqa: D102
        sizes, directions = np.linalg.eigh(told)
        root = directions * np.sqrt(np.maximum(sizes, 0.0))
        away = self.normals @ root.T
        best = np.mean([np.max(np.mean(values, axis=0) + sign * away, axis=1) for sign in (1, -1)])
        return float(np.mean(np.max(values, axis=1)) - best)

    def weighted(self, weights, values):  # noqa: D102
        now = np.mean(values, axis=0)
        return _after_deciding_anew(now, weights @ values, float(np.mean(np.max(values, axis=1)) - np.max(now)))


def _after_deciding_anew(now: np.ndarray, after: np.ndarray, loss: float) -> np.ndarray:
    """Return the loss now less what each row gains over keeping to the decision of now.

    Parameters
    ----------
    now : (option,) expected utilities before a measurement
    after : (row, option) these after each simulated one
    loss : float, now
    """
    # The mean over all measurements is that of the losses themselves, with far less noise.
    return loss - (np.max(after, axis=1) - after[:, np.argmax(now)])


# ---- the fast path -----------------------------------------------------------------------------------------------


def told(values: np.ndarray, sensed: tuple[Sensed, ...]) -> np.ndarray:
    """Return the covariance of the posterior means that a measurement will give: cov(q, y) Σ⁻¹ cov(y, q).

    Parameters
    ----------
    values : (draw, quantity)
    sensed : tuple of Sensed

    Returns
    -------
    covariance : (quantity, quantity)
        Exact where quantity, outputs and noise are jointly normal.
    """
    return _told(values, *_stacked(sensed))


def _stacked(sensed: tuple[Sensed, ...]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([s.features for s in sensed], axis=1), np.concatenate([s.noise for s in sensed])


def _told(values, features, noise) -> np.ndarray:
    quantities = values.shape[1]
    both = np.atleast_2d(np.cov(np.concatenate([values, features], axis=1), rowvar=False))
    cross, spread = both[:quantities, quantities:], both[quantities:, quantities:] + np.diag(noise)
    return cross @ np.linalg.solve(spread, cross.T)


def expected_losses(loss: AbstractLoss, values: np.ndarray, candidates, generator, effective: float):
    """Return the expected loss now and after each candidate, with resamples that tell their Monte Carlo errors.

    Parameters
    ----------
    loss : Spread, Misjudged or Regret
    values : (draw, quantity)
    candidates : sequence of tuples of Sensed
    generator : numpy Generator
    effective : float, independent draws that the draws are worth

    Returns
    -------
    losses : (1 + candidate,) now first
    deviations : (resample, 1 + candidate) from these, scaled to the effective draws
    """
    stacked = [_stacked(sensed) for sensed in candidates]

    def all_of(rows):
        mine = values[rows]
        nothing = np.zeros((values.shape[1], values.shape[1]))
        return [
            loss.expected(mine, nothing),
            *(loss.expected(mine, _told(mine, features[rows], noise)) for features, noise in stacked),
        ]

    draws = len(values)
    losses = np.array(all_of(np.arange(draws)))
    resampled = np.array([all_of(generator.integers(0, draws, draws)) for _ in range(_RESAMPLES)])
    scale = np.sqrt(draws / min(max(effective, 2.0), draws))
    return losses, scale * (resampled - losses)


# ---- the check: nested Monte Carlo -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Nested:
    """Losses by nested Monte Carlo, without assuming anything normal.

    Attributes
    ----------
    rows : (row,) loss after each simulated measurement
    khats : (row,) Pareto k-hat of its importance weights
    """

    rows: np.ndarray
    khats: np.ndarray

    @property
    def mean(self) -> float:
        """The expected loss."""
        return float(np.mean(self.rows))

    @property
    def mcse(self) -> float:
        """Its Monte Carlo standard error, that of the simulated measurements alone."""
        return float(np.std(self.rows, ddof=1) / np.sqrt(len(self.rows)))


def nested_loss(loss: AbstractLoss, values, sensed: tuple[Sensed, ...], rows, groups, key) -> Nested:
    """Simulate a measurement of each of some draws, weigh the other draws by it, and average the losses.

    Parameters
    ----------
    loss : Spread, Misjudged or Regret
    values : (draw, quantity)
    sensed : tuple of Sensed
    rows : (row,) int, the draws taken for the truth in turn
    groups : (draw,) int, the same for draws that are copies of each other: a truth must not be found among the others
    key : jax PRNG key

    Returns
    -------
    Nested
    """
    keys = jax.random.split(key, len(sensed))
    logs = sum(s.log_density(s.sample(rows, k)) for s, k in zip(sensed, keys, strict=True))
    logs = np.where(groups[None] == groups[rows][:, None], -np.inf, logs)
    smoothed = [_smoothed(row) for row in logs]
    weights = np.exp(np.stack([log_weights for log_weights, _ in smoothed]))
    return Nested(loss.weighted(weights, values), np.array([khat for _, khat in smoothed]))


def _smoothed(logs: np.ndarray) -> tuple[np.ndarray, float]:
    """Return smoothed normalized log weights and k-hat, infinite where too few draws are left to fit a tail to."""
    near = logs > np.max(logs) - _LOST
    if near.sum() < 3 * np.sqrt(len(logs)):
        return logs - np.logaddexp.reduce(logs), np.inf
    return smooth(logs)
