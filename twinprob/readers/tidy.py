"""The tidy long table: one measurement, one dose, one setting or one property per row.

When a row was known: at the time in its column `known`; without one, when it was so, for nothing else in the table
tells. A laboratory's export should have the column: what was drawn at 8 and reported at 9 helped nobody at 8:30.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, tzinfo
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from ..patient import units
from ..patient.inputs import Inputs
from ..patient.ledger import Ledger, Line
from ..patient.record import Record
from ._clock import Clock
from ._measured import properties, series_of
from ._orders import history_of
from ._rows import Declared, Entry, Row, ledger_of, require_span, rows_of, timed
from ._sheet import Sheet, one_patient, open_sheet, require_columns, unread

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("time", "variable", "value", "unit", "start", "end", "rate", "amount", "limit", "bolus", "order", "known",
            "rate_unit", "amount_unit")  # fmt: skip
_MEASURED = "time, variable, value, unit (inputs: start, end, variable, rate, unit)"
_GIVEN = "start, end, variable, rate, unit"


def read_tidy(
    table: str | PathLike[str] | pd.DataFrame,
    inputs: str | PathLike[str] | pd.DataFrame | Inputs | None = None,
    covariates: Mapping[str, Any] | None = None,
    *,
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
    ends: str | None = None,
    bolus_duration: float | str = 1.0,
    start: float | str | None = None,
    end: float | str | None = None,
    longest_gap: float | str = "21 d",
    longest: float | str = "400 d",
) -> Record:
    r"""Read one patient from a long table.

    A row with `time`, `variable`, `value`, `unit` is a measurement; ``<0.6`` and ``> 33.3 mmol/L`` are detection
    limits. A row of an input has `start` (or `time`), `end`, `variable`, `rate` (or `amount`), `unit`, here or in a
    table of its own: rows of one `order` replace each other, different orders add, and without an order column all rows
    of an input are one order; a cell left empty beside named ones is an order of its own. An amount without an end is a
    bolus, a setting holds until its next row. A row of a covariate is that property; a weight with times is the median
    of the first day's, and what was weighed later stands in its `changes`. `known` is when a row was known, if not at
    its time.

    Parameters
    ----------
    table : path or DataFrame
        A text table (comma, semicolon or tab; gzip too) or frame. Rows of different variables may be mixed; within a
        measured variable times go forward.
    inputs : path, DataFrame or Inputs, optional
        The input rows, if they are not in `table`.
    covariates : mapping, optional
        As for `Record.build`; these win over rows of `table`.
    own : iterable of str
        Names outside the vocabulary.
    trusted : iterable of str
        As for `Record.build`.
    patient : str or int, optional
        Which one, where a column such as patient or stay_id names several.
    time_unit : str
        Of numeric times: "min", "h", "d", "s" or "ms". Seconds since 1970 and a spreadsheet's day numbers are
        recognized by their size under "s", "ms" and "d".
    origin : str or datetime, optional
        For dates: the moment of t = 0. By default the earliest in the tables.
    timezone : str or tzinfo, optional
        Where dates without an offset were written, such as "America/New_York": nights in which clocks change then last
        as long as they did.
    date_format : str, optional
        How dates are written that are not year-month-day, as `datetime.strptime` takes it.
    decimal : {".", ","}, optional
        The decimal sign; by default it is found.
    limits : mapping, optional
        Each meter's lowest and highest reading, for cells such as LO and HI: ``{"glucose": (20, 600, "mg/dL")}``.
    concentrations : mapping, optional
        Of what is charted as a volume: ``{"insulin": (1, "U/mL")}``.
    salts : mapping, optional
        ``{"norepinephrine": "tartrate"}`` where rates are of the salt, twice those of the base.
    ends : {"next"}, optional
        A rate without an end holds until the next row of its order; the last one is refused unless it is 0 or this says
        that it still runs.
    bolus_duration : float or str, min
        How long a dose without an end takes.
    start, end : float or str, min, optional
        As for `Record.build`.
    longest_gap, longest : float or str, min
        Between neighboring rows, and of the whole: beyond these, times are taken for a mistake.

    Returns
    -------
    record : Record
        Checked; `record.ledger` says of every row what became of it, `record.origin` when t = 0 was, of dates.

    Raises
    ------
    ValueError
        Naming the row, the column and the remedy; or as `Record.build`.

    Examples
    --------
    >>> import io
    >>> rows = "0,glucose,180,mg/dL 60,glucose,LO,mg/dL 0,insulin,2,U/h 60,insulin,0,U/h".split()
    >>> table = io.StringIO("\n".join(["time,variable,value,unit", *rows]))
    >>> record = read_tidy(table, limits={"glucose": (20, 600, "mg/dL")})
    >>> record.observations["glucose"].limits, record.inputs["insulin"].at([0, 60])
    (array([ 0, -1], dtype=int8), array([2., 0.]))
    """
    declared = Declared(
        tuple(own), limits or {}, concentrations or {}, salts or {}, ends, units.minutes(bolus_duration), tuple(trusted)
    )
    sheet, others = one_patient(open_sheet(table, decimal=decimal), patient)
    require_columns(sheet, ("variable", "unit", "time/start", "value/rate/amount"), _COLUMNS, _MEASURED)
    rows = rows_of(sheet, _COLUMNS)
    left = [Entry(Row("table", number, "", {}), "set aside", "of another patient") for number in others]
    given = inputs if isinstance(inputs, Inputs) else None
    aside = unread(sheet, _read_of(sheet))
    if inputs is not None and given is None:
        dosed, more, ignored = _input_rows(inputs, patient, decimal)
        rows, left, aside = rows + dosed, left + more, aside + ignored
    clock = Clock(time_unit, origin, timezone, date_format, sheet.decimal)
    rows, notes, moment = timed([row for row in rows if _kind(row, declared.own)], clock)
    begin = None if start is None else units.minutes(start)
    require_span(rows, begin, units.minutes(longest_gap), units.minutes(longest))
    return assembled(
        rows,
        declared,
        given=given,
        covariates=covariates,
        start=start,
        end=end,
        longest=longest,
        left=left,
        notes=notes + aside,
        origin=moment,
    )


def read_inputs(
    table: str | PathLike[str] | pd.DataFrame,
    *,
    own: Iterable[str] = (),
    weight: float | None = None,
    time_unit: str = "min",
    origin: Any = None,
    timezone: str | tzinfo | None = None,
    decimal: str | None = None,
    bolus_duration: float | str = 1.0,
) -> Inputs:
    """Read a plan, or what was given, from a table of input rows alone.

    Parameters
    ----------
    table : path or DataFrame
        With the columns of an input in `read_tidy`; a row without an end runs on until the next of its order.
    weight : float, optional
        kg, where rows of one input are per kilogram and others are not.
    own, time_unit, origin, timezone, decimal, bolus_duration
        As for `read_tidy`; dates need an `origin`.

    Returns
    -------
    inputs : Inputs

    Raises
    ------
    ValueError
        As `read_tidy`.
    """
    declared = Declared(tuple(own), ends="next", bolus_duration=units.minutes(bolus_duration))
    rows, _, _ = _input_rows(table, None, decimal)
    clock = Clock(time_unit, origin, timezone, None, rows[0].decimal if rows else ".")
    if origin is None and any(clock.dated(row.cells.get("start", row.cells.get("time"))) for row in rows):
        raise ValueError(
            "Dates in a table of inputs need the argument `origin`, the moment that the record calls 0 min, such as "
            "2020-03-12T08:00."
        )
    rows, _, _ = timed([row for row in rows if _kind(row, declared.own)], clock)
    return _histories(rows, declared, weight)[0]


def assembled(
    rows: Sequence[Row],
    declared: Declared,
    *,
    given: Inputs | None = None,
    covariates: Mapping[str, Any] | None = None,
    start: float | str | None = None,
    end: float | str | None = None,
    longest: float | str = "400 d",
    left: Sequence[Entry] = (),
    notes: tuple[str, ...] = (),
    origin: datetime | None = None,
) -> Record:
    """Return the record of rows whose times are read.

    Parameters
    ----------
    rows : sequence of Row
    declared : Declared
    given, covariates, start, end, longest
        As for `Record.build`.
    left : sequence of Entry
        Rows left out before.
    notes : tuple of str
        For the record.
    origin : datetime, optional
        The moment of 0 min.

    Returns
    -------
    record : Record

    Raises
    ------
    ValueError
        As `read_tidy`.
    """
    kinds = [_kind(row, declared.own) for row in rows]
    by_kind = {kind: [row for row, mine in zip(rows, kinds, strict=True) if mine == kind] for kind in set(kinds)}
    fixed, entries = properties(by_kind.get("covariate", []))
    entries = [*left, *entries]
    fixed.update(covariates or {})
    observations: dict[str, Any] = {}
    for name, some in _by_variable(by_kind.get("observation", [])).items():
        series, said = series_of(name, some, declared)
        entries += said
        if series is not None:
            observations[name] = series
    courses, said, decided = _histories(by_kind.get("input", []), declared, _weight(fixed))
    entries += said
    if given is not None:
        _refuse_both(given, courses)
    ledger = ledger_of(entries)
    record = Record.build(
        observations,
        courses if given is None else given | courses,
        fixed,
        start=start,
        end=end,
        own=declared.own,
        trusted=declared.trusted,
        longest=longest,
        ledger=ledger,
        origin=origin,
    )
    return replace(record, ledger=_settled(ledger, record.ledger), notes=(*record.notes, *notes, *decided))


def _input_rows(table: Any, patient: Any, decimal: str | None) -> tuple[list[Row], list[Entry], tuple[str, ...]]:
    sheet, others = one_patient(open_sheet(table, name="inputs", decimal=decimal), patient)
    require_columns(sheet, ("variable", "unit", "start/time", "rate/amount/value"), _COLUMNS, _GIVEN)
    left = [Entry(Row("inputs", number, "", {}), "set aside", "of another patient") for number in others]
    return rows_of(sheet, _COLUMNS), left, unread(sheet, _read_of(sheet))


def _read_of(sheet: Sheet) -> list[str]:
    return [header for name, header in sheet.by_name.items() if name in _COLUMNS]


def _kind(row: Row, own: tuple[str, ...]) -> str:
    """Say what a row is: an observation, an input or a covariate.

    Raises
    ------
    ValueError
        If its variable is unknown, or a measurement stands among the inputs.
    """
    name = row.variable
    row.attempt("variable", lambda: units.known(name, own=own))
    kind = units.VOCABULARY[name].kind if name in units.VOCABULARY and name not in own else None
    if row.sheet == "inputs" or "start" in row or kind == "input":
        row.attempt("variable", lambda: units.known(name, own=own, kind="input"))
        return "input"
    if kind == "covariate" or (kind is None and "time" not in row):
        return "covariate"
    return "observation"


def _refuse_both(given: Inputs, read: Inputs) -> None:
    """Refuse what both the table and the inputs beside it say: it would be given twice."""
    for name in set(given.names) & set(read.names):
        mine, theirs = given[name], read[name].to(given[name].unit, variable=name)
        rows = {(a, b, round(r, 9)) for a, b, r in zip(mine.starts, mine.ends, mine.rates, strict=True)}
        for start, end, rate in zip(theirs.starts, theirs.ends, theirs.rates, strict=True):
            if (start, end, round(rate, 9)) in rows:
                raise ValueError(
                    f"{name} from {start:g} min on stands in the table and in `inputs`, the same row: keep one of them."
                )


def _by_variable(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.variable, []).append(row)
    return found


def _histories(
    rows: Iterable[Row], declared: Declared, weight: float | None
) -> tuple[Inputs, list[Entry], tuple[str, ...]]:
    courses: dict[str, Any] = {}
    entries: list[Entry] = []
    notes: tuple[str, ...] = ()
    for name, some in _by_variable(rows).items():
        inputs, said, decided = history_of(name, some, declared, weight)
        courses.update(inputs.courses)
        entries += said
        notes += decided
    return Inputs(courses), entries, notes


def _weight(fixed: Mapping[str, Any]) -> float | None:
    given = fixed.get("weight")
    if not isinstance(given, tuple | list):
        given = (getattr(given, "value", None), getattr(given, "unit", None))
    try:
        return float(units.convert(float(given[0]), str(given[1]), "kg"))
    except (TypeError, ValueError):  # absent, or refused by name when the record is built
        return None


def _settled(rows: Ledger, built: Ledger) -> Ledger:
    """Return the account of the rows where what the record set aside is no longer called used.

    Parameters
    ----------
    rows : Ledger
        By the reader, with row numbers.
    built : Ledger
        With the record's own lines, which know times and no rows.

    Returns
    -------
    ledger : Ledger
    """
    lines: list[Line] = []
    for line in rows:
        for late in (late for late in built if not late.source and late.variable == line.variable):
            moved = np.isin(line.times, late.times) & (line.fate == "used")
            lines.append(replace(line.select(moved), fate=late.fate, reason=late.reason))
            line = line.select(~moved)
        lines.append(line)
    return Ledger(tuple(lines))
