"""Do measurements still come as forecast: a cumulative sum over own forecasts, trusted only where they were good."""

from dataclasses import dataclass

import numpy as np

from ..forecasting.recalibration import Recalibration, standard
from ..inference.outcomes import outcomes_of
from ..inference.twin import Twin
from ..patient.units import span

# Two-sided sum of standard normals less .5: beyond 5 about once in 460 values by chance, after about 10 values of a
# shift of one standard deviation and 5 of two. An autocorrelation of .3, or bands a fifth too narrow, make it once in
# about 95: hence what comes before it is checked first. By simulation.
SLACK, LIMIT = 0.5, 5.0
_FEWEST = 8
_SURE = 0.9


@dataclass(frozen=True)
class Shift:
    """An output that no longer comes as forecast.

    Attributes
    ----------
    output : str
    side : int
        +1 higher than forecast, -1 lower.
    since : float, min
        When the sum began to rise.
    sum : float
        In standard deviations; beyond 5 by chance about once in 460 values of a calibrated twin.
    values : int
        How many since then.
    """

    output: str
    side: int
    since: float
    sum: float
    values: int

    def __str__(self) -> str:
        """Say it in a sentence."""
        word = "higher" if self.side > 0 else "lower"
        return (
            f"{self.output} has come {word} than forecast since {self.since / 60.0:.3g} h ({self.values} values, "
            f"sum {self.sum:.1f})."
        )


def shifted(twin: Twin) -> tuple[tuple[Shift, ...], list[str]]:
    """Return the outputs that no longer come as forecast, and for which outputs that cannot be told.

    Parameters
    ----------
    twin : Twin
        Kept current by `update`.
    """
    every, found, loose = outcomes_of(twin), [], []
    for output in dict.fromkeys(every.variables.tolist()):
        own = every.of(output)
        side, total, begun = rising(standard(own.pits))
        if total <= LIMIT:
            continue
        before = own.select(slice(0, begun))
        if why := _untrusted(before):
            loose.append(f"{output} lies outside its forecasts, and {why}: no change is told.")
        else:
            since = float(own.times[begun])
            found.append(Shift(str(output), side, since, total, len(own) - begun))
    return tuple(found), loose


def rising(scores: np.ndarray) -> tuple[int, float, int]:
    """Return side, height and first index of the larger of both cumulative sums at the last of some scores (value,)."""
    best = (1, 0.0, len(scores))
    for side in (1, -1):
        total, begun = 0.0, len(scores)
        for i, score in enumerate(side * np.asarray(scores, float)):
            if total == 0.0:
                begun = i
            total = max(0.0, total + score - SLACK)
        if total > best[1]:
            best = (side, total, begun)
    return best


def _untrusted(before) -> str:
    """Say why earlier forecasts are no ground to judge later ones by; nothing where they are."""
    if len(before) < _FEWEST:
        return f"only {len(before)} earlier forecasts say how good they are"
    scores = standard(before.pits)
    wider, _ = Recalibration().state("", before).evidence
    if wider >= _SURE:
        return f"earlier forecasts, over {span(before.times[-1] - before.times[0])}, were too narrow"
    around = scores - scores.mean()
    correlation = float(around[1:] @ around[:-1] / max(around @ around, 1e-12))
    if correlation > 2.0 / np.sqrt(len(scores)):
        return f"errors of earlier forecasts last (correlation {correlation:.2f})"
    return ""
