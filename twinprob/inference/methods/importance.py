"""Importance sampling from mixtures, Pareto-smoothed and judged by k-hat."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import gammaln, logsumexp

from ..joint import Joint
from .pool import Densities, answer, ask


@dataclass(frozen=True)
class Mixture:
    """A mixture of multivariate Student-t densities with one common shape.

    Attributes
    ----------
    centers : (component, unknown)
    root : (unknown, unknown) lower triangular, center + root z with z standard
    weights : (component,) summing to one
    df : float, degrees of freedom
    """

    centers: np.ndarray
    root: np.ndarray
    weights: np.ndarray
    df: float

    def draw(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Return positions, shape (draw, unknown)."""
        z = generator.standard_normal((count, self.centers.shape[1]))
        z *= np.sqrt(self.df / generator.chisquare(self.df, count))[:, None]
        return self.centers[systematic(self.weights, count, generator)] + z @ self.root.T

    def log_density(self, positions: np.ndarray) -> np.ndarray:
        """Return the log density of positions, shape (draw,)."""
        df, size = self.df, self.centers.shape[1]
        inverse = np.linalg.inv(self.root)
        there, centers = positions @ inverse.T, self.centers @ inverse.T
        squares = cdist(there, centers, "sqeuclidean")
        constant = gammaln((df + size) / 2) - gammaln(df / 2) - 0.5 * size * np.log(df * np.pi)
        constant -= np.sum(np.log(np.diag(self.root)))
        alive = self.weights > 0
        logs = np.log(self.weights[alive]) - 0.5 * (df + size) * np.log1p(squares[:, alive] / df)
        return constant + logsumexp(logs, axis=1)


def kernels(points: np.ndarray, weights: np.ndarray, width: float, df: float) -> Mixture:
    """Return a kernel mixture that has the weighted mean and covariance of points.

    A kernel is `width` times as wide as the points; centers move toward the mean by as much as keeps the covariance.
    """
    mean = weights @ points
    away = points - mean
    covariance = (weights[:, None] * away).T @ away
    root = np.linalg.cholesky(covariance + 1e-10 * np.diag(np.diag(covariance)))
    return Mixture(mean + np.sqrt(1.0 - width**2) * away, width * root, weights, df)


@dataclass(frozen=True)
class Weighted:
    """Proposed positions, their log densities, smoothed normalized log weights, modes and log density ratios."""

    positions: np.ndarray
    densities: np.ndarray
    log_weights: np.ndarray
    khat: float
    owners: np.ndarray
    log_ratios: np.ndarray

    def log_evidences(self, groups: int) -> np.ndarray:
        """Return independent estimates of the log evidence, one from every `groups`-th proposal, shape (group,)."""
        parts = [self.log_ratios[i::groups] for i in range(groups)]
        return np.array([logsumexp(part) - np.log(len(part)) for part in parts])

    @property
    def weights(self) -> np.ndarray:
        """Normalized weights, shape (draw,)."""
        return np.exp(self.log_weights)

    @property
    def ess(self) -> float:
        """Effective number of draws of the weights."""
        return float(1.0 / np.sum(self.weights**2))

    @property
    def rejected(self) -> float:
        """Share of the draws whose solve failed."""
        return float(np.mean(~np.isfinite(self.densities)))

    def moments(self, mine=True) -> tuple[np.ndarray, np.ndarray]:
        """Return the weighted mean and covariance of the draws, or of those of them that are `mine`."""
        weights = np.where(mine, self.weights, 0.0)
        weights = weights / weights.sum()
        mean = weights @ self.positions
        away = self.positions - mean
        return mean, (weights[:, None] * away).T @ away

    def resample(self, count: int, generator: np.random.Generator, along: int | None = None) -> np.ndarray:
        """Return `count` indices by systematic resampling, shuffled so that chains are exchangeable.

        With `along`, an unknown, its quantiles are those of the weighted draws: resampling adds no noise to them.
        """
        if along is None:
            return generator.permutation(systematic(self.weights, count, generator))
        order = np.argsort(self.positions[:, along])
        return generator.permutation(order[systematic(self.weights[order], count, generator)])


def systematic(weights: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Return `count` indices in proportion to weights, with the least variance."""
    edges = np.cumsum(weights)
    ticks = (np.arange(count) + generator.uniform()) / count * edges[-1]
    return np.minimum(np.searchsorted(edges, ticks), len(edges) - 1)


def densities_at(joint: Joint, positions: np.ndarray) -> np.ndarray:
    """Return log p(position, data), shape (draw,)."""
    return answer(joint, lambda parts: ask(Densities(np.asarray(positions))))


def smooth(log_ratios: np.ndarray) -> tuple[np.ndarray, float]:
    """Return Pareto-smoothed, normalized log weights and k-hat; failed solves (minus infinity) weigh nothing."""
    from arviz_stats.base.array import array_stats  # here because importing it loads matplotlib

    alive = np.isfinite(log_ratios)
    if alive.sum() < 25:
        return np.where(alive, -np.log(max(alive.sum(), 1)), -np.inf), np.inf
    if np.ptp(log_ratios[alive]) < 1e-12:
        return np.where(alive, -np.log(alive.sum()), -np.inf), -np.inf
    weights = np.full(len(log_ratios), -np.inf)
    smoothed, khat = array_stats.psislw(-log_ratios[alive])  # takes the negative
    weights[alive] = smoothed - np.logaddexp.reduce(smoothed)
    return weights, float(khat)
