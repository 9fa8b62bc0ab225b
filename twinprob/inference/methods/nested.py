"""Nested Laplace approximation: paths by a normal at each of many nodes, the rest by adaptive importance sampling."""

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Protocol

import jax.numpy as jnp
import numpy as np
from scipy.special import gammaln, logsumexp

from ...dynamics.programs import compiled
from .climb import Split
from .importance import systematic
from .modes import Mode
from .pool import Climb, Densities

_TAILS = 5.0
_ROUNDS = 3
_PATHLESS_NODES = 500
_REACH = 4.0
_RIDGE = 1e-2
_TOLERANCE = 0.03
_CHUNK = 500


@dataclass(frozen=True)
class Nodes:
    """Values of the unknowns that are no paths, each with its best path and the weight of all its paths.

    Attributes
    ----------
    positions : (node, unknown), the path of each at its conditional mode
    log_marginals : (node,) log integral of the density over the paths
    slopes : (node, path unknown, other unknown), how the best path moves with the other unknowns
    roots : (node, path unknown, path unknown), inverse root of the path's curvature, upper triangular, log on the
        diagonal
    """

    positions: np.ndarray
    log_marginals: np.ndarray
    slopes: np.ndarray
    roots: np.ndarray

    @classmethod
    def none(cls, size: int, path: int) -> "Nodes":
        """Return no nodes."""
        return cls(np.empty((0, size)), np.empty(0), np.empty((0, path, size - path)), np.empty((0, path, path)))

    def join(self, other: "Nodes") -> "Nodes":
        """Return these nodes and then the others."""
        return Nodes(*(np.concatenate([getattr(x, f) for x in (self, other)]) for f in self.__dataclass_fields__))


def evaluate(parts: Split, positions: np.ndarray) -> Generator[Any, Any, Nodes]:
    """Find the best path for each position and integrate around it by Laplace's approximation."""
    if not parts.path.any():
        empty = Nodes.none(positions.shape[1], 0)
        count = len(positions)
        return Nodes(
            positions,
            (yield Densities(positions)),
            *(np.empty((count, *x.shape[1:])) for x in (empty.slopes, empty.roots)),
        )
    path, found = parts.path, (yield Climb(positions, parts.path, 12, _TOLERANCE))
    inverse, sound = _inverse_roots(found.curvatures[:, path][:, :, path])
    diagonal = np.arange(path.sum())
    logs = np.log(inverse[:, diagonal, diagonal])
    volume = 0.5 * path.sum() * np.log(2 * np.pi) + np.sum(logs, axis=1)
    slopes_ = -inverse @ (np.swapaxes(inverse, 1, 2) @ found.curvatures[:, path][:, :, ~path])
    slopes_[~sound] = 0.0
    inverse[:, diagonal, diagonal] = logs
    return Nodes(found.positions, np.where(sound, found.values + volume, -np.inf), slopes_, inverse)


def _inverse_roots(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return upper triangular roots of the inverses, (matrix, n, n), and which there are; the others are the identity.

    Far from the mode numbers of a curvature may differ by more than double precision holds: such a node has no volume.
    """
    from scipy.linalg.lapack import dpotrf, dtrtri  # here because importing it takes long

    roots, sound = np.tile(np.eye(matrices.shape[1]), (len(matrices), 1, 1)), np.zeros(len(matrices), bool)
    for i, matrix in enumerate(matrices):
        lower, failed = dpotrf(matrix, lower=1)
        if not failed and np.all(np.isfinite(lower)):
            roots[i], sound[i] = dtrtri(lower, lower=1)[0], True
    return roots.swapaxes(1, 2), sound


def slopes(curvature: np.ndarray, path: np.ndarray) -> np.ndarray:
    """Return how the best path moves with the other unknowns, shape (path unknown, other unknown)."""
    return -np.linalg.solve(curvature[np.ix_(path, path)], curvature[np.ix_(path, ~path)])


def explore(
    mode: Mode, parts: Split, spread: np.ndarray, generator, count: int
) -> Generator[Any, Any, tuple[Nodes, np.ndarray, float]]:
    """Spread nodes over the unknowns that are no paths by adaptive importance sampling from one mode.

    `count` nodes are added per round; where there are no paths a node costs no climb, and there are more of them.

    Returns
    -------
    nodes : Nodes
    weights : (node,) normalized
    log_evidence : float, log integral of the density around this mode
    """
    others = ~parts.path
    center, covariance = mode.position[others], np.linalg.inv(mode.curvature)[np.ix_(others, others)]
    loose = parts.scale[others]
    covariance[loose] = covariance[:, loose] = 0.0
    covariance[loose, loose] = spread[parts.scale] ** 2
    nodes = Nodes.none(len(others), int(parts.path.sum()))
    proposals, weights, evidence = [], np.zeros(0), -np.inf
    for _ in range(_ROUNDS):
        root = np.linalg.cholesky(covariance + 1e-12 * np.diag(np.diag(covariance)))
        points = center + _quasirandom(count if parts.path.any() else _PATHLESS_NODES, len(center), generator) @ root.T
        begin = np.empty((len(points), len(others)))
        begin[:, others], begin[:, parts.path] = points, _guess(mode, nodes, weights, parts.path, points)
        nodes = nodes.join((yield from evaluate(parts, begin)))
        proposals.append((center, root))
        ratios = nodes.log_marginals - _balance(nodes.positions[:, others], proposals)
        evidence = float(logsumexp(ratios) - np.log(len(ratios)))
        if not np.isfinite(evidence):
            covariance = 0.25 * covariance
            continue
        weights = _tempered(ratios, 3.0 * len(center))
        center, covariance = _moments(nodes.positions[:, others], weights, covariance)
    return nodes, weights, evidence


def _guess(mode: Mode, nodes: Nodes, weights, path, points):
    """Return where to look for the best path: from the nodes known so far, or along the slope at the mode."""
    if not path.any():
        return np.empty((len(points), 0))
    if len(weights) and len(weights) == len(nodes.log_marginals):
        return surface(nodes, weights, path, roots=False).best_at(points)
    follow = slopes(mode.curvature, path)
    return mode.position[path] + (points - mode.position[~path]) @ follow.T


def _quasirandom(count: int, size: int, generator):
    """Return scrambled Halton points with a multivariate Student-t distribution, shape (count, size)."""
    from scipy.stats import chi2, norm, qmc  # here because importing it takes as long as half of JAX

    points = np.clip(qmc.Halton(size + 1, seed=generator).random(count), 1e-9, 1 - 1e-9)
    return norm.ppf(points[:, :-1]) * np.sqrt(_TAILS / chi2.ppf(points[:, -1:], _TAILS))


def _balance(positions, proposals):
    """Return the log density of the mixture of all rounds' proposals."""
    size, logs = positions.shape[1], []
    constant = gammaln((_TAILS + size) / 2) - gammaln(_TAILS / 2) - 0.5 * size * np.log(_TAILS * np.pi)
    for center, root in proposals:
        squares = np.sum(np.linalg.solve(root, (positions - center).T) ** 2, axis=0)
        logs.append(constant - np.linalg.slogdet(root)[1] - 0.5 * (_TAILS + size) * np.log1p(squares / _TAILS))
    return logsumexp(logs, axis=0) - np.log(len(proposals))


def _tempered(log_ratios, least: float) -> np.ndarray:
    """Return normalized weights, flattened just enough that their effective number is `least`."""
    power = 1.0
    while True:
        weights = np.exp(power * (log_ratios - log_ratios.max()))
        weights /= weights.sum()
        if 1.0 / np.sum(weights**2) >= min(least, 0.3 * np.isfinite(log_ratios).sum()) or power < 1e-3:
            return weights
        power *= 0.8


def _moments(points, weights, old):
    """Return weighted mean and covariance, the latter drawn to the old one while the weights are few."""
    center = weights @ points
    away = points - center
    effective = 1.0 / np.sum(weights**2)
    trust = effective / (effective + 2.0 * len(center))
    return center, trust * (weights[:, None] * away).T @ away + (1.0 - trust) * old


@dataclass(frozen=True)
class Surface:
    """The normal approximation of the paths as a smooth function of the other unknowns.

    Attributes
    ----------
    center : (other unknown,)
    metric : (other unknown, other unknown), turns differences from the center into multiples of the posterior's spread
    best : (term, path unknown), coefficients of the best path
    roots : (term, path unknown, path unknown), coefficients of the inverse root of the curvature, log on the diagonal
    """

    center: np.ndarray
    metric: np.ndarray
    best: np.ndarray
    roots: np.ndarray

    def best_at(self, points: np.ndarray) -> np.ndarray:
        """Return the best path at points, shape (point, path unknown)."""
        return self._terms(points) @ self.best

    def spread(self, points: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return a path at each point for its standard normal z (point, path unknown), and the path's log density."""
        # In blocks of one size, so that few programs serve all; compiled, since BLAS's own threads get in each
        # other's way where several patients are under way.
        blocks, count = -(-len(points) // _CHUNK), len(points)
        size = min(_CHUNK, 1 << max(count - 1, 0).bit_length())
        pad = ((0, blocks * size - count), (0, 0))
        parts = zip(*(np.split(np.pad(x, pad), blocks) for x in (self._terms(points), z)), strict=True)
        found = [_spread(terms, part, self.best, self.roots) for terms, part in parts]
        paths, logs = (np.concatenate([np.asarray(one[i]) for one in found])[:count] for i in range(2))
        return paths, logs

    def log_density(self, points: np.ndarray, paths: np.ndarray) -> np.ndarray:
        """Return the log density of a path (point, path unknown) at each point."""
        terms = self._terms(points)
        size = self.best.shape[1]
        roots = (terms @ self.roots.reshape(len(self.roots), -1)).reshape(-1, size, size)
        diagonal = np.arange(size)
        logs = roots[:, diagonal, diagonal]
        roots[:, diagonal, diagonal] = np.exp(logs)
        return _normal(np.linalg.solve(roots, (paths - terms @ self.best)[..., None])[..., 0], logs)

    def _terms(self, points):
        return _terms(_clamped((points - self.center) @ self.metric.T))[0]


@compiled
def _spread(terms, z, best, roots):
    """Return best + root z, and its log density, for the terms of a surface at each point."""
    diagonal = jnp.einsum("tqq->tq", roots)
    logs = terms @ diagonal
    sheared = roots - diagonal[:, :, None] * jnp.eye(z.shape[1])
    # One product for all terms of the surface: the root at every point would be a matrix each.
    moved = (z @ jnp.reshape(jnp.transpose(sheared, (2, 0, 1)), (z.shape[1], -1))).reshape(-1, *best.shape)
    paths = terms @ best + jnp.exp(logs) * z + jnp.sum(terms[:, :, None] * moved, axis=1)
    return paths, -0.5 * jnp.sum(z**2, axis=1) - 0.5 * z.shape[1] * math.log(2 * math.pi) - jnp.sum(logs, axis=1)


def _clamped(away):
    """Hold points that are further out than `_REACH` spreads at that distance: a quadratic must not run away."""
    distance = np.linalg.norm(away, axis=1, keepdims=True)
    return away * np.minimum(1.0, _REACH / np.maximum(distance, 1e-12))


def _terms(away):
    """Return the terms of a full quadratic (point, term) and their derivatives (point, direction, term)."""
    count, size = away.shape
    first, second = np.triu_indices(size)
    terms = np.concatenate([np.ones((count, 1)), away, away[:, first] * away[:, second]], axis=1)
    unit = np.eye(size)
    products = unit[:, first] * away[:, None, second] + unit[:, second] * away[:, None, first]
    flat = np.broadcast_to(np.concatenate([np.zeros((size, 1)), unit], axis=1), (count, size, size + 1))
    return terms, np.concatenate([flat, products], axis=2)


def surface(nodes: Nodes, weights, path: np.ndarray, *, roots: bool = True) -> Surface:
    """Fit the surface to values and slopes at the nodes, each as important as the root of its weight.

    Without `roots` it only tells the best path.
    """
    points = nodes.positions[:, ~path]
    center = weights @ points
    away = points - center
    covariance = (weights[:, None] * away).T @ away
    root = np.linalg.cholesky(covariance + 1e-10 * np.diag(np.diag(covariance)))
    metric = np.linalg.inv(root)
    away = away @ metric.T
    near = np.linalg.norm(away, axis=1) < 1.5 * _REACH
    away, weights = away[near], weights[near]
    importance = np.sqrt(np.sqrt(weights) + 0.01 * np.sqrt(weights).max())
    terms, derivatives = _terms(away)
    slopes_ = nodes.slopes[near] @ root
    rows = [(importance[:, None] * terms), (importance[:, None, None] * derivatives).reshape(-1, terms.shape[1])]
    aims = [
        importance[:, None] * nodes.positions[near][:, path],
        (importance[:, None, None] * np.swapaxes(slopes_, 1, 2)).reshape(-1, path.sum()),
    ]
    best = _least_squares(np.concatenate(rows), np.concatenate(aims))
    if not roots:
        return Surface(center, metric, best, np.empty((0, 0, 0)))
    inner = nodes.roots[near]
    found = _least_squares(rows[0], importance[:, None] * inner.reshape(len(inner), -1))
    return Surface(center, metric, best, found.reshape(-1, path.sum(), path.sum()))


def _least_squares(rows, aims):
    """Return ridge-regularized coefficients, the constant free."""
    ridge = _RIDGE * np.sum(rows[:, 0] ** 2) * np.eye(rows.shape[1])
    ridge[0, 0] = 0.0
    return np.linalg.solve(rows.T @ rows + ridge, rows.T @ aims)


class Proposal(Protocol):
    """What is asked of a mixture over the unknowns that are no paths."""

    def draw(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Return positions, shape (draw, unknown)."""
        ...

    def log_density(self, positions: np.ndarray) -> np.ndarray:
        """Return the log density of positions, shape (draw,)."""
        ...


@dataclass(frozen=True)
class Region:
    """The proposal around one mode: a mixture over the unknowns that are no paths, and the paths given those."""

    share: float
    others: Proposal
    paths: Surface | None


def propose(regions: list[Region], path: np.ndarray, count: int, generator):
    """Draw positions from all regions and return them with their log proposal density and their region.

    Returns
    -------
    positions : (draw, unknown), log_densities : (draw,), owners : (draw,) int
    """
    shares = np.array([r.share for r in regions])
    shares = shares / shares.sum()
    owners = systematic(shares, count, generator)
    positions = np.empty((count, len(path)))
    logs = np.full((count, len(regions)), -np.inf)
    for i, region in enumerate(regions):
        for mine in np.array_split(np.flatnonzero(owners == i), max(1, np.sum(owners == i) // _CHUNK)):
            points = region.others.draw(len(mine), generator)
            positions[np.ix_(mine, ~path)] = points
            logs[mine, i] = region.others.log_density(points)
            if region.paths is not None:
                z = generator.standard_normal((len(mine), path.sum()))
                positions[np.ix_(mine, path)], density = region.paths.spread(points, z)
                logs[mine, i] += density
    for i, region in enumerate(regions):
        for strangers in np.array_split(np.flatnonzero(owners != i), max(1, np.sum(owners != i) // _CHUNK)):
            logs[strangers, i] = region_density(region, positions[strangers], path)
    return positions, logsumexp(logs + np.log(shares), axis=1), owners


def region_density(region: Region, positions: np.ndarray, path: np.ndarray) -> np.ndarray:
    """Return the log density of positions under one region's proposal, shape (draw,)."""
    points = positions[:, ~path]
    log = region.others.log_density(points)
    if region.paths is None or not len(points):
        return log
    return log + region.paths.log_density(points, positions[:, path])


def _normal(z, logs):
    """Return the log density of best + root z, for the logarithms of the root's diagonal."""
    return -0.5 * np.sum(z**2, axis=1) - 0.5 * z.shape[1] * np.log(2 * np.pi) - np.sum(logs, axis=1)
