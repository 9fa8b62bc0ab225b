"""Arms compared patient by patient: differences, their bootstrap intervals, and equivalence within a stated margin."""

from typing import NamedTuple

import numpy as np

_RESAMPLES = 4000


class Summary(NamedTuple):
    """An outcome over patients.

    Attributes
    ----------
    n : int
        Patients that were solved.
    middle, low, high : float
        Median and quartiles; of a yes or no, its share in % and the Monte Carlo interval of 95 %.
    error : float
        Monte Carlo standard error of `middle`: that of other patients of the same population.
    mean : float
    """

    n: int
    middle: float
    low: float
    high: float
    error: float
    mean: float


class Difference(NamedTuple):
    """One arm less another in the same patients.

    Attributes
    ----------
    n : int
    mean, median : float
    low, high : float
        Bootstrap interval of the mean over patients, at `ci_prob`.
    ci_prob : float
    equivalent : bool or None
        Whether the interval of 90 % lies within the margin (two one-sided tests at 5 %); None where no margin is given.
    """

    n: int
    mean: float
    median: float
    low: float
    high: float
    ci_prob: float
    equivalent: bool | None


def summary(values: np.ndarray, *, counted: bool = False, seed: int = 0) -> Summary:
    """Summarize one outcome of many patients, (patient,); NaN is left out and not counted."""
    kept = values[np.isfinite(values)]
    if not kept.size:
        return Summary(0, *[np.nan] * 5)
    if counted:
        share, error = 100.0 * kept.mean(), 100.0 * np.sqrt(max(kept.mean() * (1 - kept.mean()), 0.0) / kept.size)
        low, high = wilson(float(kept.sum()), kept.size)
        return Summary(kept.size, share, low, high, error, share)
    low, middle, high = np.quantile(kept, [0.25, 0.5, 0.75])
    picks = np.random.default_rng(seed).integers(0, kept.size, (min(_RESAMPLES, 500), kept.size))
    error = float(np.std(np.median(kept[picks], axis=1)))
    return Summary(kept.size, float(middle), float(low), float(high), error, float(kept.mean()))


def difference(
    one: np.ndarray, other: np.ndarray, *, ci_prob: float = 0.95, margin: float | None = None, seed: int = 0
) -> Difference:
    """Compare two arms in the same patients.

    Parameters
    ----------
    one, other : (patient,)
        NaN in either leaves the patient out.
    ci_prob : float
    margin : float, optional
        In the outcome's unit: what is too little to matter.
    seed : int
        Of the bootstrap.
    """
    apart = one - other
    apart = apart[np.isfinite(apart)]
    if not apart.size:
        return Difference(0, np.nan, np.nan, np.nan, np.nan, ci_prob, None)
    picks = np.random.default_rng(seed).integers(0, apart.size, (_RESAMPLES, apart.size))
    means = apart[picks].mean(axis=1)
    low, high = np.quantile(means, [(1 - ci_prob) / 2, (1 + ci_prob) / 2])
    inner = np.quantile(means, [0.05, 0.95])
    equivalent = None if margin is None else bool(-margin < inner[0] and inner[1] < margin)
    return Difference(
        apart.size, float(apart.mean()), float(np.median(apart)), float(low), float(high), ci_prob, equivalent
    )


def wilson(hits: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """Return Wilson's interval of a share, %."""
    share, spread = hits / n, z**2 / n
    half = z * np.sqrt(share * (1 - share) / n + spread / (4 * n))
    center = share + spread / 2
    low, high = (100.0 * (center + side * half) / (1 + spread) for side in (-1, 1))
    return max(low, 0.0), min(high, 100.0)
