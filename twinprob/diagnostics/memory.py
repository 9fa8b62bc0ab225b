"""How a twin's own past forecasts did: coverage, bias and sharpness of what it predicted before it knew."""

import math

import numpy as np

from ..inference.outcomes import Outcomes, outcomes_of
from ..inference.twin import Twin
from .finding import CARE, GOOD, REFUSE, Finding

# Settings, not published.
_FEWEST, _JUDGED = 8, 40
_LEAST_HELD = 0.7
_RARE = 0.01


def memory(twin: Twin) -> list[Finding]:
    """Judge a twin by its own forecasts of the values that updates brought, the last forty of each output."""
    found, outcomes = [], outcomes_of(twin)
    for name in twin.model.quantities(twin.model.Output):
        own = outcomes.of(name).select(slice(-_JUDGED, None))
        if len(own):
            found.append(_judged(name, own))
    return found


def _judged(name: str, own: Outcomes) -> Finding:
    """Judge one output's forecasts: those of a right twin have uniform PIT values, independent of each other."""
    count, pits = len(own), own.pits
    held, inner = int(np.sum(np.abs(pits - 0.5) <= 0.45)), int(np.sum(np.abs(pits - 0.5) <= 0.25))
    above = int(np.sum(pits > 0.5))
    subject = f"own forecasts: {name}"
    evidence = (
        f"Of the last {count} values of {name}, each forecast before it was known ({np.median(own.ahead):.0f} min "
        f"ahead, typically), {held} lay in their 90 % interval, {inner} in the 50 % one, {above} above the median."
    )
    if count < _FEWEST:
        return Finding(subject, GOOD, evidence)
    if held < _LEAST_HELD * count:
        action = (
            "It has been wrong about this patient: fit anew, look for what the model lacks, and do not decide by it."
        )
        return Finding(subject, REFUSE, evidence, action)
    if _at_most(held, count, 0.9) < _RARE:
        return Finding(subject, CARE, evidence, "Its intervals are too narrow: `Recalibration` widens them.")
    if 2 * _at_most(min(above, count - above), count, 0.5) < _RARE:
        side = "low" if above > count / 2 else "high"
        return Finding(subject, CARE, evidence, f"It forecasts too {side}: `Recalibration` shifts its quantiles.")
    if _at_most(count - inner, count, 0.5) < _RARE:
        return Finding(subject, CARE, evidence, "Its intervals are too wide: its noise or its volatility is too large.")
    return Finding(subject, GOOD, evidence)


def _at_most(count: int, trials: int, chance: float) -> float:
    """Return the probability of `count` or fewer hits in independent trials."""
    return sum(math.comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(count + 1))
