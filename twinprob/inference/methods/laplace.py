"""Nested Laplace approximation at every mode, corrected and judged by Pareto-smoothed importance resampling."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np

from ...patient.require import number, require_settings, whole
from ..joint import Joint
from .climb import Split
from .importance import Weighted, kernels, smooth, systematic
from .modes import Mode, apart, at_sizes, distinct_from, search
from .nested import Nodes, Region, explore, propose, surface
from .pool import Densities, answer
from .sampled import AbstractMethod, Sampled, generator
from .tails import followed, looks_normal, missing, widest

_GOOD = 0.5
# Wide kernels with heavy tails: with narrower ones (0.7, 20 degrees of freedom) calibration found the lower tail of
# the minimal model's insulin sensitivity too short.
_WIDTH = 0.9
_TAILS = 4.0
_CENTERS = 200
# Where draws are not normal: rounds of following them, sweeps of Markov chains in each, their
# number, and how many more proposals in the last.
_PURSUITS, _SWEEPS, _WALKERS, _MORE = 3, 20, 1000, 4


class Laplace(AbstractMethod):
    """Nested Laplace approximation, corrected by Pareto-smoothed importance resampling.

    Paths of varying parameters are integrated by a normal approximation at each of many nodes; volatilities, noise
    sizes and constants are integrated over these nodes, never maximized together with a path.

    Parameters
    ----------
    starts : int
        Dispersed starting points of the mode search.
    iterations : int
        Most Gauss–Newton iterations from each.
    chains, draws : int
        Shape of the result; draws are independent, chains exist for the ArviZ schema.
    proposals : int
        Draws from the approximation per round of importance sampling.
    rounds : int
        Most rounds in which the approximation is refitted to its own weighted draws while k-hat is above 0.5.
    nodes : int
        Values of volatilities, noise sizes and constants per round at which paths are integrated.
    tolerance : float
        A climb to a mode ends when a step would gain less log density.
    """

    starts: int = eqx.field(static=True, default=8)
    iterations: int = eqx.field(static=True, default=60)
    chains: int = eqx.field(static=True, default=4)
    draws: int = eqx.field(static=True, default=500)
    proposals: int = eqx.field(static=True, default=4000)
    rounds: int = eqx.field(static=True, default=4)
    nodes: int = eqx.field(static=True, default=48)
    tolerance: float = eqx.field(static=True, default=1e-7)

    def __check_init__(self):
        """Refuse settings outside their range."""
        counts = {"starts": whole(1, 10_000), "iterations": whole(1, 10_000), "chains": whole(1, 256)}
        counts |= {"draws": whole(1, 100_000), "proposals": whole(10, 1_000_000), "rounds": whole(1, 1_000)}
        require_settings(self, **counts, nodes=whole(1, 10_000), tolerance=number(0.0, 1.0, above=True))

    def sample(self, joint: Joint, *, key, progress: Callable[[str, float], None] | None = None) -> Sampled:  # noqa: D102
        return answer(joint, lambda parts: self.sampling(parts, key=key, progress=progress))

    def sampling(self, parts: Split, *, key, progress=None) -> Generator[Any, Any, Sampled]:
        """Draw from the posterior, as a method for the pool of patients under way together."""
        search_key, pick = jax.random.split(key)
        found = yield from approximating(parts, self, key=search_key, progress=progress)
        best = found.weighted
        chosen = best.resample(self.chains * self.draws, generator(pick), found.along)
        shape = (self.chains, self.draws)
        return Sampled(
            positions=best.positions[chosen].reshape(*shape, -1),
            stats={
                "lp": best.densities[chosen].reshape(shape),
                "log_marginal_likelihood": np.repeat(best.log_evidences(self.chains), self.draws).reshape(shape),
            },
            khat=best.khat,
            importance_ess=best.ess,
            modes=found.weighted_modes(),
            failed=int(np.sum(~np.isfinite(best.densities[chosen]))),
            tried=len(chosen),
            method="Laplace",
            settings={"proposals": self.proposals, "starts": self.starts},
            rejected=best.rejected,
            lost=found.lost,
        )


@dataclass(frozen=True)
class Approximation:
    """The modes that matter, weighted draws from the posterior, and the modes found but too improbable to sample."""

    modes: list[Mode]
    weighted: Weighted
    minor: list[Mode]
    lost: tuple[tuple[int, float, float], ...] = ()
    along: int | None = None  # the widest unknown, where draws are not normal

    def weighted_modes(self) -> tuple[tuple[np.ndarray, float, float], ...]:
        """Return (position, log density, posterior probability) of each mode, most probable first."""
        shares = [float(np.sum(self.weighted.weights[self.weighted.owners == i])) for i in range(len(self.modes))]
        triples = [(m.position, m.density, share) for m, share in zip(self.modes, shares, strict=True)]
        best = self.modes[0].log_evidence
        triples += [(m.position, m.density, float(np.exp(m.log_evidence - best))) for m in self.minor]
        return tuple(sorted(triples, key=lambda triple: -triple[2]))


def approximate(joint: Joint, settings: Laplace, *, key, progress=None) -> Approximation:
    """Approximate one posterior; see `approximating`."""
    return answer(joint, lambda parts: approximating(parts, settings, key=key, progress=progress))


def approximating(parts: Split, settings: Laplace, *, key, progress=None) -> Generator[Any, Any, Approximation]:
    """Find the modes, spread nodes around each, and weigh draws from the proposal over all."""
    report = progress or (lambda stage, fraction: None)
    start_key, draw_key = jax.random.split(key)
    chance = generator(draw_key)
    report("search for modes", 0.0)
    modes, minor, spread = yield from search(
        parts, settings.starts, settings.iterations, settings.tolerance, key=start_key
    )
    report("spread nodes", 0.3)
    explored: list[Explored] = []
    for mode in modes:
        explored.append(Explored(mode, *(yield from explore(mode, parts, spread, chance, settings.nodes))))
    if not any(np.isfinite(one.evidence) for one in explored):
        raise RuntimeError(
            "The model could be solved at the modes but nowhere around them; the priors or the inputs are extreme."
        )
    if minor and parts.path.any() and parts.scale.any():
        again, minor = yield from weighed_again(parts, explored, minor, settings)
        for mode in again:
            explored.append(Explored(mode, *(yield from explore(mode, parts, spread, chance, settings.nodes))))
    explored = [one for one in explored if np.isfinite(one.evidence)]
    best_evidence, modes, regions = max(one.evidence for one in explored), [one.mode for one in explored], []
    for _, nodes, weights, evidence in explored:
        over = kernels(nodes.positions[:, ~parts.path], weights, _WIDTH, _TAILS)
        paths = surface(nodes, weights, parts.path) if parts.path.any() else None
        regions.append(Region(max(np.exp(evidence - best_evidence), 0.02), over, paths))
    report("importance sampling", 0.6)
    # A first small round only moves the proposal: its draws are never returned.
    best = weighted = yield from weigh(regions, parts.path, max(settings.proposals // 4, 250), chance)
    for turn in range(1, max(settings.rounds, 2)):
        regions = [
            refit(region, weighted, weighted.owners == i, parts.path, chance) for i, region in enumerate(regions)
        ]
        weighted = yield from weigh(regions, parts.path, settings.proposals, chance)
        best = weighted if turn == 1 or weighted.khat < best.khat else best
        report("importance sampling", 0.6 + 0.4 * turn / settings.rounds)
        if best.khat < _GOOD:
            break
    lost: list[tuple[int, float, float]] = []
    bent = not parts.path.any() and np.isfinite(best.khat) and not looks_normal(best)
    if bent:
        best, lost = yield from pursue(regions, best, settings, chance)
    report("importance sampling", 1.0)
    return Approximation(modes, best, minor, tuple(lost), widest(best) if bent else None)


def pursue(
    regions: list[Region], best: Weighted, settings: Laplace, chance
) -> Generator[Any, Any, tuple[Weighted, list[tuple[int, float, float]]]]:
    """Follow draws that are not normal into the tails that the proposal missed: weights cannot see what is not drawn.

    Returns
    -------
    weighted : Weighted
    lost : list of (unknown, level, share), the tails that moved draws still disagree about
    """
    path = np.zeros(best.positions.shape[1], bool)
    for turn in range(_PURSUITS):
        regions, _ = yield from followed(regions, best, _SWEEPS, _WALKERS, chance)
        last = turn == _PURSUITS - 1
        best = yield from weigh(regions, path, (_MORE if last else 1) * settings.proposals, chance)
    _, draws = yield from followed(regions, best, _SWEEPS, _WALKERS, chance)
    return best, missing(best, draws)


class Explored(NamedTuple):
    """A mode with the nodes spread around it, their weights, and the log integral of the density around it."""

    mode: Mode
    nodes: Nodes
    weights: np.ndarray
    evidence: float


def weighed_again(
    parts: Split, explored: list[Explored], minor: list[Mode], settings: Laplace
) -> Generator[Any, Any, tuple[list[Mode], list[Mode]]]:
    """Weigh modes that were improbable at the sizes of the prior's center at the sizes of the best region.

    Returns
    -------
    again : list of Mode, those that matter after all, at the fitted sizes
    minor : list of Mode, the others
    """
    best = max(explored, key=lambda one: one.evidence)
    sizes = best.weights @ best.nodes.positions[:, parts.scale]
    there = yield from at_sizes(parts, [best.mode, *minor], sizes, settings.iterations, settings.tolerance)
    fine = [mode for mode in distinct_from(there[1:], [there[0]]) if np.isfinite(mode.density)]
    likely, others = apart([there[0], *fine])
    return [mode for mode in likely if mode is not there[0]], [mode for mode in others if mode is not there[0]]


def weigh(regions: list[Region], path, count: int, chance) -> Generator[Any, Any, Weighted]:
    """Draw from the proposal and weigh the draws by Pareto-smoothed importance sampling."""
    positions, proposal, owners = propose(regions, path, count, chance)
    densities = yield Densities(positions)
    ratios = np.where(np.isfinite(densities), densities, -np.inf) - proposal
    return Weighted(positions, densities, *smooth(ratios), owners, ratios)


def refit(region: Region, weighted: Weighted, mine, path, chance) -> Region:
    """Move the mixture over the unknowns that are no paths to the region's own weighted draws."""
    weights = np.where(mine, weighted.weights, 0.0)
    share = weights.sum()
    if share == 0.0 or share**2 / np.sum(weights**2) < 3.0 * np.sum(~path):
        return region
    chosen = systematic(weights / share, _CENTERS, chance)
    points = weighted.positions[chosen][:, ~path]
    over = kernels(points, np.full(_CENTERS, 1.0 / _CENTERS), _WIDTH, _TAILS)
    return Region(max(share, 0.02), over, region.paths)
