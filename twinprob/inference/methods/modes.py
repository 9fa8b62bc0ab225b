"""Modes of a joint density by Gauss–Newton from dispersed starts."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..joint import Joint
from .climb import Split, quadratic, split
from .pool import Climb, Climbed, Densities, PriorDraws, answer, ask

__all__ = ["Mode", "Split", "climb_from", "find_modes", "quadratic", "search", "split", "starting_points"]

KEPT = 12.0  # nats
_SAME = 1.0
_VANISHING = 6.0  # prior standard deviations of a size: it runs away where unknowns fit every measurement
_SCREENED = 100  # prior draws per start, 500 at most


@dataclass(frozen=True)
class Mode:
    """A maximum of the posterior density; beside a path, over everything but the scales, which are held.

    `position` (unknown,), `density` log p(position, data), `curvature` (unknown, unknown), Gauss–Newton.
    """

    position: np.ndarray
    density: float
    curvature: np.ndarray

    @property
    def log_evidence(self) -> float:
        """Laplace's approximation of the log integral around this mode."""
        return float(
            self.density + 0.5 * len(self.position) * np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(self.curvature)[1]
        )


def climb_from(joint: Joint, starts: np.ndarray, moving: np.ndarray, iterations: int, tolerance: float) -> Climbed:
    """Climb from several starts; see `Climb`."""
    return answer(joint, lambda parts: ask(Climb(np.asarray(starts), moving, iterations, tolerance)))


def starting_points(parts: Split, count: int, *, key) -> Generator[Any, Any, tuple[np.ndarray, np.ndarray]]:
    """Return dispersed positions, the prior's center first, and the prior's standard deviations.

    Paths start nearly flat and scales at their prior's center.
    """
    draws = yield PriorDraws(key, min(_SCREENED * count, 500))
    center = np.where(parts.path, 0.0, np.median(draws, axis=0))
    others = np.where(parts.path, 0.2 * draws, np.where(parts.scale, center, draws))
    # Half of the starts are the most probable of many prior draws, the other half any: the main mode and the others.
    densities = yield Densities(others)
    order = np.argsort(-np.where(np.isfinite(densities), densities, -np.inf), kind="stable")
    promising = others[order[: min(max((count - 1) // 2, 1), count - 1)]]
    begin, spread = np.concatenate([center[None], promising]), np.std(draws, axis=0)
    if parts.path.any():
        return np.concatenate([begin, others[: count - len(begin)]]), spread
    # Far from each other, and not hopeless: the most probable draws may all lie on one side.
    return _dispersed(begin, others[order[: len(order) // 2]], count, np.maximum(spread, 1e-300)), spread


def _dispersed(begin: np.ndarray, points: np.ndarray, count: int, spread: np.ndarray) -> np.ndarray:
    """Add to points (start, unknown), one by one, that of others which is furthest from all so far."""
    while len(begin) < count and len(points):
        gaps = np.min(np.linalg.norm((points[:, None] - begin) / spread, axis=2), axis=1)
        begin = np.concatenate([begin, points[np.argmax(gaps)][None]])
    return begin


Found = tuple[list[Mode], list[Mode], np.ndarray]


def search(parts: Split, starts: int, iterations: int, tolerance: float = 1e-7, *, key) -> Generator[Any, Any, Found]:
    """Find the distinct modes; all within `KEPT` nats of the best evidence matter.

    Returns
    -------
    modes : list of Mode, most probable first
    minor : list of Mode, the others
    spread : (unknown,) prior standard deviations on the unconstrained scale

    Raises
    ------
    RuntimeError
        If the model can be solved at none of the starting points.
    """
    begin, spread = yield from starting_points(parts, starts, key=key)
    found = yield Climb(begin, ~parts.scale, iterations, tolerance)
    modes = distinct(found)
    if modes and parts.scale.any() and not parts.path.any():
        # Where no path can follow the measurements, sizes climb too: at another size another mode may be the best.
        found = yield Climb(np.stack([m.position for m in modes]), np.ones_like(parts.scale), iterations, tolerance)
        away = np.abs(found.positions - begin[0])[:, parts.scale] / spread[parts.scale]
        modes = modes if np.any(away > _VANISHING) else distinct(found) or modes
    if not modes:
        raise RuntimeError(
            f"The model could not be solved at any of {starts} starting points; check the units of the record's inputs "
            "and the priors (`twinprob.simulate` shows one patient)."
        )
    return *apart(modes), spread


def distinct(found: Climbed) -> list[Mode]:
    """Return the distinct modes where climbs ended, the densest first."""
    ends = [Mode(p, float(v), c) for p, v, c in zip(found.positions, found.values, found.curvatures, strict=True)]
    return distinct_from([mode for mode in ends if np.isfinite(mode.density)], [])


def distinct_from(modes: list[Mode], known: list[Mode]) -> list[Mode]:
    """Return those modes, the densest first, that are neither one of the known ones nor one of each other."""
    found: list[Mode] = []
    for mode in sorted(modes, key=lambda m: -m.density):
        if not any(_same(other, mode.position) for other in (*known, *found)):
            found.append(mode)
    return found


def apart(modes: list[Mode]) -> tuple[list[Mode], list[Mode]]:
    """Part modes into those within `KEPT` nats of the best evidence and the others, most probable first."""
    modes = sorted(modes, key=lambda m: -m.log_evidence)
    likely = [m for m in modes if m.log_evidence > modes[0].log_evidence - KEPT]
    return likely, modes[len(likely) :]


def at_sizes(
    parts: Split, modes: list[Mode], sizes: np.ndarray, iterations: int, tolerance: float
) -> Generator[Any, Any, list[Mode]]:
    """Climb from modes with the scales held at fitted sizes (scale,); the answer is in the same order.

    What a mode is worth depends on the sizes: at those of the prior's center a mode may look hopeless that is not.
    """
    begin = np.stack([m.position for m in modes])
    begin[:, parts.scale] = sizes
    found = yield Climb(begin, ~parts.scale, iterations, tolerance)
    return [Mode(p, float(v), c) for p, v, c in zip(found.positions, found.values, found.curvatures, strict=True)]


def find_modes(joint: Joint, starts: int, iterations: int, *, key) -> Found:
    """Find the distinct modes of one density; see `search`."""
    return answer(joint, lambda parts: search(parts, starts, iterations, key=key))


def _same(mode: Mode, position) -> bool:
    """Two climbs ended at one mode: their distance is small in posterior standard deviations."""
    shift = position - mode.position
    return bool(shift @ mode.curvature @ shift < _SAME)
