"""The account of rows while they are read: each meets one fate, so that nothing leaves a reader without a line."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from ..patient.ledger import FATES, Line

USED, MERGED, ASIDE = range(len(FATES))


class Fates:
    """What becomes of some rows about one variable; a row's first fate counts, and without one it was used.

    Parameters
    ----------
    source : str or (row,) str
        The table of each row.
    variable : str
    rows : (row,) int
        Numbers in the file, the header being row 1.
    known : (row,) min
        When each row was known.
    """

    def __init__(self, source: str | np.ndarray, variable: str, rows: np.ndarray, known: np.ndarray) -> None:
        self.variable, self.rows, self.known = variable, np.asarray(rows), np.asarray(known, float)
        self._source = source
        self._fates = np.zeros(self.rows.size, np.int8)
        self._reasons = np.full(self.rows.size, "", object)

    @property
    def left(self) -> np.ndarray:
        """Which rows are still in use, (row,) bool."""
        return self._fates == USED

    def aside(self, where: np.ndarray, reason: str) -> None:
        """Set rows aside; `where` is (row,) bool or the rows' places."""
        self._note(where, ASIDE, reason)

    def merge(self, where: np.ndarray, reason: str) -> None:
        """Say that rows are another row once more, or part of one value with it."""
        self._note(where, MERGED, reason)

    def remark(self, where: np.ndarray, reason: str) -> None:
        """Say how rows that are used were used."""
        self._note(where, USED, reason)

    def _note(self, where: np.ndarray, fate: int, reason: str) -> None:
        if not np.any(where) and np.asarray(where).dtype == bool:
            return
        these = np.zeros(self.rows.size, bool)
        these[where] = True
        these &= self.left
        self._fates[these] = fate
        self._reasons[these] = reason

    def lines(self) -> list[Line]:
        """Return the ledger's lines about these rows."""
        sources = np.broadcast_to(np.asarray(self._source, object), self.rows.shape)
        groups: defaultdict[tuple[str, int, str], list[int]] = defaultdict(list)
        for place, about in enumerate(zip(sources.tolist(), self._fates.tolist(), self._reasons.tolist(), strict=True)):
            groups[about].append(place)
        return [
            Line(source, self.variable, FATES[fate], reason, self.rows[places], self.known[places])
            for (source, fate, reason), places in groups.items()
        ]


def one_value_each(
    times: np.ndarray, values: np.ndarray, limits: np.ndarray, known: np.ndarray, fates: Fates
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Count what is charted twice once, and average what differs at one time; a limit is never averaged.

    Parameters
    ----------
    times, values, limits, known : (row,)
        One variable, rows that are no longer in use included.
    fates : Fates
        Of these rows; says which were merged.

    Returns
    -------
    times, values, limits, known : (time,)
        Strictly increasing times. A value charted twice was known when the first row was, an average when the last was.
    """
    places = np.flatnonzero(fates.left)
    places = places[np.lexsort((known[places], limits[places], values[places], times[places]))]
    moments, amounts, bounds = times[places], values[places], limits[places]
    again = np.append(False, (np.diff(moments) == 0) & (np.diff(amounts) == 0) & (np.diff(bounds) == 0))[: places.size]
    fates.merge(places[again], "the same value charted twice")
    places = places[~again]
    _settle_limits(times, values, limits, places, fates)
    places = places[fates.left[places]]
    moments, first, which, count = np.unique(times[places], return_index=True, return_inverse=True, return_counts=True)
    others = np.ones(places.size, bool)
    others[first] = False
    fates.merge(places[others], "averaged with another value at the same time")
    means = np.bincount(which, values[places], moments.size) / np.maximum(count, 1)
    known_then = np.full(moments.size, -np.inf)
    np.fmax.at(known_then, which, known[places])
    return moments, means, np.where(count == 1, limits[places][first], 0).astype(np.int8), known_then


def _settle_limits(times: np.ndarray, values: np.ndarray, limits: np.ndarray, places: np.ndarray, fates: Fates) -> None:
    """Of rows of one time let a measured value count before a limit, and of limits of one side the tightest."""
    for moment in np.unique(times[places][limits[places] != 0]):
        here = places[times[places] == moment]
        bounds = here[limits[here] != 0]
        if bounds.size < here.size:
            fates.merge(bounds, "a limit beside a value measured at the same time")
        elif np.unique(limits[bounds]).size > 1:
            fates.aside(bounds, "below one limit and above another at the same time")
        else:
            tightest = bounds[np.argmax(values[bounds] * limits[bounds])]
            fates.merge(bounds[bounds != tightest], "a wider limit at the same time")
