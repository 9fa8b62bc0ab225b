"""Rows of a table that name a variable: where each stands, what it holds, and what became of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np

from ..patient import units
from ..patient.ledger import Fate, Ledger, Line
from ._cells import number
from ._clock import Clock, Stamp
from ._sheet import Sheet

_TIMES = ("time", "start", "end", "known")


@dataclass(frozen=True)
class Row:
    """One measurement, one property or one thing given, as it stands in a table.

    Attributes
    ----------
    sheet : str
        "table" or "inputs".
    number : int
        In the file, the header being row 1.
    variable : str
    cells : mapping of str to object
        What is not empty, by known column; "time" also where the table calls it start.
    headers : mapping of str to str
        Known columns as the table writes them.
    times : mapping of str to float, min
        What the clock made of "time", "end" and "known".
    decimal : {".", ","}
    """

    sheet: str
    number: int
    variable: str
    cells: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    times: Mapping[str, float] = field(default_factory=dict)
    decimal: str = "."

    @property
    def time(self) -> float:
        """When, in min; NaN where it is not said."""
        return self.times.get("time", math.nan)

    @property
    def known(self) -> float:
        """When it was known, in min; its time where nothing else is said."""
        return self.times.get("known", self.time)

    @property
    def label(self) -> str:
        """What messages call it."""
        return f"Row {self.number} of the {self.sheet} ({self.variable})"

    def __contains__(self, column: object) -> bool:
        return column in self.cells

    def place(self, column: str) -> str:
        """Return row and column in words."""
        return f"Row {self.number} of the {self.sheet} ({self.variable}), column {self.headers.get(column, column)!r}"

    def fault(self, column: str, what: str) -> ValueError:
        """Return the error of one cell; `what` continues "Row 3 of the table (glucose), column 'value'"."""
        return ValueError(f"{self.place(column)} {what}")

    def number_in(self, column: str) -> float:
        """Return the plain number in a column.

        Raises
        ------
        ValueError
            If it holds none.
        """
        try:
            return number(self.cells[column], self.variable, decimal=self.decimal)
        except ValueError as error:
            raise self.fault(column, f"{error}. Write a number, 0 where nothing ran, or leave the row out.") from None

    def attempt(self, column: str, work: Callable[[], Any]) -> Any:
        """Do something with one cell and name it where that fails."""
        try:
            return work()
        except ValueError as error:
            raise self.fault(column, f"is refused: {error}") from None


@dataclass(frozen=True)
class Declared:
    """What a caller says about a table beyond its cells; as `read_tidy` documents it."""

    own: tuple[str, ...] = ()
    limits: Mapping[str, tuple[float | None, float | None, str]] = field(default_factory=dict)
    concentrations: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    salts: Mapping[str, str] = field(default_factory=dict)
    ends: str | None = None
    bolus_duration: float = 1.0
    trusted: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.ends not in (None, "next"):
            raise ValueError(f'Argument `ends` must be "next" or left out, but is {self.ends!r}.')
        if not self.bolus_duration > 0:
            raise ValueError(f"Argument `bolus_duration` must be above zero, but is {self.bolus_duration:g} min.")
        for argument, kind in (("limits", "observation"), ("concentrations", "input"), ("salts", "input")):
            for name in getattr(self, argument):
                units.known(name, own=self.own, kind=kind)  # type: ignore[arg-type]
        for name, (low, high, unit) in self.limits.items():
            if name not in self.own:
                _require_meter(name, low, high, unit)


def _require_meter(name: str, low: float | None, high: float | None, unit: str) -> None:
    """Refuse limits that no meter has: exchanged, or in another unit.

    Raises
    ------
    ValueError
    """
    try:
        units.require_plausible(name, np.array([x for x in (low, high) if x is not None], float), unit)
    except ValueError as error:
        raise ValueError(f"Argument `limits` of {name} is refused: {error}") from None
    about = units.VOCABULARY[name]
    usual = np.sqrt(np.prod(about.usual)) if about.usual else np.nan
    middle = float(units.convert(usual, about.unit, unit, variable=name))
    least, most = (np.nan if bound is None else bound for bound in (low, high))
    if least >= most or least >= middle or most <= middle:
        raise ValueError(
            f"Argument `limits` of {name} must be the lowest and the highest reading of its meter in {unit}, but is "
            f"({low}, {high}): check their order and the unit."
        )


@dataclass(frozen=True)
class Entry:
    """What became of one row."""

    row: Row
    fate: Fate
    reason: str = ""


def ledger_of(entries: Iterable[Entry]) -> Ledger:
    """Return the account of rows, one line for all that met the same fate for the same reason."""
    grouped: dict[tuple[str, str, Fate, str], list[Row]] = {}
    for entry in entries:
        key = (entry.row.sheet, entry.row.variable, entry.fate, entry.reason)
        grouped.setdefault(key, []).append(entry.row)
    return Ledger(
        tuple(
            Line(*key, np.array([row.number for row in rows]), np.array([row.known for row in rows]))
            for key, rows in grouped.items()
        )
    )


def rows_of(sheet: Sheet, columns: Sequence[str]) -> list[Row]:
    """Return the rows of a tidy table that hold anything in a known column.

    Parameters
    ----------
    sheet : Sheet
    columns : sequence of str
        The known columns.

    Returns
    -------
    rows : list of Row

    Raises
    ------
    ValueError
        If a row has no variable.
    """
    written = {name: header for name, header in sheet.by_name.items() if name in columns}
    found = []
    for place, number_ in enumerate(sheet.rows):
        cells = {name: sheet.columns[header][place] for name, header in written.items()}
        cells = {name: cell for name, cell in cells.items() if cell is not None}
        if not cells:
            continue
        if "variable" not in cells:
            raise ValueError(f"Row {number_} of the {sheet.name}, column 'variable' is empty: name the variable.")
        variable = str(cells.pop("variable")).strip()
        found.append(Row(sheet.name, number_, variable, cells, written, decimal=sheet.decimal))
    return found


def timed(rows: Sequence[Row], clock: Clock) -> tuple[list[Row], tuple[str, ...], datetime | None]:
    """Return rows with their times in min, all read by one clock, what it had to decide, and the moment of 0 min."""
    stamps, owners = [], []
    for index, row in enumerate(rows):
        order = f"{row.variable}\0{row.cells.get('order', '')}"
        for column in _TIMES:
            if column in row:
                # An end follows its own start; starts and measurements follow each other.
                series = {"end": (f"{index}",), "known": ()}.get(column, (f"{index}", order))
                place = f"{row.headers.get(column, column)}"
                stamps.append(Stamp(row.cells[column], row.number, place, series))
                owners.append((index, "time" if column == "start" else column))
    minutes, notes, origin = clock.read(stamps)
    times: list[dict[str, float]] = [{} for _ in rows]
    for (index, column), value in zip(owners, minutes, strict=True):
        always = value == -math.inf and column != "end" and _begins(rows[index])
        if math.isinf(value) and not always and column != "end":
            raise rows[index].fault(column, "must hold a finite time.")
        times[index].setdefault(column, value)
        if column == "time" and "start" in rows[index]:
            times[index][column] = value
    return [replace(row, times=found) for row, found in zip(rows, times, strict=True)], notes, origin


def _begins(row: Row) -> bool:
    """Say whether a row is of something given or set, which may have run always."""
    return "start" in row or row.sheet == "inputs"


def require_span(rows: Sequence[Row], start: float | None, gap: float, longest: float) -> None:
    """Refuse rows that lie too far from each other to be one stay, before anything is made of them.

    Parameters
    ----------
    rows : sequence of Row
    start : float or None, min
        The declared beginning; by default 0 or the first row.
    gap, longest : float, min
        Between neighbors, and of the whole.

    Raises
    ------
    ValueError
        Naming the row after the gap.
    """
    moments = sorted(((row.time, row) for row in rows if math.isfinite(row.time)), key=lambda moment: moment[0])
    if not moments:
        return
    before = (0.0 if start is None else start, None)
    for time, row in moments:
        if before[1] is None:
            distance, neighbor = time - before[0], "the record's beginning"
        else:
            distance, neighbor = time - before[0], f"row {before[1].number}"
        if distance > gap:
            raise ValueError(
                f"{row.place('time')} lies {distance / 1440:.3g} days after {neighbor}, more than the "
                f"{gap / 1440:g} days within which rows are one stay: check its date and `time_unit`, or say "
                "longest_gap=."
            )
        before = (time, row)  # type: ignore[assignment]
    first = min(moments[0][0], before[0]) if start is None else start
    for row in rows:
        for column in ("time", "end", "known"):
            time = row.times.get(column, math.nan)
            if math.isfinite(time) and abs(time - first) > longest:
                raise ValueError(
                    f"{row.place(column)} lies {abs(time - first) / 1440:.3g} days from the record's beginning, more "
                    f"than the {longest / 1440:g} days of one stay: check it, or say longest=."
                )
