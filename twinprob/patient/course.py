"""One input's history: what was running when, and how fast."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from . import units

Value = TypeVar("Value")


class Frozen(Mapping[str, Value], Generic[Value]):
    """A mapping that cannot be changed, keeps its order, and can be pickled (`types.MappingProxyType` cannot).

    Parameters
    ----------
    items : mapping
        Copied.
    """

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, Value] | None = None):
        self._items = dict(items or {})

    def __getitem__(self, name: str) -> Value:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return repr(self._items)


def freeze(values: Any, dtype: Any = float) -> np.ndarray:
    """Copy values into an array that cannot be written to.

    Parameters
    ----------
    values : array-like
        One-dimensional, or a scalar, which becomes one element.
    dtype : dtype
        Of the copy.

    Returns
    -------
    values : (n,)
        Read-only.
    """
    array = np.array(values, dtype=dtype, ndmin=1)
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class Course:
    """One input's history.

    Attributes
    ----------
    starts, ends : (change,) min
        Half-open intervals ``[start, end)``, sorted by start; ``-inf`` is "always before", ``+inf`` "still running".
    rates : (change,)
        In `unit`; intervals that overlap add.
    unit : str
        A rate's unit.
    bolus : (change,) bool
        True for a dose that ends by itself, False for an infusion that runs until it is changed.
    """

    starts: np.ndarray
    ends: np.ndarray
    rates: np.ndarray
    unit: str
    bolus: np.ndarray

    def __post_init__(self) -> None:
        order = np.lexsort(
            (np.asarray(self.rates, float), np.asarray(self.ends, float), np.asarray(self.starts, float))
        )
        for name, dtype in (("starts", float), ("ends", float), ("rates", float), ("bolus", bool)):
            object.__setattr__(self, name, freeze(np.asarray(getattr(self, name), dtype)[order], dtype))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Course):
            return NotImplemented
        return self.unit == other.unit and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in ("starts", "ends", "rates", "bolus")
        )

    __hash__ = None  # type: ignore[assignment]

    def steps(self) -> tuple[np.ndarray, np.ndarray]:
        """Return when the value changes and what it is from then on.

        Returns
        -------
        times : (change,) min
            Sorted, unique, finite; only times at which the value really changes. May be empty.
        values : (change,)
            The value from each time until the next, in `unit`. Before the first it is `at(-inf)`: 0 unless an
            interval starts at -inf.
        """
        edges = np.concatenate([self.starts, self.ends])
        times = np.unique(edges[np.isfinite(edges)])
        # One slot before the first edge; slices are added one by one so that nothing is left over when an infusion
        # ends.
        values = np.zeros(times.size + 1)
        first = np.searchsorted(times, self.starts, side="right")
        last = np.searchsorted(times, self.ends, side="left")
        first = np.where(np.isneginf(self.starts), 0, first)
        for low, high, rate in zip(first, last + 1, self.rates, strict=True):
            values[low:high] += rate
        changed = np.flatnonzero(np.diff(values) != 0)
        return times[changed], values[changed + 1]

    def at(self, time: Any) -> Any:
        """Return the value in force at a time; at a change, the new one.

        Parameters
        ----------
        time : float, str or array, min
            When.

        Returns
        -------
        value : float or array
            In `unit`.
        """
        times = np.asarray(units.minutes(time) if isinstance(time, str) else time, float)
        changes, after = self.steps()
        values = np.concatenate([[self.rates[np.isneginf(self.starts)].sum()], after])
        found = values[np.searchsorted(changes, times, side="right")]
        return float(found) if times.ndim == 0 else found

    def until(self, time: float | str) -> Course:
        """Keep what was known at a time.

        Parameters
        ----------
        time : float or str, min
            What happens at `time` itself is a decision still to be made: intervals that start at or after it are
            dropped, an infusion that ran until `time` or longer gets ``end=inf`` (it runs on as it was just before),
            a bolus still running ends at `time`.

        Returns
        -------
        course : Course
            Nothing finite in it is later than `time`.
        """
        time = units.minutes(time)
        ends = np.where(self.bolus, np.minimum(self.ends, time), np.where(self.ends >= time, np.inf, self.ends))
        return self._select(self.starts < time, self.starts, ends)

    def after(self, time: float | str) -> Course:
        """Keep what happens from a time on; an interval running at it is clipped to start there.

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
        return self._select(self.ends > time, np.maximum(self.starts, time), self.ends)

    def between(self, begin: float | str, end: float | str) -> Course:
        """Keep what happens from `begin` until `end`: `until(end)`, then `after(begin)`.

        Parameters
        ----------
        begin, end : float or str, min
            When.

        Returns
        -------
        course : Course
            An infusion running at `end` gets ``end=inf``.
        """
        return self.until(end).after(begin)

    def stop(self, time: float | str) -> Course:
        """End everything at a time.

        Parameters
        ----------
        time : float or str, min
            When.

        Returns
        -------
        course : Course
            The value is 0 from `time` on.
        """
        time = units.minutes(time)
        return self._select(self.starts < time, self.starts, np.minimum(self.ends, time))

    def to(self, unit: str, *, variable: str | None = None, weight: float | None = None) -> Course:
        """Express the rates in another unit.

        Parameters
        ----------
        unit, variable, weight
            As for `units.convert`.

        Returns
        -------
        course : Course
            The same intervals.
        """
        rates = units.convert(self.rates, self.unit, unit, variable=variable, weight=weight)
        return Course(self.starts, self.ends, rates, units.normalize(unit), self.bolus)

    def _select(self, keep: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> Course:
        return Course(starts[keep], ends[keep], self.rates[keep], self.unit, self.bolus[keep])


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
        Its history.
    weight : float, optional
        kg, for units per kilogram.

    Raises
    ------
    ValueError
        As `units.require_plausible`, or if the unit is per kilogram and `weight` is missing.
    """
    units.require_plausible(variable, sustained_rates(course), course.unit, weight=weight)
