"""Continue one patient's record with what became known since, or late."""

import math
from dataclasses import replace

import numpy as np

from .course import Course
from .inputs import Inputs
from .record import Covariate, Record, Series
from .units import convert


def join(record: Record, new_data: Record) -> tuple[Record, float]:
    """Continue a record.

    Parameters
    ----------
    record : Record
    new_data : Record
        See `update`.

    Returns
    -------
    record : Record
        Everything of both.
    since : float, min
        What holds up to this time is as it was, measurements at it included.

    Raises
    ------
    ValueError
        As `update`.
    """
    _check_origin(record, new_data)
    _check_covariates(record, new_data)
    observations, since = dict(record.observations), math.inf
    for name, series in new_data.observations.items():
        if len(series.times) == 0:
            continue
        since = min(since, _just_before(float(series.times[0])))
        observations[name] = _appended(name, record.observations[name], series) if name in observations else series
    inputs, changed = _continued(record, new_data)
    if not new_data.observations and new_data.end <= record.end and changed == math.inf:
        raise ValueError(
            f"The new data hold nothing new: no measurement, no changed input, and their end ({new_data.end:g} min) is "
            f"not after the twin's present ({record.end:g} min)."
        )
    joined = replace(
        record,
        observations=observations,
        inputs=inputs,
        covariates={**new_data.covariates, **record.covariates},
        end=max(record.end, new_data.end),
        ledger=record.ledger + new_data.ledger,
    )
    return joined, min(since, changed)


def _just_before(time: float) -> float:
    return float(np.nextafter(time, -math.inf))


def _check_origin(record: Record, new_data: Record) -> None:
    first = min((float(s.times[0]) for s in new_data.observations.values() if len(s.times)), default=new_data.end)
    if first < record.start or new_data.end < record.start:
        raise ValueError(
            f"The new data reach back to {min(first, new_data.end):g} min, before the twin's origin at {record.start:g}"
            " min: fit a twin to the whole record instead."
        )


def _check_covariates(record: Record, new_data: Record) -> None:
    for name, given in new_data.covariates.items():
        if name in record.covariates and not _same(name, record.covariates[name], given):
            raise ValueError(
                f"Covariate `{name}` of the new data differs from the twin's: is this another patient? If the property "
                "changed, fit a new twin."
            )


def _same(name: str, mine: Covariate, given: Covariate) -> bool:
    if isinstance(mine.value, str) or isinstance(given.value, str):
        return mine.value == given.value
    value = (
        given.value
        if mine.unit == given.unit
        else convert(given.value, given.unit or "", mine.unit or "", variable=name)
    )
    return math.isclose(float(value), float(mine.value), rel_tol=1e-6)


def _appended(name: str, old: Series, new: Series) -> Series:
    """Return both series in order of time; what was measured already is refused."""
    values = np.asarray(convert(new.values, new.unit, old.unit, variable=name), float)
    places = np.searchsorted(old.times, new.times)
    for i, place in enumerate(places):
        if place < len(old.times) and old.times[place] == new.times[i]:
            same = math.isclose(values[i], old.values[place], rel_tol=1e-6) and old.limits[place] == new.limits[i]
            what = "repeats a measurement" if same else "contradicts a measurement"
            raise ValueError(
                f"`{name}` at {new.times[i]:g} min {what} that the twin has seen already; give only what is new, e.g. "
                "`record.between(twin.now, time)`."
            )
    return Series(
        np.insert(old.times, places, new.times),
        np.insert(old.values, places, values),
        old.unit,
        np.insert(old.limits, places, new.limits),
        np.insert(old.known, places, new.known),
    )


def _continued(record: Record, new_data: Record) -> tuple[Inputs, float]:
    """Return the inputs of both, and the earliest time before the record's end from which they differ from the old."""
    courses, changed = dict(record.inputs.courses), math.inf
    begin, end = max(new_data.start, record.start), new_data.end
    for name, course in new_data.inputs.courses.items():
        old = courses.get(name, Course.empty(course.unit, setting=course.setting))
        course = course.to(old.unit, variable=name, weight=record.weight).after(begin)
        if end < record.end:
            course = _sewn(course.stop(end), old.after(end), end)
        joined = _sewn(old.stop(begin), course, begin)
        differs = _first_difference(old, joined, begin, record.end)
        if differs < record.end and new_data.start <= record.start:
            _refuse_rewriting(name, record)
        changed = min(changed, differs if differs < record.end else math.inf)
        if len(joined.starts):
            courses[name] = joined
        else:  # it never ran
            courses.pop(name, None)
    return Inputs(courses), changed


def _refuse_rewriting(name: str, record: Record) -> None:
    raise ValueError(
        f"Input `{name}` of the new data contradicts what the twin knows of the time before its present, and the new "
        f"data do not say from when on they hold: declare it, e.g. `Record.build(…, start={record.end:g})`."
    )


def _sewn(before: Course, after: Course, border: float) -> Course:
    """Join two courses; an interval cut at their border becomes whole again."""
    ends, left = before.ends.copy(), np.ones(len(after.starts), bool)
    for i in np.flatnonzero(before.ends == border):
        same = left & (after.starts == border) & (after.rates == before.rates[i]) & (after.bolus == before.bolus[i])
        for k in np.flatnonzero(same)[:1]:
            ends[i], left[k] = after.ends[k], False
    return Course.joined((replace(before, ends=ends), after.keep(left).renamed(before.orders.tolist())))


def _first_difference(old: Course, new: Course, begin: float, end: float) -> float:
    """Return the first time from `begin` to before `end` at which two courses differ; infinity where they do not."""
    if not begin < end:
        return math.inf
    marks = np.concatenate([[begin], old.starts, old.ends, new.starts, new.ends])
    marks = np.unique(marks[(marks >= begin) & (marks < end)])
    different = np.flatnonzero(~np.isclose(old.at(marks), new.at(marks), rtol=1e-9, atol=1e-12, equal_nan=True))
    return float(marks[different[0]]) if len(different) else math.inf
