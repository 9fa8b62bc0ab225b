"""What measurements, inputs and properties must be together before they become a record."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from . import suspicion, units
from .course import Course, require_plausible_rates
from .inputs import Inputs
from .series import Covariate, Series

STEADY = 7 * 1440.0  # min; what has run this long is in steady state, a setting of this library


def content_hash(
    observations: Mapping[str, Series], inputs: Inputs, covariates: Mapping[str, Covariate], span: tuple[float, float]
) -> str:
    """Return the SHA-256 of a record's content in hex digits, the same on every machine."""
    digest = hashlib.sha256()
    _feed(digest, "span", "min", np.array(span))
    for name, series in sorted(observations.items()):
        late = () if np.array_equal(series.known, series.times) else (series.known,)
        _feed(digest, f"observation {name}", series.unit, series.times, series.values, series.limits, *late)
    for name, course in sorted(inputs.courses.items()):
        _feed(digest, f"input {name}", course.unit, *course.content())
    for name, covariate in sorted(covariates.items()):
        later = (np.array(covariate.changes),) if covariate.changes else ()
        _feed(digest, f"covariate {name}", f"{covariate.value!r} {covariate.unit}", *later)
    return digest.hexdigest()


def _feed(digest: Any, label: str, unit: str, *arrays: np.ndarray) -> None:
    digest.update(f"{label}\0{unit}\0".encode())
    for array in arrays:
        # + 0.0 makes negative zero positive; the byte order is fixed so that machines agree.
        data = (np.asarray(array, float) + 0.0).astype("<f8").tobytes()
        digest.update(len(data).to_bytes(8, "little") + data)


def weight_of(covariates: Mapping[str, Covariate]) -> float | None:
    """Return body weight in kg, or None where it is not known."""
    weight = covariates.get("weight")
    return None if weight is None else float(units.convert(float(weight.value), weight.unit or "", "kg"))


def begun(inputs: Inputs, before: float) -> float:
    """Return when a history must begin for what was given before a time (min) to be felt at it.

    Settings hold and need no history; what began more than `STEADY` before counts as always given.
    """
    starts = [course.starts for course in inputs.courses.values() if not course.setting]
    every = np.concatenate([np.full(1, before), *starts])
    return float(every[every >= before - STEADY].min())


def from_start(inputs: Inputs, begin: float, reasons: dict[str, list[float]], *, declared: bool) -> Inputs:
    """Leave out doses that ended before the start, and say what is taken as in steady state at a declared one."""
    courses, gone = {}, "dose before the declared start" if declared else "dose more than a week before the record"
    for name, course in inputs.courses.items():
        over = course.bolus & (course.ends <= begin)
        steady = ~course.bolus & np.isfinite(course.starts) & (course.starts < begin) & (course.lasting() > begin)
        reasons.setdefault(f"{name}: {gone}", []).extend(course.starts[over])
        if declared and not course.setting:
            why = f"{name}: begun before the declared start, taken as in steady state there"
            reasons.setdefault(why, []).extend(course.starts[steady])
        courses[name] = course.keep(~over)
    return Inputs(courses)


def assumed(name: str, value: Any, inputs: Inputs) -> tuple[Course, str]:
    """Return a setting with a value where it is unknown, and what is assumed in words."""
    course = inputs.courses.get(name)
    if course is None:
        units.known(name, kind="input")
    if value not in ("first", "last") and not (isinstance(value, tuple | list) and len(value) == 2):
        raise ValueError(f"Setting `{name}` is assumed to be 'first', 'last' or (value, unit), but is {value!r}.")
    if course is None and value in ("first", "last"):
        raise ValueError(f"Setting `{name}` was never charted, so there is no {value} value: give one with its unit.")
    if (course is not None and not course.setting) or (course is None and not units.VOCABULARY[name].setting):
        raise ValueError(f"Input `{name}` is no setting: what is given to a patient is zero where nothing was charted.")
    if course is None:
        unit = units.check(value[1], like=units.VOCABULARY[name].unit, variable=name)
        course = Course.empty(unit, setting=True)
    if value == "last":
        held = replace(course, ends=np.full(course.ends.shape, math.inf))
        return held, f"Assumed: {name} kept its last charted value wherever it was unknown after one."
    if value == "first":
        first, how = float(course.rates[0]), "its first charted value"
    else:
        if name in units.VOCABULARY:
            units.require_plausible(name, np.array([value[0]], float), value[1])
        first = float(units.convert(value[0], value[1], course.unit, variable=name))
        how = f"{first:g} {course.unit}"
    begins = float(course.starts.min()) if course.starts.size else math.inf
    past = Course(
        np.array([-np.inf]), np.array([np.inf]), np.array([first]), course.unit, np.zeros(1, bool), setting=True
    )
    until = f"before {begins:g} min" if math.isfinite(begins) else "throughout"
    return Course.joined((past, course)), f"Assumed: {name} {until} was {how}."


def check_inputs(inputs: Inputs, weight: float | None, own: tuple[str, ...]) -> None:
    """Refuse inputs with an unknown name, without the weight they need, or at implausible rates."""
    for name, course in inputs.courses.items():
        units.known(name, own=own, kind="input")
        if units.per_weight(course.unit) and weight is None:
            raise ValueError(
                f"Input {name!r} in {course.unit} needs the patient's weight: give a covariate such as "
                f"weight=(80, 'kg')."
            )
        require_plausible_rates(name, course, weight=weight)


def check_units(fixed: Mapping[str, Covariate], inputs: Inputs, sure: set[str]) -> None:
    """Refuse rates and properties that fit another unit better, but for those whose unit is sure."""
    suspicion.require_usual_body({name: one for name, one in fixed.items() if name not in sure})
    for name, course in inputs.courses.items():
        if name not in sure:
            suspicion.require_usual_rates(name, course, weight_of(fixed))


def check_length(begin: float, last: float, longest: float) -> None:
    """Refuse a record too long to be one stay, before anything is allocated for its steps."""
    if last - begin > longest:
        raise ValueError(
            f"The record runs from {begin:g} to {last:g} min, longer than the {longest / 1440:g} days of one stay: "
            "check times and their unit (seconds since 1970 are no minutes), or say longest=."
        )


def check_span(observations: Mapping[str, Series], begin: float, last: float, *, declared: bool) -> None:
    """Refuse measurements outside the span that was declared."""
    for name, series in observations.items():
        checks: tuple[tuple[str, float, float, Callable[[float, float], bool]], ...] = (
            ("start", float(series.times[0]), begin, lambda time, limit: declared and time < limit),
            ("end", float(series.times[-1]), last, lambda time, limit: time > limit),
        )
        for what, time, limit, outside in checks:
            if outside(time, limit):
                side = "before" if what == "start" else "after"
                raise ValueError(
                    f"{name} is measured at {time:g} min, {side} the declared {what} of the record at {limit:g} "
                    f"min. Move `{what}`, or cut the rows."
                )
