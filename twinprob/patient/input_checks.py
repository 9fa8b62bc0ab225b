"""What rows of an input must be before they become its history."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import units
from .course import Course


def check_unit(variable: str, unit: str, own: tuple[str, ...], *, setting: bool = False) -> str:
    """Return the house spelling of an input's unit, or refuse an amount where a rate belongs."""
    units.known(variable, own=own, kind="input")
    entry = units.VOCABULARY.get(variable)
    like = entry.unit if entry and variable not in own else unit
    unit = units.check(unit, like=like or "U/h", variable=variable)
    level = entry is not None and variable not in own and not units.per_time(entry.unit)  # PEEP, or legs raised
    if not (setting or level) and not units.per_time(unit):
        raise ValueError(
            f"{variable} needs a rate such as {like!r}, but {unit!r} is an amount; use Inputs.bolus with a duration."
        )
    return unit


def read_times(variable: str, what: str, times: Any, unit: str) -> np.ndarray:
    """Return starts or ends in min; a missing one is refused, an end with the remedy."""
    found: list[Any] = [times] if np.ndim(times) == 0 else list(times)
    missing = [time is None or (isinstance(time, float | np.floating) and math.isnan(time)) for time in found]
    if any(missing) or not found:
        remedy = "give its end, or inf if it is still running" if what == "end" else "give it"
        raise ValueError(
            f"{variable} interval {missing.index(True) if found else 0} in {unit} has no {what}: {remedy}."
        )
    return np.array([units.minutes(time) for time in found])


def read_known(variable: str, known: Any, begins: np.ndarray) -> np.ndarray:
    """Return when each interval was known, in min, never before it began."""
    moments = np.broadcast_to(np.array([units.minutes(time) for time in np.atleast_1d(known)]), begins.shape)
    for index in np.flatnonzero(moments < begins):
        raise ValueError(
            f"{variable} interval {index} was known at {moments[index]:g} min, before it began at {begins[index]:g} "
            "min: a plan is no record of what was given."
        )
    return moments


def is_setting(variable: str, own: tuple[str, ...]) -> bool:
    """Say whether the vocabulary calls an input a setting."""
    return variable not in own and variable in units.VOCABULARY and units.VOCABULARY[variable].setting


def refuse_twice(variable: str, course: Course) -> None:
    """Refuse the same dose of one order twice, and two rates of one order or two settings of one time."""
    columns = (course.starts, course.ends, course.rates, course.orders)
    seen = set()
    for dose in zip(*(column[course.bolus].tolist() for column in columns), strict=True):
        if dose in seen:
            raise ValueError(
                f"{variable} is given twice at {dose[0]:g} min, the same dose of the same order: keep one, or name "
                "two orders if both were given."
            )
        seen.add(dose)
    begun: dict[tuple[float, str, float], float] = {}
    rows = zip(
        course.starts.tolist(), course.orders.tolist(), course.known.tolist(), course.rates.tolist(), strict=True
    )
    for bolus, (start, order, known, rate) in zip(course.bolus.tolist(), rows, strict=True):
        if not (bolus or course.setting) and begun.setdefault((start, order, known), rate) != rate:
            raise ValueError(
                f"{variable} has two different rates of one order at {start:g} min: keep one, or name the order of "
                "each with order=."
            )
    refuse_contradiction(variable, course)


def refuse_contradiction(variable: str, course: Course) -> None:
    """Refuse two settings of one time that differ."""
    if not course.setting:
        return
    same = (course.starts[1:] == course.starts[:-1]) & (course.known[1:] == course.known[:-1])
    for index in np.flatnonzero(same & (course.rates[1:] != course.rates[:-1])):
        raise ValueError(
            f"{variable} has two different settings at {course.starts[index]:g} min: keep the one that was in force."
        )
