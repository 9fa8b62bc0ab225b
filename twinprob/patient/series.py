"""One measured variable and one fixed property, and the checks they pass at the door."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from . import suspicion, units
from .frozen import freeze
from .inputs import Inputs


@dataclass(frozen=True, eq=False)
class Series:
    """One measured variable.

    Attributes
    ----------
    times : (time,) min
        Increasing; several of one time are replicates.
    values : (time,)
        Finite, in `unit`.
    unit : str
        As declared.
    limits : (time,) int8
        0 measured; -1 below, +1 above the detection limit that stands in `values`.
    known : (time,) min
        When each value was known: that of a laboratory when its result was stored. The time it was taken where nothing
        else is said, never earlier.
    """

    times: np.ndarray
    values: np.ndarray
    unit: str
    limits: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int8))
    known: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        limits = self.limits if np.size(self.limits) else np.zeros(np.size(self.times), np.int8)
        object.__setattr__(self, "times", freeze(self.times))
        object.__setattr__(self, "values", freeze(self.values))
        object.__setattr__(self, "limits", freeze(limits, np.int8))
        object.__setattr__(self, "known", freeze(self.known if np.size(self.known) else self.times))

    def select(self, keep: np.ndarray) -> Series:
        """Keep some of the measurements.

        Parameters
        ----------
        keep : (time,) bool
            Which.

        Returns
        -------
        series : Series
            The same unit.
        """
        return Series(self.times[keep], self.values[keep], self.unit, self.limits[keep], self.known[keep])


@dataclass(frozen=True)
class Covariate:
    """One fixed property of the patient.

    Attributes
    ----------
    value : float or str
        A number in `unit`, or a category. It holds throughout, whatever was charted later: an `update` that is given
        the property anew changes it, and nothing else does.
    unit : str or None
        None for a category.
    changes : tuple of (float, float)
        Time (min) and value, in `unit`, of each time that another value was charted later.
    """

    value: float | str
    unit: str | None = None
    changes: tuple[tuple[float, float], ...] = ()

    def at(self, time: float | str) -> float | str:
        """Return what was last charted at a time; `value` before anything else was."""
        moment = units.minutes(time)
        return next((value for then, value in reversed(self.changes) if then <= moment), self.value)

    def between(self, after: float, until: float) -> Covariate:
        """Keep the changes charted after one time (min) and until another."""
        return replace(self, changes=tuple(one for one in self.changes if after < one[0] <= until))


def check_all(
    observations: Mapping[str, Any],
    own: tuple[str, ...],
    reasons: dict[str, list[float]],
    sure: set[str],
    replicates: tuple[str, ...] = (),
) -> dict[str, Series]:
    """Return every variable of which something was measured, as `check_series` does; units not `sure` are doubted."""
    for name in replicates:
        if name not in observations:
            raise ValueError(f"Argument `replicates` names `{name}`, which the record does not hold.")
    series = {
        name: check_series(name, given, own, reasons, doubted=name not in sure, replicated=name in replicates)
        for name, given in observations.items()
    }
    return {name: one for name, one in series.items() if one.times.size}


def check_series(
    name: str,
    given: Any,
    own: tuple[str, ...],
    reasons: dict[str, list[float]],
    *,
    doubted: bool = False,
    replicated: bool = False,
) -> Series:
    """Check one measured variable and leave out, with the reason, what is no measurement.

    Parameters
    ----------
    name : str
        The variable.
    given : Series or tuple
        ``(times, values, unit)``, and where wanted ``limits`` and ``known`` after them.
    own : tuple of str
        Names outside the vocabulary.
    reasons : dict of str to list of float
        Times of the rows left out, by reason; extended here.
    doubted : bool
        Whether values that fit another unit better are refused, and one such value among others left out.
    replicated : bool
        Whether several values of one time are several measurements, all of which count.

    Returns
    -------
    series : Series
        May be empty.

    Raises
    ------
    ValueError
        If the name is unknown, the unit is missing or wrong, times go backwards or repeat with another value, a value
        is implausible, or was known before it was taken.
    """
    units.known(name, own=own, kind="observation")
    if isinstance(given, Series):
        given = (given.times, given.values, given.unit, given.limits, given.known)
    if not isinstance(given, tuple | list) or len(given) not in (3, 4, 5):
        raise TypeError(f"Observation {name!r} must be (times, values, unit), but is {type(given).__name__}.")
    times = _read_times(name, "times", given[0])
    values = np.array([_number(name, index, value) for index, value in enumerate(np.atleast_1d(given[1]))], float)
    limits = _read_limits(name, given[3] if len(given) > 3 and given[3] is not None else np.zeros(times.size))
    known = times if len(given) < 5 or given[4] is None else _read_times(name, "known", given[4])
    if not times.size == values.size == limits.size == known.size:
        raise ValueError(
            f"{name} needs as many times as values, limits and times of knowing, but has {times.size} times and "
            f"{values.size} values ({limits.size} limits, {known.size} times of knowing)."
        )
    entry = units.VOCABULARY.get(name)
    like = entry.unit if entry and name not in own else (given[2] or "mmol/L")
    unit = units.check(given[2], like=like, variable=name)
    known = np.where(np.isnan(known), times, known)
    for index in np.flatnonzero(known < times):
        raise ValueError(
            f"{name} known[{index}] = {known[index]:g} min is before the value was taken at {times[index]:g} min: the "
            "columns may be exchanged."
        )

    def drop(bad: np.ndarray, why: str) -> None:
        nonlocal times, values, limits, known
        if bad.any():
            reasons.setdefault(f"{name}: {why}", []).extend(times[bad].tolist())
            times, values, limits, known = times[~bad], values[~bad], limits[~bad], known[~bad]

    drop(~np.isfinite(times), "no time")
    drop(np.isnan(values), "not a number")
    drop(np.isinf(values), "infinite")
    _check_forward(name, times)
    repeats = np.append(False, np.diff(times) == 0) & (not replicated)
    same = np.append(False, (np.diff(values) == 0) & (np.diff(limits) == 0))
    for index in np.flatnonzero(repeats & ~same):
        raise ValueError(
            f"{name} has two different values at time {times[index]:g} min (row {index}). Keep one; or, where "
            f"these are several measurements of one moment, say so: `Record.build(…, replicates=({name!r},))`."
        )
    drop(repeats, "repeated row")
    doubted = doubted and name not in own
    if doubted:
        strange, other = suspicion.strays(name, times, values, unit, limits)
        drop(strange, suspicion.stray_reason(unit, other))
    if name not in own:
        units.require_plausible(name, values, unit)
    if doubted:
        suspicion.require_usual(name, values, unit, limits)
    return Series(times, values, unit, limits, known)


def _number(name: str, index: int, value: Any) -> float:
    try:
        return float("nan" if value is None else value)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name}[{index}] must be a number, but is {value!r:.20}: of a value beyond a limit give the limit, and "
            "`limits` -1 below or +1 above."
        ) from None


def _read_limits(name: str, limits: Any) -> np.ndarray:
    found = np.atleast_1d(np.asarray(limits, dtype=object))
    for index, side in enumerate(found):
        if isinstance(side, bool | np.bool_) or side not in (-1, 0, 1):
            raise ValueError(
                f"{name} limits[{index}] must be -1 (below the limit), 0 (measured) or +1 (above), but is {side!r:.20}"
                ": the limit itself stands in the values."
            )
    return found.astype(np.int8)


def _read_times(name: str, what: str, times: Any) -> np.ndarray:
    found = np.atleast_1d(np.asarray(times, dtype=object))
    read = np.full(found.size, math.nan)
    for index, time in enumerate(found):
        if time is None or (isinstance(time, float | np.floating) and math.isnan(time)):
            continue
        try:
            read[index] = units.minutes(time)
        except (ValueError, TypeError):
            # The text stays out of the message: dates identify patients.
            raise ValueError(
                f"{name} {what}[{index}] must be a number of minutes or text such as '24 h'; `read_tidy` reads dates."
            ) from None
    return read


def _check_forward(name: str, times: np.ndarray) -> None:
    for index in np.flatnonzero(np.diff(times) < 0) + 1:
        raise ValueError(
            f"{name} times must not go backwards, but times[{index}] = {times[index]:g} min follows "
            f"times[{index - 1}] = {times[index - 1]:g} min. "
            "Sort the rows by time if their order means nothing."
        )


def check_covariate(name: str, given: Any, own: tuple[str, ...]) -> Covariate:
    """Check one fixed property.

    Parameters
    ----------
    name : str
        The property.
    given : Covariate, tuple or category
        ``(value, unit)``, and where wanted ``changes`` after them, or a category such as ``"male"``.
    own : tuple of str
        Names outside the vocabulary.

    Returns
    -------
    covariate : Covariate
        Checked.

    Raises
    ------
    ValueError
        If the name, the unit, the category or the size of a value is impossible, or changes go backwards.
    """
    units.known(name, own=own, kind="covariate")
    if isinstance(given, Covariate):
        given = (given.value, given.unit, given.changes)
    value, unit, *rest = given if isinstance(given, tuple | list) else (given, None)
    entry = units.VOCABULARY.get(name)
    if entry and name not in own and entry.levels:
        if value not in entry.levels:
            raise ValueError(f"Covariate {name!r} must be one of {', '.join(entry.levels)}, but is {value!r}.")
        return Covariate(str(value), None)
    if isinstance(value, str):
        if name in own:
            return Covariate(value, unit)
        raise ValueError(f"Covariate {name!r} must be a number with a unit, but is text.")
    unit = units.check(unit, like=entry.unit if entry and name not in own else (unit or "kg"), variable=name)
    if not math.isfinite(value):
        raise ValueError(f"Covariate {name!r} must be finite; leave it out if it is not known.")
    given_later = rest[0] if rest else ()
    moments = _read_times(name, "changes", [time for time, _ in given_later])
    changes = tuple(zip(moments.tolist(), (float(other) for _, other in given_later), strict=True))
    if not np.all(np.isfinite(moments)) or list(changes) != sorted(changes):
        raise ValueError(f"Covariate {name!r} must have changes in order of their time.")
    if name not in own:
        units.require_plausible(name, np.array([float(value), *(other for _, other in changes)]), unit)
    return Covariate(float(value), unit, changes)


def check_plateau(series: Mapping[str, Series], inputs: Inputs) -> None:
    """Refuse a plateau below the PEEP it was measured at: no breath ends an inspiration below where it began."""
    if "plateau_pressure" not in series or "peep" not in inputs:
        return
    plateau, peep = series["plateau_pressure"], inputs["peep"]
    set_to = units.convert(peep.at(plateau.times), peep.unit, plateau.unit, variable="peep")
    for i in np.flatnonzero((plateau.values < set_to) & (plateau.limits == 0))[:1]:  # False where it is unknown
        raise ValueError(
            f"plateau_pressure[{i}] = {plateau.values[i]:g} {plateau.unit} at {plateau.times[i]:g} min is below the "
            f"PEEP of {set_to[i]:g} set then: check both, or leave this plateau out."
        )


def check_pulse(series: Mapping[str, Series], own: tuple[str, ...]) -> None:
    """Refuse a systolic pressure that is not above the diastolic one of the same time."""
    names = ("systolic_pressure", "diastolic_pressure")
    if any(name not in series or name in own for name in names):
        return
    high, low = (series[name] for name in names)
    _, first, second = np.intersect1d(high.times, low.times, return_indices=True)
    lowest = units.convert(low.values[second], low.unit, high.unit, variable=names[1])
    wrong = (high.values[first] <= lowest) & (high.limits[first] == 0) & (low.limits[second] == 0)
    for i in np.flatnonzero(wrong)[:1]:
        raise ValueError(
            f"systolic_pressure[{first[i]}] = {high.values[first[i]]:g} {high.unit} at {high.times[first[i]]:g} min is "
            f"not above diastolic_pressure[{second[i]}] = {lowest[i]:g} {high.unit}: check whether the two were "
            "exchanged, or leave both out."
        )
