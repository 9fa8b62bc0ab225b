"""Values that fit better in another unit: doubted by the whole series, or one by one among others.

A factor between two units that are charted for each other (18 for glucose, 7.5 for a gas pressure, the body's weight
for a vasopressor) moves a patient's median out of the range where medians lie; where the other unit moves it back, the
unit is doubted. Ranges and pairs of units stand in the vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from . import units
from .course import Course
from .vocabulary import Variable

_NEAR = 3.0  # a stray value in its true unit is within this factor of its neighbors; setting
_FEW = 0.2  # of a series; more values than this that fit another unit are no slips but a mixture; setting
_OBESE, _SUPER_OBESE, _LEAN, _STOUT = 55.0, 65.0, 15.0, 45.0  # kg/m2; setting


def require_usual(name: str, values: np.ndarray, unit: str, limits: np.ndarray) -> None:
    """Refuse a series whose median fits another unit better.

    Parameters
    ----------
    name : str
        A variable of the vocabulary.
    values : (time,)
        In `unit`.
    unit : str
    limits : (time,) int8
        As in `Series`; values beyond a limit do not count.

    Raises
    ------
    ValueError
        Naming the other unit, the factor and the remedy.
    """
    measured = values[limits == 0]
    entry = units.VOCABULARY[name]
    if entry.usual is None or not measured.size:
        return
    middle = float(np.median(measured))
    other = _better(entry, name, middle, unit, entry.usual, None)
    # Values that no patient has for long in their own unit, and some have in the other: the latter is meant.
    other = other or (_better(entry, name, middle, unit, entry.extreme, None) if entry.extreme else "")
    if other:
        raise ValueError(_refusal(name, unit, other, None, "the median of its values is"))


def strays(name: str, times: np.ndarray, values: np.ndarray, unit: str, limits: np.ndarray) -> tuple[np.ndarray, str]:
    """Find single values that fit another unit, among values that do not.

    Parameters
    ----------
    name : str
    times, values, limits : (time,)
        As in `Series`.
    unit : str

    Returns
    -------
    stray : (time,) bool
    other : str
        The unit they fit; empty where there is none.

    Raises
    ------
    ValueError
        If they are so many that the series mixes two units.
    """
    entry, none = units.VOCABULARY[name], np.zeros(values.size, bool)
    if entry.usual is None or values.size < 2:
        return none, ""
    low, high = _range(entry, name, unit, entry.extreme or entry.usual, None)
    inside = (values >= low) & (values <= high) & (limits == 0)
    odd = np.flatnonzero(~inside & (limits == 0) & (values > 0))
    if not inside.any() or not odd.size:
        return none, ""
    found, which = none.copy(), ""
    for index in odd:
        local = _neighbors(values, np.flatnonzero(inside), int(index))
        other = _better(entry, name, float(values[index]), unit, entry.extreme or entry.usual, None, beside=local)
        found[index], which = bool(other), other or which
    if found.sum() > max(1.0, _FEW * values.size):
        text = f"{int(found.sum())} of its {values.size} values are"
        raise ValueError(_refusal(name, unit, which, None, text))
    return found, which


def stray_reason(unit: str, other: str) -> str:
    """Return the words of a ledger for a value that was set aside."""
    return f"one value among others in {unit} that fits {other}"


def require_usual_rates(name: str, course: Course, weight: float | None) -> None:
    """Refuse rates that fit another unit better, all of them or one.

    Parameters
    ----------
    name : str
        An input of the vocabulary.
    course : Course
        Doses, and rates of zero, do not count.
    weight : float or None
        kg; 80 where it is not known, to tell a rate per kilogram from one that is not.

    Raises
    ------
    ValueError
        Naming the other unit, the factor and the remedy.
    """
    entry = units.VOCABULARY[name]
    rates = course.rates[~course.bolus & (course.rates > 0)]
    if entry.usual is None or not rates.size:
        return
    heavy = weight or 80.0
    middle = float(np.median(rates))
    other = _better(entry, name, middle, course.unit, entry.usual, heavy)
    if other:
        raise ValueError(_refusal(name, course.unit, other, heavy, "the median of its rates is"))
    _, high = _range(entry, name, course.unit, entry.usual, heavy)
    for rate in rates[rates > high]:
        other = _better(entry, name, float(rate), course.unit, entry.usual, heavy, beside=middle)
        if other:
            raise ValueError(_refusal(name, course.unit, other, heavy, "one of its rates is"))


def require_usual_body(covariates: Mapping[str, Any]) -> None:
    """Refuse a weight in pounds that is called kilograms and a height in inches that is called centimeters.

    Parameters
    ----------
    covariates : mapping of str to Covariate
        Those that are not trusted.

    Raises
    ------
    ValueError
        Naming the other unit, the factor and the remedy.
    """
    known = {
        name: (float(units.convert(float(one.value), one.unit or "", units.VOCABULARY[name].unit)), str(one.unit))
        for name, one in covariates.items()
        if name in ("weight", "height", "age") and not isinstance(one.value, str)
    }
    weight, height, age = (known.get(name, (None, ""))[0] for name in ("weight", "height", "age"))
    child = (age is not None and age < 10) or (age is None and weight is not None and weight < 20)
    if height is not None and not child and height < 100 and 100 <= 2.54 * height <= 215:
        raise ValueError(_refusal("height", known["height"][1], "in", None, "it is"))
    if weight is None:
        return
    doubted, why = weight > units.VOCABULARY["weight"].usual[1], "it is"  # type: ignore[index]
    if height is not None:
        square = (height / 100) ** 2
        index, in_pounds = weight / square, 0.45359237 * weight / square
        doubted = index > (_OBESE if doubted else _SUPER_OBESE) and _LEAN <= in_pounds <= _STOUT
        why = "with the height given it is"
    if doubted and known["weight"][1] != "lb":
        raise ValueError(_refusal("weight", known["weight"][1], "lb", None, why))


def _range(
    entry: Variable, name: str, unit: str, span: tuple[float, float], weight: float | None
) -> tuple[float, float]:
    low, high = (float(units.convert(x, entry.unit, unit, variable=name, weight=weight)) for x in span)
    return low, high


def _better(
    entry: Variable,
    name: str,
    value: float,
    unit: str,
    span: tuple[float, float],
    weight: float | None,
    *,
    beside: float | None = None,
) -> str:
    """Return the unit in which a value would lie in its range, where it does not in its own; empty if there is none.

    With `beside`, the value must also be near it in that unit, and much nearer than in its own.
    """
    low, high = _range(entry, name, unit, span, weight)
    if low <= value <= high or value <= 0:
        return ""
    for other in entry.mistaken:
        if units.normalize(other) == units.normalize(unit):
            continue
        meant = value * float(units.convert(1.0, other, unit, variable=name, weight=weight))
        if not low <= meant <= high:
            continue
        if beside is None:
            return other
        near, far = (abs(np.log(x / beside)) for x in (meant, value))
        if near < np.log(_NEAR) and near < far / 2:
            return other
    return ""


def _neighbors(values: np.ndarray, good: np.ndarray, index: int) -> float:
    """Return the geometric mean of the good values just before and just after one."""
    before, after = good[good < index][-1:], good[good > index][:1]
    return float(np.exp(np.mean(np.log(values[np.concatenate([before, after])]))))


def _refusal(name: str, unit: str, other: str, weight: float | None, what: str) -> str:
    entry = units.VOCABULARY[name]
    factor = float(units.convert(1.0, other, unit, variable=name, weight=weight))
    low, high = _range(entry, name, unit, entry.usual or (entry.low, entry.high), weight)
    return (
        f"{name} in {unit} fits better in {other}, a factor of {max(factor, 1 / factor):.3g}: {what} outside {low:.3g} "
        f"to {high:.3g} {unit}, where a patient's usually lies, and in {other} inside. Declare {other}, or say "
        f"trusted=({name!r},) if {unit} is right."
    )
