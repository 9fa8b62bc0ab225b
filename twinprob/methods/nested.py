"""Nested Laplace approximation: paths by a normal at each of many nodes, the rest by adaptive importance sampling."""

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, logsumexp

from ..joint import Joint
from .importance import Mixture, densities_at, systematic
from .modes import Mode, Split, climb_from

_TAILS = 5.0
_ROUNDS = 3
_NODES = 48
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
    curvatures : (node, unknown, unknown), without unknowns where there are no paths
    """

    positions: np.ndarray
    log_marginals: np.ndarray
    curvatures: np.ndarray

    def join(self, other: "Nodes") -> "Nodes":
        """Return these nodes and then the others."""
        return Nodes(
            np.concatenate([self.positions, other.positions]),
            np.concatenate([self.log_marginals, other.log_marginals]),
            np.concatenate([self.curvatures, other.curvatures]),
        )


def evaluate(joint: Joint, parts: Split, positions: np.ndarray) -> Nodes:
    """Find the best path for each position and integrate around it by Laplace's approximation."""
    if not parts.path.any():
        return Nodes(positions, densities_at(joint, positions), np.empty((len(positions), 0, 0)))
    positions, values, _, curvatures = climb_from(joint, positions, parts.path, 12, _TOLERANCE)
    inner = curvatures[:, parts.path][:, :, parts.path]
    volume = 0.5 * parts.path.sum() * np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(inner)[1]
    return Nodes(positions, values + volume, curvatures)


def slopes(curvature: np.ndarray, path: np.ndarray) -> np.ndarray:
    """Return how the best path moves with the other unknowns, shape (path unknown, other unknown)."""
    return -np.linalg.solve(curvature[np.ix_(path, path)], curvature[np.ix_(path, ~path)])


def explore(joint: Joint, mode: Mode, parts: Split, spread: np.ndarray, generator) -> tuple[Nodes, np.ndarray, float]:
    """Spread nodes over the unknowns that are no paths by adaptive importance sampling from one mode.

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
    inner = joint.size if parts.path.any() else 0
    nodes = Nodes(np.empty((0, joint.size)), np.empty(0), np.empty((0, inner, inner)))
    proposals, weights, evidence = [], np.zeros(0), -np.inf
    for _ in range(_ROUNDS):
        root = np.linalg.cholesky(covariance + 1e-12 * np.diag(np.diag(covariance)))
        points = center + _quasirandom(_NODES if parts.path.any() else _PATHLESS_NODES, len(center), generator) @ root.T
        begin = np.empty((len(points), joint.size))
        begin[:, others], begin[:, parts.path] = points, _guess(mode, nodes, weights, parts.path, points)
        nodes = nodes.join(evaluate(joint, parts, begin))
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
        return surface(nodes, weights, path).at(points)[0]
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

    def at(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the best path (point, path unknown) and the inverse root (point, path unknown, path unknown)."""
        terms, _ = _terms(_clamped((points - self.center) @ self.metric.T))
        size = self.best.shape[1]
        roots = (terms @ self.roots.reshape(len(self.roots), -1)).reshape(-1, size, size)
        diagonal = np.arange(size)
        roots[:, diagonal, diagonal] = np.exp(roots[:, diagonal, diagonal])
        return terms @ self.best, roots


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


def surface(nodes: Nodes, weights, path: np.ndarray) -> Surface:
    """Fit the surface to values and slopes at the nodes, each as important as the root of its weight."""
    points = nodes.positions[:, ~path]
    center = weights @ points
    away = points - center
    covariance = (weights[:, None] * away).T @ away
    root = np.linalg.cholesky(covariance + 1e-10 * np.diag(np.diag(covariance)))
    metric = np.linalg.inv(root)
    away = away @ metric.T
    near = np.linalg.norm(away, axis=1) < 1.5 * _REACH
    away, curvatures, paths, weights = away[near], nodes.curvatures[near], nodes.positions[near][:, path], weights[near]
    importance = np.sqrt(np.sqrt(weights) + 0.01 * np.sqrt(weights).max())
    terms, derivatives = _terms(away)
    slopes_ = np.stack([slopes(c, path) for c in curvatures]) @ root
    rows = [(importance[:, None] * terms), (importance[:, None, None] * derivatives).reshape(-1, terms.shape[1])]
    aims = [
        importance[:, None] * paths,
        (importance[:, None, None] * np.swapaxes(slopes_, 1, 2)).reshape(-1, path.sum()),
    ]
    best = _least_squares(np.concatenate(rows), np.concatenate(aims))
    inner = np.swapaxes(np.linalg.inv(np.linalg.cholesky(curvatures[:, path][:, :, path])), 1, 2)
    diagonal = np.arange(path.sum())
    inner[:, diagonal, diagonal] = np.log(inner[:, diagonal, diagonal])
    roots = _least_squares(rows[0], importance[:, None] * inner.reshape(len(inner), -1))
    return Surface(center, metric, best, roots.reshape(-1, path.sum(), path.sum()))


def _least_squares(rows, aims):
    """Return ridge-regularized coefficients, the constant free."""
    ridge = _RIDGE * np.sum(rows[:, 0] ** 2) * np.eye(rows.shape[1])
    ridge[0, 0] = 0.0
    return np.linalg.solve(rows.T @ rows + ridge, rows.T @ aims)


@dataclass(frozen=True)
class Region:
    """The proposal around one mode: a mixture over the unknowns that are no paths, and the paths given those."""

    share: float
    others: Mixture
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
                best, roots = region.paths.at(points)
                positions[np.ix_(mine, path)] = best + np.einsum("npq,nq->np", roots, z)
                logs[mine, i] += _normal(z, roots)
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
    best, roots = region.paths.at(points)
    z = np.linalg.solve(roots, (positions[:, path] - best)[..., None])[..., 0]
    return log + _normal(z, roots)


def _normal(z, roots):
    """Return the log density of best + root z."""
    volume = np.sum(np.log(np.diagonal(roots, axis1=1, axis2=2)), axis=1)
    return -0.5 * np.sum(z**2, axis=1) - 0.5 * z.shape[1] * np.log(2 * np.pi) - volume
