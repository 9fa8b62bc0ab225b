"""Rows of measurements and properties: to series in one unit each, every row accounted for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..patient import suspicion, units
from ._cells import Cell, read_cell, shown
from ._rows import Declared, Entry, Row
from ._weighed import APART, SAME, weighed

_SIDES = {-1: "below a limit", 1: "above a limit"}


@dataclass(frozen=True)
class _Value:
    """One measurement in the unit of its series."""

    row: Row
    value: float
    limit: int
    note: str


def series_of(name: str, rows: Sequence[Row], declared: Declared) -> tuple[tuple[Any, ...] | None, list[Entry]]:
    """Return one variable's measurements as `Record.build` takes them, and what became of each row.

    Parameters
    ----------
    name : str
        The variable.
    rows : sequence of Row
        Its rows in the order of the table.
    declared : Declared

    Returns
    -------
    series : tuple or None
        (times, values, unit, limits, known); None where nothing is left.
    entries : list of Entry

    Raises
    ------
    ValueError
        Naming row, column and remedy.
    """
    unit, found, entries = "", [], []
    for row in rows:
        cell = _read(row)
        if not cell.off_scale and math.isnan(cell.value):
            entries.append(Entry(row, "set aside", cell.note))
            continue
        declared_unit = _unit(row, cell, name, declared)
        unit = unit or declared_unit
        if math.isnan(row.time):
            entries.append(Entry(row, "set aside", "no time"))
            continue
        if row.known < row.time:
            raise row.fault("known", "is before the value was taken: the columns may be exchanged.")
        value, limit = _sized(row, cell, declared_unit, unit, declared)
        note = _SIDES[limit] if limit and not cell.note else cell.note
        found.append(_Value(row, value, limit, note))
    kept, merged = _each_time_once(name, found)
    entries += merged
    if not kept:
        return None, entries
    strange = np.zeros(len(kept), bool)
    if name not in declared.own and name not in declared.trusted:
        strange, other = suspicion.strays(name, *_columns(kept), unit, _limits(kept))
        why = suspicion.stray_reason(unit, other)
        entries += [Entry(value.row, "set aside", why) for value, odd in zip(kept, strange, strict=True) if odd]
    good = [v for v, odd in zip(kept, strange, strict=True) if not odd]
    times, values = _columns(good)
    if name not in declared.own:
        units.require_plausible(name, values, unit, labels=[value.row.label for value in good])
    entries += [Entry(value.row, "used", value.note) for value in good]
    return (times, values, unit, _limits(good), np.array([value.row.known for value in good])), entries


def _columns(found: Sequence[_Value]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([value.row.time for value in found]), np.array([value.value for value in found])


def _limits(found: Sequence[_Value]) -> np.ndarray:
    return np.array([value.limit for value in found], np.int8)


def _read(row: Row) -> Cell:
    try:
        return read_cell(row.cells.get("value"), row.variable, decimal=row.decimal)
    except ValueError as error:
        raise row.fault("value", f"{error}.") from None


def _unit(row: Row, cell: Cell, name: str, declared: Declared) -> str:
    """Return the unit of one value: what stands in its cell, else in its row."""
    entry = units.VOCABULARY.get(name) if name not in declared.own else None
    written = cell.unit or row.cells.get("unit")
    if cell.off_scale and not written and name in declared.limits:
        written = declared.limits[name][2]
    if written is None or not isinstance(written, str):
        raise row.fault(
            "unit", f"is empty: {name} has no unit, declare one such as {entry.unit if entry else 'mmol/L'!r}."
        )
    return str(row.attempt("unit", lambda: units.check(written, like=entry.unit if entry else written, variable=name)))


def _sized(row: Row, cell: Cell, written: str, unit: str, declared: Declared) -> tuple[float, int]:
    """Return a value in the unit of its series and on which side of it the truth lies."""
    name, value, limit = row.variable, cell.value, cell.limit
    if cell.off_scale:
        bounds = declared.limits.get(name, (None, None, ""))
        bound = bounds[0 if limit < 0 else 1]
        if bound is None:
            side = "below" if limit < 0 else "above"
            raise row.fault(
                "value",
                f"holds {shown(row.cells['value'])}, a reading {side} the meter's limit: write the limit in the cell "
                f'("{"<" if limit < 0 else ">"} …"), or say the meter\'s, e.g. limits={{{name!r}: (low, high, '
                f"{written!r})}}.",
            )
        value, written = float(bound), bounds[2]
    elif "limit" in row:
        given = row.number_in("limit")
        if given not in (-1, 0, 1):
            raise row.fault("limit", "must be -1 below, 0 measured or 1 above a limit.")
        limit = limit or int(given)
    if written != unit:
        value = float(row.attempt("unit", lambda: units.convert(value, written, unit, variable=name)))
    return value, limit


def _each_time_once(name: str, found: list[_Value]) -> tuple[list[_Value], list[Entry]]:
    """Return measurements at strictly later times; repeats are merged, contradictions refused."""
    kept: list[_Value] = []
    merged: list[Entry] = []
    for value in found:
        before = kept[-1] if kept else None
        if before is None or value.row.time > before.row.time:
            kept.append(value)
            continue
        if value.row.time < before.row.time:
            raise value.row.fault(
                "time",
                f"lies before row {before.row.number}: {name} times must not go backwards. Sort the rows by time if "
                "their order means nothing, or say timezone= if clocks were set back.",
            )
        if (value.value, value.limit) == (before.value, before.limit):
            merged.append(Entry(value.row, "merged", "repeated row"))
            if value.row.known < before.row.known:
                kept[-1] = value
                merged[-1] = Entry(before.row, "merged", "repeated row")
        elif value.row.known != before.row.known:
            later, earlier = (value, before) if value.row.known > before.row.known else (before, value)
            kept[-1] = later
            merged.append(Entry(earlier.row, "merged", "corrected by a row known later"))
        else:
            raise value.row.fault(
                "value",
                f"contradicts row {before.row.number}: {name} has two different values at time "
                f"{value.row.time:g} min. Keep one, or average them.",
            )
    return kept, merged


def properties(rows: Sequence[Row]) -> tuple[dict[str, Any], list[Entry]]:
    """Return fixed properties as `Record.build` takes them, and what became of each row.

    Raises
    ------
    ValueError
        If a property is no number, or has two different values; a weight that is charted with times may change.
    """
    fixed: dict[str, Any] = {}
    first: dict[str, Row] = {}
    entries: list[Entry] = []
    scales = [row for row in rows if row.variable == "weight" and "value" in row and math.isfinite(row.time)]
    scales = scales if len(scales) == sum(row.variable == "weight" and "value" in row for row in rows) else []
    if scales:
        fixed["weight"], entries = _weight(scales)
    for row in (row for row in rows if row not in scales):
        if "value" not in row:
            entries.append(Entry(row, "set aside", "no value"))
            continue
        name, found = row.variable, _property(row)
        if name in fixed and not _alike(name, fixed[name], found):
            raise row.fault(
                "value", f"contradicts row {first[name].number}: covariate {name!r} has two different values, keep one."
            )
        entries.append(Entry(row, "merged" if name in fixed else "used", "repeated row" if name in fixed else ""))
        fixed.setdefault(name, found)
        first.setdefault(name, row)
    return fixed, entries


def _alike(name: str, one: Any, other: Any) -> bool:
    """Say whether two rows of a property say the same, in whatever unit."""
    if isinstance(one, str) or isinstance(other, str) or name not in units.VOCABULARY:
        return bool(one == other)
    return math.isclose(_converted(name, other, one[1]), one[0], rel_tol=1e-6)


def _converted(name: str, given: tuple[float, str], unit: str) -> float:
    return float(units.convert(given[0], given[1], unit, variable=name))


def _weight(rows: Sequence[Row]) -> tuple[tuple[Any, ...], list[Entry]]:
    """Return what a weight was near the start and how it changed, of rows that say when it was charted.

    Raises
    ------
    ValueError
        If a reading is far from the others, or contradicts one of the same time.
    """
    found = [_property(row) for row in rows]
    unit = found[0][1]
    times = np.array([row.time for row in rows])
    values = np.array([_converted("weight", one, unit) for one in found])
    middle = float(np.median(values))
    for place, row in enumerate(rows):
        twin = int(np.flatnonzero(times == times[place])[0])
        if not math.isclose(values[place], values[twin], rel_tol=SAME):
            raise row.fault("value", f"contradicts row {rows[twin].number}: weight has two different values, keep one.")
        if abs(values[place] / middle - 1.0) > APART:
            raise row.fault(
                "value",
                f"is more than {APART:.0%} from the median of what was charted, {middle:.3g} {unit}: weight has a "
                "slip, or another unit; keep the rows that are right.",
            )
    told = weighed(times, values)
    several = np.unique(values[told.near]).size > 1
    words = np.where(
        told.near,
        "in the median of the first day's" if several else "",
        np.where(told.again, "says what was known", "charted again: a change in the stay"),
    )
    entries = [
        Entry(row, "merged" if again else "used", str(why))
        for row, again, why in zip(rows, told.again, words, strict=True)
    ]
    return (told.value, unit, told.changes), entries


def _property(row: Row) -> Any:
    """Return one property: a category, or a number and its unit."""
    name, entry = row.variable, units.VOCABULARY.get(row.variable)
    if entry and entry.levels:
        text = str(row.cells["value"]).strip()
        if text.lower() not in entry.levels:
            raise row.fault("value", f"must be one of {', '.join(entry.levels)}.")
        return text.lower()
    cell = _read(row)
    unit = cell.unit or row.cells.get("unit")
    if cell.limit or math.isnan(cell.value):
        raise row.fault("value", f"must hold a number, but holds {shown(row.cells['value'])}.")
    if not isinstance(unit, str):
        like = entry.unit if entry else "kg"
        raise row.fault("unit", f"is empty: {name} has no unit, declare one such as {like!r}.")
    if entry:
        row.attempt("unit", lambda: units.check(unit, like=entry.unit, variable=name))
        units.require_plausible(name, np.array([cell.value]), unit, labels=[row.label])
    return cell.value, unit
