"""Modes of a joint density by Gauss–Newton from dispersed starts."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..joint import Joint
from .climb import Split, quadratic, split
from .pool import Climb, Climbed, Densities, PriorDraws, answer, ask

__all__ = ["Mode", "Split", "climb_from", "find_modes", "quadratic", "search", "split", "starting_points"]

_SAME = 1.0
_SCREENED = 100  # prior draws per start, 500 at most


@dataclass(frozen=True)
class Mode:
    """A maximum of the posterior density over everything but the scales, which stay at their prior's center.

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
    return np.concatenate([center[None], promising, others[: count - 1 - len(promising)]]), np.std(draws, axis=0)


Found = tuple[list[Mode], list[Mode], np.ndarray]


def search(
    parts: Split, starts: int, iterations: int, tolerance: float = 1e-7, *, key, keep: float = 12.0
) -> Generator[Any, Any, Found]:
    """Find the distinct modes; all within `keep` nats of the best evidence matter.

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
    modes: list[Mode] = []
    for position, value, _, curvature in sorted(zip(*found, strict=True), key=lambda climbed: -climbed[1]):
        if np.isfinite(value) and not any(_same(m, position) for m in modes):
            modes.append(Mode(position, float(value), curvature))
    if not modes:
        raise RuntimeError(
            f"The model could not be solved at any of {starts} starting points; check the units of the record's inputs "
            "and the priors (`twinprob.simulate` shows one patient)."
        )
    best = max(m.log_evidence for m in modes)
    modes = sorted(modes, key=lambda m: -m.log_evidence)
    likely = [m for m in modes if m.log_evidence > best - keep]
    return likely, modes[len(likely) :], spread


def find_modes(joint: Joint, starts: int, iterations: int, *, key) -> Found:
    """Find the distinct modes of one density; see `search`."""
    return answer(joint, lambda parts: search(parts, starts, iterations, key=key))


def _same(mode: Mode, position) -> bool:
    """Two climbs ended at one mode: their distance is small in posterior standard deviations."""
    shift = position - mode.position
    return bool(shift @ mode.curvature @ shift < _SAME)
