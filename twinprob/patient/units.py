"""The one unit table: what a variable is measured in, what is plausible, and how units become each other.

Units are arithmetic at the door only: a record keeps the unit it was declared in, and a model's unit is reached
once, through `convert`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np

from .spelling import WORD, house_word, normalize
from .unit_text import REMEDY, require_bounded
from .vocabulary import VOCABULARY, Variable, known

__all__ = [
    "VOCABULARY",
    "Variable",
    "check",
    "convert",
    "known",
    "minutes",
    "normalize",
    "per_time",
    "per_weight",
    "plausible",
    "reach",
    "require_plausible",
]

# So that the everyday conversions do not wait for pint; a test holds each against pint.
_EVERYDAY = {
    ("U/h", "mU/min"): 1000 / 60,
    ("U/min", "mU/min"): 1000.0,
    ("uU/mL", "mU/L"): 1.0,
    ("kg", "g"): 1000.0,
    ("m", "cm"): 100.0,
}
_GRAINS = re.compile(r"\b(gr|grs)\b\.?", re.IGNORECASE)
_DURATION = {"s": 1 / 60, "min": 1.0, "h": 60.0, "d": 1440.0}
_TIME = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([A-Za-z]+)\s*")


def span(minutes: float) -> str:
    """Say a span or an age (min) as a person would: in minutes up to an hour or two, then in hours.

    Examples
    --------
    >>> [span(x) for x in (0.0, 10.0, 90.0, 240.0, 1530.0)]
    ['0 min', '10 min', '90 min', '4 h', '25.5 h']
    """
    short = abs(minutes) < 60.0 or (abs(minutes) < 120.0 and minutes % 60.0 != 0.0)
    return f"{minutes:.3g} min" if short else f"{minutes / 60.0:.4g} h"


def minutes(time: float | str) -> float:
    """Read a time or a duration in minutes.

    Parameters
    ----------
    time : float or str
        A number of minutes, or text with its unit: ``"24 h"``, ``"90 min"``, ``"2 d"``, ``"30 s"``.

    Returns
    -------
    time : float
        min.

    Raises
    ------
    TypeError
        If `time` is neither a number nor text.
    ValueError
        If the text is not a number followed by s, min, h or d, or if the number is NaN.

    Examples
    --------
    >>> minutes("24 h"), minutes(90)
    (1440.0, 90.0)
    """
    if isinstance(time, str):
        match = _TIME.fullmatch(time)
        scale = _DURATION.get(house_word(match[2])) if match else None
        if match is None or scale is None:
            raise ValueError(
                f"Time {time!r} must be a number with its unit, such as '24 h', '90 min' or '2 d' (or a plain "
                f"number of minutes)."
            )
        return float(match[1]) * scale
    if isinstance(time, bool) or not isinstance(time, int | float | np.integer | np.floating):
        raise TypeError(f"A time must be a number of minutes or text such as '24 h', but is {type(time).__name__}.")
    value = float(time)
    if math.isnan(value):
        raise ValueError("A time must be a number of minutes, but is NaN.")
    return value


def per_weight(unit: str) -> bool:
    """Say whether a unit is per kilogram of body weight.

    Parameters
    ----------
    unit : str
        For example ``"ug/kg/min"``.

    Returns
    -------
    per_weight : bool
        True if the patient's weight is needed to make it an amount.
    """
    return "/kg" in normalize(unit)


def per_time(unit: str) -> bool:
    """Say whether a unit is a rate: something per s, min, h or d.

    Parameters
    ----------
    unit : str
        For example ``"U/h"`` (a rate) or ``"U"`` (an amount).

    Returns
    -------
    per_time : bool
        True for a rate.
    """
    return any(word in _DURATION for word in normalize(unit).split("/")[1:])


def check(unit: object, *, like: str, variable: str | None = None) -> str:
    """Return the house spelling of `unit` if it can become `like`.

    Parameters
    ----------
    unit : str
        The declared unit.
    like : str
        A unit of the dimension wanted.
    variable : str, optional
        What is measured: glucose may be mg/dL where mmol/L is wanted.

    Returns
    -------
    unit : str
        `unit`, spelled as `normalize` does.

    Raises
    ------
    ValueError
        If the unit is missing, unknown or of another dimension.
    """
    what = variable or "A value"
    if not isinstance(unit, str) or not unit.strip():
        raise ValueError(f"{what} has no unit: declare one such as {like!r}.")
    if _GRAINS.search(unit):
        raise ValueError(f"Unit {unit!r} of {what} may mean grams or grains (65 mg): which? Write g or mg.")
    _factor(normalize(unit), normalize(like), variable, 1.0)
    return normalize(unit)


def convert(
    values: Any, from_unit: str, to_unit: str, *, variable: str | None = None, weight: float | None = None
) -> Any:
    """Express values in another unit.

    Parameters
    ----------
    values : float or array
        In `from_unit`.
    from_unit, to_unit : str
        Any usual spelling.
    variable : str, optional
        What is measured; needed between mass and amount of substance (glucose), energy and mass (feeds), units and
        moles (insulin).
    weight : float, optional
        kg; needed between a dose per kilogram and a dose.

    Returns
    -------
    values : float or array
        In `to_unit`, same shape.

    Raises
    ------
    ValueError
        If a unit is unknown, the dimensions differ, or `weight` or `variable` is needed and missing.

    Examples
    --------
    >>> round(convert(110.0, "mg/dL", "mmol/L", variable="glucose"), 2)
    6.11
    >>> round(convert(3.0, "U/h", "mU/min"), 1)
    50.0
    """
    source, target = normalize(from_unit), normalize(to_unit)
    if source == target:
        return values
    if "deg" in source + target:
        return _pint_quantity(values, source).to(_spell(target)).magnitude
    factor = _factor(source, target, variable, None if weight is None else float(weight))
    return np.asarray(values) * factor if isinstance(values, list | tuple) else values * factor


@lru_cache(maxsize=4096)
def _factor(source: str, target: str, variable: str | None, weight: float | None) -> float:
    if source == target:
        return 1.0
    if (source, target) in _EVERYDAY:
        return _EVERYDAY[source, target]
    if (target, source) in _EVERYDAY:
        return 1 / _EVERYDAY[target, source]
    entry = VOCABULARY.get(variable or "")
    if entry and entry.charge and ("mEq" in source or "mEq" in target):
        moles = [re.sub(r"\bmEq\b", "mmol", unit) for unit in (source, target)]
        count = [entry.charge if "mEq" in unit else 1 for unit in (source, target)]
        return _factor(*moles, variable, weight) * count[1] / count[0]
    if {source, target} == {"mg/dL", "mmol/L"} and entry and entry.molar_mass:
        return 10 / entry.molar_mass if source == "mg/dL" else entry.molar_mass / 10
    quantity = _pint_quantity(1.0, source) * _bridge(source, target, variable, weight)
    try:
        return float(quantity.to(_spell(target)).magnitude)
    except _pint().DimensionalityError:
        what = f" of {variable}" if variable else ""
        raise ValueError(
            f"Unit {source!r}{what} cannot become {target!r}: the dimensions differ. Check the declared unit."
        ) from None


def _bridge(source: str, target: str, variable: str | None, weight: float | None) -> Any:
    """Return the physical quantity that carries `source` to the dimension of `target`."""
    entry, factor = VOCABULARY.get(variable or ""), _pint_quantity(1.0, "dimensionless")
    if per_weight(source) != per_weight(target):
        if weight is None or not weight > 0:
            raise ValueError(
                f"Converting {variable or 'a value'} from {source} to {target} needs the patient's weight: give "
                f"a covariate 'weight' in kg."
            )
        factor = factor * _pint_quantity(weight, "kg") ** (1 if per_weight(source) else -1)
    moles, joules, activity = (tuple(word in unit for unit in (source, target)) for word in ("mol", "cal", "U"))
    if joules[0] != joules[1] and entry and entry.energy:
        factor = factor * _pint_quantity(entry.energy, "kcal/g") ** (-1 if joules[0] else 1)
    if activity[0] != activity[1] and moles[0] != moles[1] and entry and entry.activity:
        factor = factor * _pint_quantity(entry.activity, "pmol/mU") ** (1 if activity[0] else -1)
    elif moles[0] != moles[1] and entry and entry.molar_mass:
        factor = factor * _pint_quantity(entry.molar_mass, "g/mol") ** (1 if moles[0] else -1)
    return factor


@cache
def _pint() -> Any:
    import pint

    return pint


@cache
def _registry() -> Any:
    registry = _pint().UnitRegistry()
    registry.define("insulin_unit = [insulin_activity]")  # pint's own U is the enzyme unit, micromole per minute
    return registry


def _spell(unit: str) -> str:
    prefixes = {"U": "", "mU": "milli", "uU": "micro"}
    return WORD.sub(lambda match: prefixes[match[0]] + "insulin_unit" if match[0] in prefixes else match[0], unit)


def _pint_quantity(values: Any, unit: str) -> Any:
    require_bounded(unit)
    registry = _registry()
    try:
        return registry.Quantity(values, registry.Unit(_spell(unit)))
    except Exception as error:  # pint raises its own, tokenizer's and arithmetic errors for a malformed unit
        raise ValueError(f"Unknown unit {unit!r}: {REMEDY}.") from error


def plausible(variable: str, values: np.ndarray, unit: str, *, weight: float | None = None) -> np.ndarray:
    """Say which values lie in the plausible range of their variable.

    Parameters
    ----------
    variable : str
        A name; one outside `VOCABULARY` has no range, so everything is plausible.
    values : (time,)
        In `unit`.
    unit : str
        The declared unit.
    weight : float, optional
        kg, for units per kilogram.

    Returns
    -------
    plausible : (time,) bool
        False outside the range; NaN is False.
    """
    entry = VOCABULARY.get(variable)
    values = np.asarray(values, float)
    if entry is None or not entry.unit:
        return np.isfinite(values)
    converted = convert(values, unit, entry.unit, variable=variable, weight=weight)
    return (converted >= entry.low * (1 - 1e-9)) & (converted <= entry.high * (1 + 1e-9))


def reach(variable: str, unit: str) -> float:
    """Return ten times the largest plausible size of a variable in a unit, infinite where there is none.

    Examples
    --------
    >>> reach("glucose", "mmol/L"), reach("temper", "1")
    (800.0, inf)
    """
    entry = VOCABULARY.get(variable)
    if entry is None or not entry.unit:
        return float("inf")
    try:
        return 10.0 * float(convert(max(abs(entry.low), abs(entry.high)), entry.unit, unit, variable=variable))
    except ValueError:  # per kilogram on one side only
        return float("inf")


def require_plausible(
    variable: str, values: np.ndarray, unit: str, *, weight: float | None = None, labels: Sequence[str] = ()
) -> None:
    """Refuse values outside the plausible range of their variable.

    Parameters
    ----------
    variable, values, unit, weight
        As for `plausible`.
    labels : sequence of str
        What to call each value; by default the variable and an index.

    Raises
    ------
    ValueError
        Names the first index and, where another usual unit would make every value plausible, that unit. Measured
        values stay out of the message: tracebacks end up in logs.
    """
    values = np.asarray(values, float)
    bad = np.flatnonzero(~plausible(variable, values, unit, weight=weight))
    if bad.size == 0:
        return
    entry = VOCABULARY[variable]
    usual = ("mmol/L", "mg/dL", "mU/L", "U/h", "mU/min", "U/min", "g/h", "mmol/min", "kg", "g", "lb", "cm", "m", "year",
             "L/s", "L/min", "L", "mL", "%", "1", "cmH2O", "mmHg", "kPa",
             "ug/min", "ug/h", "g/dL", "g/L")  # fmt: skip
    others = [other for other in usual if other != normalize(unit) and _fits(variable, values, other)]
    remedy = (
        f"In {' or '.join(others)} every value would be plausible: check the declared unit."
        if others and not entry.ratio
        else (entry.hint or "Check the value and its unit.")
    )
    named = labels[bad[0]] if labels else f"{variable}[{bad[0]}]"
    raise ValueError(
        f"{named}, declared in {unit}, is outside the plausible range {entry.low:g} to {entry.high:g} {entry.unit} "
        f"({bad.size} of {values.size} values are). {remedy}"
    )


def _fits(variable: str, values: np.ndarray, unit: str) -> bool:
    try:
        return bool(plausible(variable, values, unit).all())
    except ValueError:
        return False
