"""A property that is charted again and again: what it was near the start, and how it changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEAR = 1440.0  # min after the first reading; readings of a day tell one weight, setting
APART = 0.25  # relative; a reading this far from the others' median is a mistake, setting
SAME = 0.005  # relative; a scale's rounding is no change, setting


@dataclass(frozen=True)
class Weighed:
    """What readings of one property say.

    Attributes
    ----------
    value : float
        The median of the readings of the first day: one of them may be a slip, and which scale was right is not known.
    changes : tuple of (float, float)
        Time (min) and value of each later reading that differs from the one before.
    near, again : (reading,) bool
        Which readings are in the median, and which of the later ones repeat what was known.
    """

    value: float
    changes: tuple[tuple[float, float], ...]
    near: np.ndarray
    again: np.ndarray


def weighed(times: np.ndarray, values: np.ndarray) -> Weighed:
    """Judge readings of one property.

    Parameters
    ----------
    times : (reading,) min
        At least one.
    values : (reading,)

    Returns
    -------
    weighed : Weighed
    """
    near = times <= times.min() + NEAR
    value = last = float(np.median(values[near]))
    again, changes = np.zeros(times.size, bool), []
    for place in np.lexsort((values, times)):
        if near[place]:
            continue
        again[place] = abs(values[place] / last - 1.0) <= SAME
        if not again[place]:
            last = float(values[place])
            changes.append((float(times[place]), last))
    return Weighed(value, tuple(changes), near, again)
