"""Continue the history of inputs with rows that came later: late-charted ones, repeats, ends of orders, new rates."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from . import units
from .course import Course
from .inputs import Inputs

if TYPE_CHECKING:
    from .record import Record


@dataclass(frozen=True)
class Rows:
    """The inputs of both records.

    Attributes
    ----------
    inputs : Inputs
    changed : float, min
        The earliest time before the old record's end from which they differ from the old ones; else infinity.
    brought : mapping of str to int
        How many rows are new, of them late, repeated, or end an order.
    repeated : mapping of str to (row,) min
        When repeated rows were known, by input.
    """

    inputs: Inputs
    changed: float
    brought: Mapping[str, int]
    repeated: Mapping[str, np.ndarray]


def continued(inputs: Inputs, new_data: Record, record: Record) -> Rows:
    """Continue inputs with those of new data.

    New data with a declared start say, of each input they name, all that it does from there on; rows that began before
    it and that the record does not hold were charted late. Without one, their rows are added to those of the record:
    rows of one order replace each other, and whoever names no order means the one that runs.

    Parameters
    ----------
    inputs : Inputs
        Of the record.
    new_data, record : Record

    Returns
    -------
    rows : Rows

    Raises
    ------
    ValueError
        If it cannot be told what the new rows replace.
    """
    courses, changed = dict(inputs.courses), math.inf
    brought: Counter[str] = Counter()
    repeated = {}
    weight = new_data.weight or record.weight
    for name, course in new_data.inputs.courses.items():
        old = courses.get(name, Course.empty(course.unit, setting=course.setting))
        course = course.to(old.unit, variable=name, weight=weight)
        whole, again = _whole(name, old, course, new_data, record)
        repeated[name] = again
        differs = _first_difference(old, whole, record.start, record.end)
        changed = min(changed, differs)
        _count(brought, old, whole, record.end)
        brought["repeated input rows"] += len(again)
        if len(whole.starts):
            courses[name] = whole
        else:  # it never ran
            courses.pop(name, None)
    return Rows(Inputs(courses), changed, +brought, {n: times for n, times in repeated.items() if len(times)})


def _whole(name: str, old: Course, course: Course, new_data: Record, record: Record) -> tuple[Course, np.ndarray]:
    """Return one input's rows of both, and when the rows were known that say the same again."""
    declared = new_data.start > record.start
    if not declared:
        named = _in_the_running_order(name, old, course, record)
        fresh = ~_repeats(old, named)
        always = fresh & np.isneginf(named.starts)
        if always.any():
            _refuse_rewriting(name, record)
        return _added(old, named.keep(fresh)), named.known[~fresh]
    begin, end = new_data.start, new_data.end
    early = (course.starts < begin) & np.isfinite(course.starts)
    goes_on = _goes_on(old, course)
    late = course.keep(early & ~goes_on)
    current = course.keep(~early | goes_on).after(begin)
    if end < record.end:
        current, _ = _sewn(current.stop(end), old.after(end), end)
    whole, names = _sewn(old.stop(begin), current, begin)
    whole = _ended(whole, course.keep(early & goes_on), begin)
    again = _repeats(old, late)
    return _added(whole, _called(late.keep(~again), names)), late.known[again]


def reweighed(inputs: Inputs, now: float, before: float, weight: float) -> Inputs:
    """Return inputs per kilogram as amounts: of the weight that was (kg) until now (min), of the new one from then on.

    Parameters
    ----------
    inputs : Inputs
    now : float, min
    before, weight : float, kg

    Returns
    -------
    inputs : Inputs
        None of them is per kilogram.
    """
    courses = {}
    for name, course in inputs.courses.items():
        if units.per_weight(course.unit):
            unit = units.normalize(course.unit).replace("/kg", "", 1)
            past, later = (course.to(unit, variable=name, weight=w) for w in (before, weight))
            running = ~later.bolus & (later.lasting() > now)
            later = replace(later.keep(running), starts=np.maximum(later.starts[running], now))
            course = Course.joined((past.keep(past.bolus | (past.starts < now)), later))
        courses[name] = course
    return Inputs(courses)


def _in_the_running_order(name: str, old: Course, course: Course, record: Record) -> Course:
    """Give rows of no named order the name of the one order without a name that runs when they begin."""
    unnamed = np.char.startswith(course.orders, "#") & ~course.bolus
    if course.setting or not unnamed.any():
        return course
    drips = np.char.startswith(old.orders, "#") & ~old.bolus & (old.lasting() > course.starts[unnamed].min())
    running = np.unique(old.orders[drips])
    if len(running) > 1:
        raise ValueError(
            f"Input `{name}` of the new data names no order, and {len(running)} orders without a name run then: "
            f"say from when on the new data tell all that it does, e.g. `Record.build(…, start={record.end:g})`, or "
            "name the orders."
        )
    fresh = course.renamed(old.orders.tolist())
    return replace(fresh, orders=np.where(unnamed, running[0], fresh.orders)) if len(running) else fresh


def _repeats(old: Course, new: Course) -> np.ndarray:
    """Say of each new row whether the old ones hold it: the same time, size and end, of the same or no order."""
    found = np.zeros(len(new.starts), bool)
    for i in range(len(new.starts)):
        same = (old.starts == new.starts[i]) & (old.ends == new.ends[i]) & (old.bolus == new.bolus[i])
        same &= np.isclose(old.rates, new.rates[i], rtol=1e-9, atol=0)
        if not old.setting and not new.orders[i].startswith("#"):
            same &= (old.orders == new.orders[i]) | np.char.startswith(old.orders, "#")
        found[i] = same.any()
    return found


def _goes_on(old: Course, new: Course) -> np.ndarray:
    """Say of each new row whether it is one that the old record knows, whatever its end."""
    close = np.isclose(new.rates[:, None], old.rates[None, :], rtol=1e-9, atol=0)
    same = (new.starts[:, None] == old.starts[None, :]) & (new.bolus[:, None] == old.bolus[None, :]) & close
    return same.any(axis=1) & ~new.bolus


def _ended(whole: Course, known: Course, begin: float) -> Course:
    """End orders whose end before `begin` was charted late."""
    ends = whole.ends.copy()
    for start, end in zip(known.starts, known.ends, strict=True):
        ends = np.where((whole.starts == start) & ~whole.bolus & (end < begin), np.minimum(ends, end), ends)
    return replace(whole, ends=ends)


def _added(old: Course, new: Course) -> Course:
    """Add rows; one that begins with an old one of its order stands in its place."""
    gone = np.zeros(len(old.starts), bool)
    for start, order, bolus in zip(new.starts, new.orders, new.bolus, strict=True):
        same = (old.starts == start) & (old.bolus == bolus)
        if not old.setting:
            same &= (old.orders == order) & (not (bolus and order.startswith("#")))
        gone |= same
    return Course.joined((old.keep(~gone), new)) if len(new.starts) else old


def _refuse_rewriting(name: str, record: Record) -> None:
    raise ValueError(
        f"Input `{name}` of the new data contradicts what the twin knows of the time before its present, and the new "
        f"data do not say from when on they hold: declare it, e.g. `Record.build(…, start={record.end:g})`."
    )


def _sewn(before: Course, after: Course, border: float) -> tuple[Course, dict[str, str]]:
    """Join two courses; an interval cut at their border becomes whole again, and with it its order's name.

    Returns
    -------
    whole : Course
    names : dict of str to str
        What the later orders are called in it.
    """
    ends, left, names = before.ends.copy(), np.ones(len(after.starts), bool), {}
    free = np.char.startswith(before.orders, "#"), np.char.startswith(after.orders, "#")
    for i in np.flatnonzero(before.lasting() == border):
        same = left & (after.starts == border) & (after.rates == before.rates[i]) & (after.bolus == before.bolus[i])
        same &= before.setting | (after.orders == before.orders[i]) | (free[0][i] & free[1])
        named = same & (after.orders == before.orders[i])
        for k in [*np.flatnonzero(named), *np.flatnonzero(same)][:1]:
            ends[i], left[k] = after.ends[k], False
            names[str(after.orders[k])] = str(before.orders[i])
    taken = {*names.values()}
    others = [n for n in dict.fromkeys(after.orders.tolist()) if n not in names and n in taken]
    fresh = (
        f"#{k}" for k in itertools.count(1) if f"#{k}" not in {*taken, *before.orders.tolist(), *after.orders.tolist()}
    )
    names |= {name: next(fresh) if name.startswith("#") else name for name in others}
    return Course.joined((replace(before, ends=ends), _called(after.keep(left), names))), names


def _called(course: Course, names: Mapping[str, str]) -> Course:
    return replace(course, orders=np.array([names.get(name, name) for name in course.orders.tolist()], str))


def _first_difference(old: Course, new: Course, begin: float, end: float) -> float:
    """Return the first time from `begin` to before `end` at which two courses differ; infinity where they do not."""
    marks = np.concatenate([[begin], old.starts, old.lasting(), new.starts, new.lasting()])
    marks = np.unique(marks[(marks >= begin) & (marks < end)])
    different = np.flatnonzero(~np.isclose(old.at(marks), new.at(marks), rtol=1e-9, atol=1e-12, equal_nan=True))
    return float(marks[different[0]]) if len(different) else math.inf


def _count(brought: Counter[str], old: Course, whole: Course, now: float) -> None:
    """Count the rows that the old course does not hold, and the orders that ended without a row in their place."""
    mine = {(start, round(rate, 9), bool(bolus)): end for start, rate, bolus, end in _keys(old)}
    for start, rate, bolus, end in _keys(whole):
        key = (start, round(rate, 9), bool(bolus))
        if key not in mine:
            brought["input rows"] += 1
            brought["late input rows"] += int(start < now)
        elif not bolus and end < mine[key] and not np.any(whole.starts == end):
            brought["ended"] += 1
    theirs = {(start, round(rate, 9), bool(bolus)) for start, rate, bolus, _ in _keys(whole)}
    brought["withdrawn input rows"] += sum(key not in theirs for key in mine)


def _keys(course: Course):
    return zip(course.starts, course.rates, course.bolus, course.lasting(), strict=True)
