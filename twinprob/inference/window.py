"""How much of a long record is fitted at once: the end of it, and of what lies before what it says of the rest."""

import math
from collections.abc import Generator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.special import logsumexp

from ..dynamics.integrators import AbstractIntegrator, FixedStep
from ..modeling.declarations import require_complete
from ..modeling.model import AbstractModel
from ..modeling.observation import Observation
from ..patient.record import Record
from .data import with_covariates
from .filtered import filtered, known_at_end
from .methods.importance import kernels, smooth, systematic
from .methods.modes import Split, search
from .methods.nested import explore
from .methods.pool import Densities, answer
from .methods.sampled import generator
from .past import Past, cut, past_of
from .sites import measured

_KNOTS = 32  # of the path with the closest knots, in a window
_LONG = 96  # knots; a shorter record is fitted whole: not enough of it has shown what the constants are
_STARTS, _ITERATIONS, _PROPOSALS = 4, 30, 1500
_ROUNDS, _GOOD = 3, 0.5
_WIDTH, _TAILS = 0.9, 4.0  # of kernels, as in `Laplace`
_ENDS = 250  # constants for which what moves is asked


class Window(NamedTuple):
    """The end of a record and what is known when it begins.

    `khat` judges the weights of the constants before, `effective` counts them.
    """

    record: Record
    past: Past
    khat: float
    effective: float

    def said(self, begin: float) -> str:
        """Say in a sentence what was fitted how."""
        return (
            f"The last {(self.record.end - self.past.time) / 60:.0f} h were fitted at once; what the "
            f"{(self.past.time - begin) / 60:.0f} h before say of constants, paths and states was filtered and enters "
            f"as a normal (k-hat {self.khat:.2f}, worth {self.effective:.0f} draws)."
        )


def require_window(hours: float | None) -> None:
    """Refuse a window that is no time."""
    if hours is not None and not (isinstance(hours, int | float) and not isinstance(hours, bool) and hours > 0):
        raise ValueError(
            f"Argument `window` must be a number of hours above zero, but is {hours!r}; `math.inf` fits the whole "
            "record at once."
        )


def begin_of(model: AbstractModel, record: Record, hours: float | None) -> float:
    """Return when the window of a record begins, min: at a knot of every path; the record's start where it is short.

    Parameters
    ----------
    model : AbstractModel
    record : Record
    hours : float or None
        Length of the window; by default 32 knots of the path whose knots are closest, in a record of more than 96.
    """
    processes = tuple(model.processes().values())
    if not processes or hours == math.inf:
        return record.start
    intervals = [process.interval for process in processes]
    length = _KNOTS * min(intervals) if hours is None else 60.0 * hours
    if record.end - record.start <= (_LONG * min(intervals) if hours is None else length):
        return record.start
    every = _common(intervals)
    return record.start + every * math.floor((record.end - length - record.start) / every + 1e-9)


def _common(intervals: list[float]) -> float:
    """Return the least multiple of all intervals, or the longest of them where there is none of a few times that."""
    longest = max(intervals)
    for times in range(1, 13):
        if all(abs(times * longest / each - round(times * longest / each)) < 1e-9 for each in intervals):
            return times * longest
    return longest


def windowed(
    model: AbstractModel,
    record: Record,
    observations: Mapping[str, Observation] | None,
    integrator: AbstractIntegrator | None,
    hours: float | None,
    *,
    key,
) -> Window | None:
    """Return the window of a record that is fitted at once; None where that is the whole of it."""
    require_complete(model)
    model, begin = with_covariates(model, record), begin_of(model, record, hours)
    if begin <= record.start:
        return None
    early, late = cut(model, record, begin)
    how = measured(model, dict(observations or {}))
    seen = {name: observation for name, observation in how.items() if name in early.observations}
    if not seen or any(np.ndim(x) for one in seen.values() for x in jax.tree.leaves(one.noise)):
        return None  # nothing before, or noise given for each measurement
    density = filtered(model, early, seen, FixedStep() if integrator is None else integrator)
    search_key, draw_key = jax.random.split(key)
    chance = generator(draw_key)
    points, weights, evidence, khat = answer(density, lambda parts: _weighed(parts, chance, search_key))
    owners = systematic(weights, _ENDS, chance)
    known = known_at_end(density, points[owners])
    moving = len(model.processes()) + len(model.quantities(model.State))
    means, covariances = np.asarray(known.mean)[:, :moving], np.asarray(known.covariance)[:, :moving, :moving]
    fine = np.all(np.isfinite(means), axis=1) & np.all(np.isfinite(covariances), axis=(1, 2))
    later = {name: one for name, one in how.items() if name in late.observations}
    names = tuple(density.sites())
    wanted = [n for n in names if n not in _sizes(how) or n in _sizes(later)]
    past = past_of(
        begin, names, dict.fromkeys(wanted), points, weights, means[fine], covariances[fine], owners[fine], evidence
    )
    return Window(late, past, khat, float(1.0 / np.sum(weights**2)))


def _sizes(observations: Mapping[str, Observation]) -> set[str]:
    """Return the sites of the sizes of noise."""
    return {site for name, one in observations.items() for site in one.sites(name).values()}


def _weighed(parts: Split, chance, key) -> Generator[Any, Any, tuple[np.ndarray, np.ndarray, float, float]]:
    """Return weighted constants, the log evidence and k-hat."""
    modes, _, spread = yield from search(parts, _STARTS, _ITERATIONS, key=key)
    nodes, weights, evidence = yield from explore(modes[0], parts, spread, chance, 0)
    if not np.isfinite(evidence):
        raise RuntimeError("The model could be solved at the mode of the earlier record but nowhere around it.")
    over = kernels(nodes.positions, weights, _WIDTH, _TAILS)
    for _ in range(_ROUNDS):
        points = over.draw(_PROPOSALS, chance)
        densities = yield Densities(points)
        ratios = np.where(np.isfinite(densities), densities, -np.inf) - over.log_density(points)
        log_weights, khat = smooth(ratios)
        weights, evidence = np.exp(log_weights), float(logsumexp(ratios) - np.log(_PROPOSALS))
        if khat < _GOOD:
            break
        over = kernels(points, weights, _WIDTH, _TAILS)
    return points, weights, evidence, khat
