"""Texts in a database's column of values: readings beyond a meter's limit are values, what is no number is counted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from ..patient import units
from ._cells import Cell, read_cell
from ._fates import Fates

Meters: TypeAlias = Mapping[str, tuple[float | None, float | None, str]]
_SIDE = {-1: "below", 1: "above"}


@dataclass(frozen=True, eq=False)
class Numbers:
    """What a column of one variable holds.

    Attributes
    ----------
    values : (row,)
        In the unit asked for; NaN where there is no number.
    limits : (row,) int8
        -1 below, +1 above the limit that stands in `values`, 0 measured.
    reasons : (row,) str
        Why there is no number, or empty.
    """

    values: np.ndarray
    limits: np.ndarray
    reasons: np.ndarray = field(repr=False)

    def account(self, fates: Fates) -> None:
        """Set aside what is no number, counted by its text."""
        fates.aside(~np.isfinite(self.values) & (self.reasons == ""), "not a number")
        for reason in dict.fromkeys(self.reasons[self.reasons != ""].tolist()):
            fates.aside(self.reasons == reason, reason)


def numbers_of(
    variable: str, numbers: np.ndarray, texts: Iterable[str], unit: str, meters: Meters, *, per: float = 1.0
) -> Numbers:
    """Read a column of numbers, and the texts of rows that have none.

    Parameters
    ----------
    variable : str
    numbers : (row,)
        As charted; NaN where only a text stands.
    texts : iterable of str
        One for each row, empty where it says no more than the number.
    unit : str
        Of `values`.
    meters : mapping
        Lowest and highest reading of each variable's meter, and their unit.
    per : float
        What a charted number is divided by to be in `unit`.

    Returns
    -------
    numbers : Numbers
    """
    values = np.asarray(numbers, float) / per
    limits, reasons = np.zeros(values.size, np.int8), np.full(values.size, "", object)
    told: dict[str, tuple[float, int, str]] = {}
    words = np.array([*texts], object)
    for place in np.flatnonzero(words != ""):
        text = words[place].strip()
        if not text:
            continue
        if text not in told:
            told[text] = _told(variable, text, unit, meters, per)
        value, limits[place], reason = told[text]
        if math.isnan(values[place]):
            values[place], reasons[place] = value, reason
        elif not math.isnan(value):  # what stands in words, such as ">500", counts before the number beside it
            values[place] = value
    limits[np.isnan(values)] = 0
    return Numbers(values, limits, reasons)


def _told(variable: str, text: str, unit: str, meters: Meters, per: float) -> tuple[float, int, str]:
    """Return the value of one text, on which side of it the truth lies, and why it is no value."""
    try:
        cell = read_cell(text, variable)
    except ValueError:
        return math.nan, 0, "a number with two meanings"
    if cell.off_scale:
        return _at_the_meter(variable, cell, unit, meters)
    if math.isnan(cell.value):
        return math.nan, 0, cell.note
    value = cell.value / per
    if cell.unit:
        value = float(units.convert(cell.value, cell.unit, unit, variable=variable))
    return value, cell.limit, ""


def _at_the_meter(variable: str, cell: Cell, unit: str, meters: Meters) -> tuple[float, int, str]:
    low, high, stated = meters.get(variable, (None, None, unit))
    bound = low if cell.limit < 0 else high
    if bound is None:
        return math.nan, cell.limit, f"{_SIDE[cell.limit]} the meter's limit, which is not known (say limits=)"
    return float(units.convert(float(bound), stated, unit, variable=variable)), cell.limit, ""
