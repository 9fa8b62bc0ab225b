"""One input's history: what was ordered when, and what therefore ran.

Four kinds of input have rules of their own. A *rate* given to the patient is zero where nothing was charted; the rows
of one order replace each other, different orders add. A *dose* is an amount over a short stated time and always adds.
A *setting* of a device holds until the next row and is unknown before the first. A *measured signal* is a `Series`.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import units
from .frozen import freeze

_ROWS = (("starts", float), ("ends", float), ("rates", float), ("bolus", bool), ("orders", str), ("known", float))


@dataclass(frozen=True, eq=False)
class Course:
    """One input's history, row by row as it was charted.

    Attributes
    ----------
    starts, ends : (change,) min
        Half-open intervals ``[start, end)``, sorted by start; ``-inf`` is "always before", ``+inf`` "still running".
    rates : (change,)
        In `unit`.
    unit : str
        A rate's unit, or a setting's.
    bolus : (change,) bool
        True for a dose that ends by itself, False for an infusion or a setting that runs until it is changed.
    orders : (change,) str
        Rows of one order replace each other from the later one's start on (a rate of 0 stops it); orders add.
    known : (change,) min
        When each row was known; its start where nothing else is said.
    setting : bool
        Whether this is a setting of a device: rows replace each other whatever their order, and what stands before
        the first row is unknown, not zero.
    """

    starts: np.ndarray
    ends: np.ndarray
    rates: np.ndarray
    unit: str
    bolus: np.ndarray
    orders: np.ndarray = field(default_factory=lambda: np.zeros(0, str))
    known: np.ndarray = field(default_factory=lambda: np.zeros(0))
    setting: bool = False

    def __post_init__(self) -> None:
        size = np.size(self.starts)
        if np.size(self.orders) != size:
            object.__setattr__(self, "orders", np.full(size, "#1"))
        if np.size(self.known) != size:
            object.__setattr__(self, "known", np.asarray(self.starts, float))
        columns = [np.asarray(getattr(self, name), dtype) for name, dtype in _ROWS]
        starts, ends, rates, _, _, known = columns
        order = np.lexsort((rates, ends, known, starts))
        for (name, dtype), column in zip(_ROWS, columns, strict=True):
            object.__setattr__(self, name, freeze(column[order], dtype))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Course):
            return NotImplemented
        return (self.unit, self.setting) == (other.unit, other.setting) and all(
            np.array_equal(mine, theirs) for mine, theirs in zip(self.content(), other.content(), strict=True)
        )

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def empty(cls, unit: str, *, setting: bool = False) -> Course:
        """Return a history without a row."""
        return cls(np.zeros(0), np.zeros(0), np.zeros(0), unit, np.zeros(0, bool), setting=setting)

    @classmethod
    def joined(cls, parts: Iterable[Course]) -> Course:
        """Return the rows of several histories of one input in one, orders as they are named."""
        parts = tuple(parts)
        columns: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name, _ in _ROWS}
        return dataclasses.replace(parts[0], **columns)

    def content(self) -> tuple[np.ndarray, ...]:
        """Return the rows as arrays that differ where what they say differs: names of orders do not matter.

        Returns
        -------
        arrays : tuple of (change,)
            starts, ends, rates, bolus; then each row's order as a number, where rows of one order overlap; then when
            each was known, where that is not its start.
        """
        arrays: list[np.ndarray] = [self.starts, self.ends, self.rates, self.bolus]
        replaced = not np.array_equal(self.lasting(), self.ends)
        if replaced and not self.setting:
            _, first, which = np.unique(self.orders, return_index=True, return_inverse=True)
            arrays.append(np.argsort(np.argsort(first))[which])
        if not np.array_equal(self.known, self.starts):
            arrays.append(self.known)
        return tuple(arrays)

    def lasting(self) -> np.ndarray:
        """Return when each row stops acting: at its end, or where a later row of its order begins.

        Returns
        -------
        ends : (change,) min
            A dose always lasts to its own end.
        """
        ends = self.ends.copy()
        orders = np.full(ends.size, "") if self.setting else self.orders
        for order in np.unique(orders[~self.bolus]):
            rows = np.flatnonzero((orders == order) & ~self.bolus)
            ends[rows[:-1]] = np.minimum(ends[rows[:-1]], self.starts[rows[1:]])
        return ends

    def steps(self) -> tuple[np.ndarray, np.ndarray]:
        """Return when the value changes and what it is from then on.

        Returns
        -------
        times : (change,) min
            Sorted, unique, finite; only times at which the value really changes. May be empty.
        values : (change,)
            The value from each time until the next, in `unit`; NaN where a setting is unknown. Before the first it is
            `at(-inf)`: 0 of a rate, and NaN of a setting, unless a row starts at -inf.
        """
        values, times = self._values()
        changed = np.flatnonzero((values[1:] != values[:-1]) & ~(np.isnan(values[1:]) & np.isnan(values[:-1])))
        return times[changed], values[changed + 1]

    def _values(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the value before the first edge and from each edge on, and the edges."""
        ends = self.lasting()
        edges = np.concatenate([self.starts, ends])
        times = np.unique(edges[np.isfinite(edges)])
        # One slot before the first edge; slices are added one by one so that nothing is left over when an infusion
        # ends.
        values = np.full(times.size + 1, np.nan if self.setting else 0.0)
        first = np.where(np.isneginf(self.starts), 0, np.searchsorted(times, self.starts, side="right"))
        last = np.searchsorted(times, ends, side="left")
        for low, high, rate in zip(first, last + 1, self.rates, strict=True):
            values[low:high] = rate if self.setting else values[low:high] + rate
        return values, times

    def at(self, time: Any) -> Any:
        """Return the value in force at a time; at a change, the new one.

        Parameters
        ----------
        time : float, str or array, min
            When.

        Returns
        -------
        value : float or array
            In `unit`; NaN where a setting is unknown.
        """
        moments = np.asarray(units.minutes(time) if isinstance(time, str) else time, float)
        values, times = self._values()
        found = values[np.searchsorted(times, moments, side="right")]
        return float(found) if moments.ndim == 0 else found

    def until(self, time: float | str) -> Course:
        """Keep what was known at a time.

        Parameters
        ----------
        time : float or str, min
            What happens at `time` itself is a decision still to be made: rows that start at or after it, or were not
            known by then, are dropped, an infusion that ran until `time` or longer gets ``end=inf`` (it runs on as it
            was just before), a dose still running ends at `time`.

        Returns
        -------
        course : Course
            Nothing finite in it is later than `time`.
        """
        time = units.minutes(time)
        ends = np.where(self.bolus, np.minimum(self.ends, time), np.where(self.ends >= time, np.inf, self.ends))
        return self._select((self.starts < time) & (self.known <= time), ends=ends)

    def after(self, time: float | str) -> Course:
        """Keep what happens from a time on; a row that acts at it is clipped to start there.

        Parameters
        ----------
        time : float or str, min
            When.

        Returns
        -------
        course : Course
            Nothing in it starts before `time`.
        """
        time = units.minutes(time)
        return self._select(self.lasting() > time, starts=np.maximum(self.starts, time))

    def between(self, begin: float | str, end: float | str) -> Course:
        """Keep what happens from `begin` until `end`, and what was charted in between of the time before.

        Parameters
        ----------
        begin, end : float or str, min
            When.

        Returns
        -------
        course : Course
            As `until(end)`, clipped to start at `begin`; rows that became known after `begin` keep their own start. An
            infusion running at `end` gets ``end=inf``.
        """
        begin, seen = units.minutes(begin), self.until(end)
        late = (seen.known > begin) & (seen.starts < begin)
        starts = np.where(late, seen.starts, np.maximum(seen.starts, begin))
        return seen._select(late | (seen.lasting() > begin), starts=starts)

    def stop(self, time: float | str) -> Course:
        """End everything at a time.

        Parameters
        ----------
        time : float or str, min
            When.

        Returns
        -------
        course : Course
            The value is 0 from `time` on, or unknown if it is a setting.
        """
        time = units.minutes(time)
        return self._select(self.starts < time, ends=np.minimum(self.ends, time))

    def to(self, unit: str, *, variable: str | None = None, weight: float | None = None) -> Course:
        """Express the rates in another unit.

        Parameters
        ----------
        unit, variable, weight
            As for `units.convert`.

        Returns
        -------
        course : Course
            The same rows.
        """
        rates = units.convert(self.rates, self.unit, unit, variable=variable, weight=weight)
        return dataclasses.replace(self, rates=rates, unit=units.normalize(unit))

    def renamed(self, taken: Iterable[str]) -> Course:
        """Return this history with the orders nobody named ("#1", …) numbered otherwise than those taken."""
        taken = set(taken)
        names: dict[str, str] = {}
        numbers = itertools.count(1)
        for name in dict.fromkeys(self.orders.tolist()):
            fresh = name.startswith("#")
            names[name] = next(f"#{n}" for n in numbers if f"#{n}" not in taken) if fresh else name
        return dataclasses.replace(self, orders=np.array([names[name] for name in self.orders.tolist()], str))

    def infusions(self) -> Course:
        """Return this history without its doses."""
        return self.keep(~self.bolus)

    def keep(self, rows: np.ndarray) -> Course:
        """Keep some of the rows; `rows` is (change,) bool."""
        return self._select(rows)

    def amount(self, begin: float | str, end: float | str) -> float:
        """Return how much ran in between two times.

        Parameters
        ----------
        begin, end : float or str, min
            When.

        Returns
        -------
        amount : float
            In `unit` × min; NaN where a setting was unknown.
        """
        begin, end = units.minutes(begin), units.minutes(end)
        values, times = self._values()
        borders = np.clip(np.concatenate([[-np.inf], times, [np.inf]]), begin, end)
        lengths = np.diff(borders)
        return float(np.sum(np.where(lengths > 0, values * lengths, 0.0)))

    def _select(self, keep: np.ndarray, **columns: np.ndarray) -> Course:
        rows = {name: columns.get(name, getattr(self, name))[keep] for name, _ in _ROWS}
        return dataclasses.replace(self, **rows)


def sustained_rates(course: Course) -> np.ndarray:
    """Return the rates by which an input is judged: a bolus counts as its amount over one hour.

    Parameters
    ----------
    course : Course
        An input's history.

    Returns
    -------
    rates : (change,)
        In the unit of `course`.
    """
    hours = np.minimum((course.ends - course.starts) / 60.0, 1.0)
    return np.where(course.bolus, course.rates * hours, course.rates)


def require_plausible_rates(variable: str, course: Course, *, weight: float | None = None) -> None:
    """Refuse rates outside the variable's plausible range; a bolus may hold an hour of the highest rate.

    Parameters
    ----------
    variable : str
        The input's name.
    course : Course
        Its history: each row is judged, then what all orders give together at any time.
    weight : float, optional
        kg, for units per kilogram.

    Raises
    ------
    ValueError
        As `units.require_plausible`, or if the unit is per kilogram and `weight` is missing.
    """
    units.require_plausible(variable, sustained_rates(course), course.unit, weight=weight)
    if course.setting:
        return
    drips = course.infusions()
    times, totals = drips.steps()
    too_much = np.flatnonzero(~units.plausible(variable, totals, course.unit, weight=weight))
    if too_much.size:
        entry = units.VOCABULARY[variable]
        running = int(np.sum((drips.starts <= times[too_much[0]]) & (drips.lasting() > times[too_much[0]])))
        raise ValueError(
            f"{variable} adds up to more than is plausible at {times[too_much[0]]:g} min, where {running} orders run "
            f"together (range {entry.low:g} to {entry.high:g} {entry.unit}): rows of one order replace each other, "
            "different orders add; name the order of each row, or check the rates."
        )
