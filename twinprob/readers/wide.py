"""The wide table, as hospitals export it: one moment per row, one variable per column.

When a row was known: at the time in the column that `known=` names, all its cells alike; without one, at its own time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo
from os import PathLike
from typing import TYPE_CHECKING, Any

from ..patient import units
from ..patient.record import Record
from ._clock import Clock
from ._rows import Declared, Entry, Row, require_span, timed
from ._sheet import Sheet, one_patient, open_sheet, unread
from .tidy import assembled

if TYPE_CHECKING:
    import pandas as pd


def read_wide(
    table: str | PathLike[str] | pd.DataFrame,
    *,
    time: str | Sequence[str],
    columns: Mapping[str, tuple[str, str | None]],
    inputs: Mapping[str, tuple[str, str]] | None = None,
    known: str | None = None,
    covariates: Mapping[str, Any] | None = None,
    own: Iterable[str] = (),
    trusted: Iterable[str] = (),
    patient: Any = None,
    time_unit: str = "min",
    origin: Any = None,
    timezone: str | tzinfo | None = None,
    date_format: str | None = None,
    decimal: str | None = None,
    limits: Mapping[str, tuple[float | None, float | None, str]] | None = None,
    concentrations: Mapping[str, tuple[float, str]] | None = None,
    salts: Mapping[str, str] | None = None,
    bolus_duration: float | str = 1.0,
    start: float | str | None = None,
    end: float | str | None = None,
    longest_gap: float | str = "21 d",
    longest: float | str = "400 d",
) -> Record:
    r"""Read one patient from a table with a column for each variable.

    Parameters
    ----------
    table : path or DataFrame
        As for `read_tidy`.
    time : str or sequence of str
        The column of times, or two that hold date and time of day.
    columns : mapping of str to (str, str)
        Measured columns and properties: ``{"Glucose (mg/dL)": ("glucose", "mg/dL")}``; a category has the unit None.
    inputs : mapping of str to (str, str), optional
        Columns of what was given or set: ``{"Insulin (U/h)": ("insulin", "U/h")}``. A rate or a setting holds until the
        next cell of its column that is not empty, the last one still runs; a unit that is an amount makes each cell a
        dose. Several columns of one input are several orders and add.
    known : str, optional
        The column that says when each row was known.
    covariates, own, trusted, patient, time_unit, origin, timezone, date_format, decimal
        As for `read_tidy`.
    limits, concentrations, salts, bolus_duration, start, end, longest_gap, longest
        As for `read_tidy`.

    Returns
    -------
    record : Record
        `record.ledger` accounts for every cell that is not empty; `record.notes` names the columns that were not read.

    Raises
    ------
    ValueError
        If a named column is not there, or as `read_tidy`.

    Examples
    --------
    >>> import io
    >>> sheet = "Time;BG;Insulin\n2024-03-01 08:00;11,2;2\n2024-03-01 09:00;9,8;\n"
    >>> charted = {"BG": ("glucose", "mmol/L")}
    >>> read_wide(io.StringIO(sheet), time="Time", columns=charted, inputs={"Insulin": ("insulin", "U/h")})
    Record: 0 min to 1 h, wall clock known
      measured: glucose × 2
      inputs: insulin
      of the patient: nothing known
      3 rows: 3 used. insulin, rows without an end: 1 still runs.
    """
    declared = Declared(
        tuple(own),
        limits or {},
        concentrations or {},
        salts or {},
        "next",
        units.minutes(bolus_duration),
        tuple(trusted),
    )
    sheet, others = one_patient(open_sheet(table, decimal=decimal), patient)
    moments = (time,) if isinstance(time, str) else tuple(time)
    found = _located(sheet, (*moments, *columns, *(inputs or {}), *(() if known is None else (known,))))
    rows = _rows(sheet, [found[m] for m in moments], found.get(known or ""), {
        **{found[header]: (*about, "value") for header, about in columns.items()},
        **{found[header]: (*about, "rate") for header, about in (inputs or {}).items()},
    }, declared.own)  # fmt: skip
    clock = Clock(time_unit, origin, timezone, date_format, sheet.decimal)
    rows, notes, moment = timed(rows, clock)
    begin = None if start is None else units.minutes(start)
    require_span(rows, begin, units.minutes(longest_gap), units.minutes(longest))
    left = [Entry(Row("table", number, "", {}), "set aside", "of another patient") for number in others]
    notes = (*notes, *unread(sheet, found.values()))
    return assembled(
        rows,
        declared,
        covariates=covariates,
        start=start,
        end=end,
        longest=longest,
        left=left,
        notes=notes,
        origin=moment,
    )


def _located(sheet: Sheet, named: Iterable[str]) -> dict[str, str]:
    """Return the headers of the columns asked for, however they are spaced or capitalized."""
    plain = {re.sub(r"\s+", " ", header).strip().lower(): header for header in sheet.columns}
    found = {}
    for name in named:
        header = plain.get(re.sub(r"\s+", " ", str(name)).strip().lower())
        if header is None:
            raise ValueError(f"The table has no column {name!r}; it has {', '.join(map(repr, sheet.columns))}.")
        found[name] = header
    return found


def _rows(
    sheet: Sheet,
    moments: Sequence[str],
    known: str | None,
    about: Mapping[str, tuple[str, str | None, str]],
    own: tuple[str, ...],
) -> list[Row]:
    """Return one row for each cell that is not empty, with the time of its line."""
    rows = []
    for header, (name, unit, role) in about.items():
        kind = units.known(name, own=own, kind="input" if role == "rate" else None)
        fixed = kind not in own and units.VOCABULARY[name].kind == "covariate"
        if role == "value" and not fixed:
            units.known(name, own=own, kind="observation")
        names = {role: header, "time": moments[0], "start": moments[0], "known": known or "known"}
        for place, number in enumerate(sheet.rows):
            cells: dict[str, Any] = {role: sheet.columns[header][place]}
            if cells[role] is None:
                continue
            when = [sheet.columns[moment][place] for moment in moments]
            if (not fixed or name == "weight") and when[0] is not None:  # a weight may be charted again
                joined = when[0] if len(when) == 1 else " ".join(str(part) for part in when if part is not None)
                cells["start" if role == "rate" else "time"] = joined
            if known is not None and sheet.columns[known][place] is not None and not fixed:
                cells["known"] = sheet.columns[known][place]
            if unit is not None:
                cells["unit"] = unit
            if role == "rate":
                cells["order"] = header
            rows.append(Row("table", number, name, cells, names, decimal=sheet.decimal))
    return rows
