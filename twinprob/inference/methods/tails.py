"""What a proposal may have missed: draws moved on by Markov chains, and mixtures that follow their local shape."""

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import gammaln, logsumexp

from .importance import Weighted, systematic
from .nested import Proposal, Region
from .pool import Densities

# All are settings, not published.
_STRETCH = 2.0
_SKEW, _PEAK, _BENT = 0.5, 1.0, 0.3
_CENTERS, _NEIGHBORS = 300, 100
_TAILS = 4.0
_WIDE = 0.1  # share of the proposals that follow the shape of the whole
_LEVELS = (0.05, 0.95)
_FAR, _LARGE = 4.0, 0.01  # standard errors, and probability, from which a tail is called missing


def looks_normal(weighted: Weighted) -> bool:
    """Whether weighted draws are near enough to a normal that kernels of one shape cannot miss much of it."""
    mean, covariance = weighted.moments()
    root = np.linalg.cholesky(covariance + 1e-10 * np.diag(np.diag(covariance)))
    for scaled in (np.linalg.inv(root), np.diag(1.0 / np.sqrt(np.diag(covariance)))):
        z = (weighted.positions - mean) @ scaled.T
        squares = weighted.weights @ z**2
        skew = np.abs(weighted.weights @ z**3) / squares**1.5
        peak = weighted.weights @ z**4 / squares**2 - 3.0
        bent = np.abs((z * weighted.weights[:, None]).T @ (z**2 - squares)) / np.sqrt(peak + 2.0 + 1e-9)
        if np.any(skew > _SKEW) or np.any(peak > _PEAK) or np.any(bent > _BENT):
            return False
    return True


def widest(weighted: Weighted) -> int:
    """Return the unknown that spreads the most, whose quantiles are the hardest to place."""
    return int(np.argmax(np.diag(weighted.moments()[1])))


def moved(positions: np.ndarray, sweeps: int, chance: np.random.Generator) -> Generator[Any, Any, np.ndarray]:
    """Move draws (draw, unknown) by so many sweeps of Markov chains that leave the posterior as it is.

    The draws are an ensemble of walkers [1]_: each steps along a line through another one, or by a difference of two
    others, so that steps have the shape of the posterior whatever its scales.

    References
    ----------
    .. [1] Goodman J, Weare J. Ensemble samplers with affine invariance. Commun Appl Math Comput Sci 2010;5:65-80.
       doi:10.2140/camcos.2010.5.65
    """
    now, size = positions.copy(), positions.shape[1]
    heights = np.asarray((yield Densities(now)))
    halves = np.array_split(chance.permutation(len(now)), 2)
    for sweep in range(2 * sweeps):
        mine, others = halves[sweep % 2], now[halves[1 - sweep % 2]]
        one, two = (chance.integers(0, len(others), len(mine)) for _ in range(2))
        if (sweep // 2) % 2 == 0:
            z = ((_STRETCH - 1.0) * chance.uniform(size=len(mine)) + 1.0) ** 2 / _STRETCH
            there, gain = others[one] + z[:, None] * (now[mine] - others[one]), (size - 1) * np.log(z)
        else:
            length = 2.38 / math.sqrt(2 * size) * np.exp(chance.uniform(math.log(0.1), 0.0, len(mine)))
            there, gain = now[mine] + length[:, None] * (others[one] - others[two]), np.zeros(len(mine))
        found = np.asarray((yield Densities(there)))
        found = np.where(np.isfinite(found), found, -np.inf)
        fine = np.log(chance.uniform(size=len(mine))) < found - heights[mine] + gain
        now[mine[fine]], heights[mine[fine]] = there[fine], found[fine]
    return now


@dataclass(frozen=True)
class Shapes:
    """A mixture of Student-t densities, each of the shape that the draws have around it, beside one of the whole.

    Attributes
    ----------
    centers : (component, unknown)
    roots : (component, unknown, unknown) lower triangular
    wide : Proposal
    """

    centers: np.ndarray
    roots: np.ndarray
    wide: Proposal

    def draw(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Return positions, shape (draw, unknown)."""
        far = generator.uniform(size=count) < _WIDE
        which = generator.integers(0, len(self.centers), count)
        z = generator.standard_normal((count, self.centers.shape[1]))
        z *= np.sqrt(_TAILS / generator.chisquare(_TAILS, count))[:, None]
        near = self.centers[which] + np.einsum("nij,nj->ni", self.roots[which], z)
        return np.where(far[:, None], self.wide.draw(count, generator), near)

    def log_density(self, positions: np.ndarray) -> np.ndarray:
        """Return the log density of positions, shape (draw,)."""
        size = self.centers.shape[1]
        constant = gammaln((_TAILS + size) / 2) - gammaln(_TAILS / 2) - 0.5 * size * np.log(_TAILS * np.pi)
        logs = np.empty((len(positions), len(self.centers)))
        for i, (center, root) in enumerate(zip(self.centers, self.roots, strict=True)):
            squares = np.sum(((positions - center) @ np.linalg.inv(root).T) ** 2, axis=1)
            logs[:, i] = -0.5 * (_TAILS + size) * np.log1p(squares / _TAILS) - np.sum(np.log(np.diag(root)))
        near = constant + logsumexp(logs, axis=1) - np.log(len(self.centers))
        return np.logaddexp(np.log1p(-_WIDE) + near, np.log(_WIDE) + self.wide.log_density(positions))


def shapes(points: np.ndarray, wide: Proposal, chance: np.random.Generator) -> Shapes:
    """Return the mixture that follows points (draw, unknown): at some of them, shaped like their neighbors."""
    covariance = np.cov(points.T).reshape(points.shape[1], -1)
    metric = np.linalg.inv(np.linalg.cholesky(covariance + 1e-10 * np.diag(np.diag(covariance)))).T
    centers = points[chance.permutation(len(points))[:_CENTERS]]
    count = min(len(points), max(_NEIGHBORS, 10 * points.shape[1]))
    near = np.argpartition(cdist(centers @ metric, points @ metric), count - 1, axis=1)[:, :count]
    away = points[near] - centers[:, None]
    local = np.einsum("cni,cnj->cij", away, away) / count
    return Shapes(centers, np.linalg.cholesky(local + 1e-4 * np.diag(np.diag(covariance))), wide)


def followed(
    regions: list[Region], weighted: Weighted, sweeps: int, count: int, chance: np.random.Generator
) -> Generator[Any, Any, tuple[list[Region], np.ndarray]]:
    """Move the draws of each region and let its proposal follow them.

    Returns
    -------
    regions : list of Region
    draws : (draw, unknown), the moved draws of all regions
    """
    found, draws = [], []
    for i, region in enumerate(regions):
        weights = np.where(weighted.owners == i, weighted.weights, 0.0)
        share = weights.sum()
        most = round(count * share)
        if most < 2 * _NEIGHBORS:
            found.append(region)
            continue
        begin = weighted.positions[systematic(weights / share, most, chance)]
        there = yield from moved(begin, sweeps, chance)
        wide = region.others.wide if isinstance(region.others, Shapes) else region.others
        found.append(Region(share, shapes(there, wide, chance), None))
        draws.append(there)
    return found, np.concatenate(draws) if draws else weighted.positions[:0]


def missing(weighted: Weighted, draws: np.ndarray) -> list[tuple[int, float, float]]:
    """Return where moved draws leave the weighted ones: (unknown, level, share of the moved draws below)."""
    found = []
    for place in range(draws.shape[1]) if len(draws) else ():
        order = np.argsort(weighted.positions[:, place])
        shares = np.cumsum(weighted.weights[order])
        for level in _LEVELS:
            edge = weighted.positions[order, place][min(np.searchsorted(shares, level), len(order) - 1)]
            below = float(np.mean(draws[:, place] <= edge))
            error = math.sqrt(level * (1 - level) * (1 / len(draws) + 1 / weighted.ess))
            if abs(below - level) > max(_FAR * error, _LARGE):
                found.append((place, level, below))
    return found
