"""How far values stray from a uniform distribution, judged all along their empirical distribution function."""

from functools import lru_cache

import numpy as np


def stray(uniform: np.ndarray) -> float:
    """Return how far values stray from uniformity: the smallest pointwise tail probability of their ECDF.

    Parameters
    ----------
    uniform : (replicate,) between 0 and 1

    Returns
    -------
    probability : float
        Small where the ECDF leaves its envelope somewhere; compare with what uniform values give.
    """
    count = len(uniform)
    points, tails = _tails(count)
    below = np.searchsorted(np.sort(uniform), points, side="right")
    return float(tails[below, np.arange(count - 1)].min())


@lru_cache(maxsize=8)
def _tails(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the points of evaluation, and the tail probability of every number of values below each."""
    points, below = np.arange(1, count) / count, np.arange(count + 1)[:, None]
    from scipy.stats import binom  # here because importing it is slow

    return points, np.minimum(binom.cdf(below, count, points), binom.sf(below - 1, count, points))
