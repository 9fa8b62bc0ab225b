"""The tidy long table: one measurement, one dose or one property per row."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from ..patient import units
from ..patient.inputs import Inputs
from ..patient.record import Record

if TYPE_CHECKING:
    import pandas as pd

_WORDS = ("time", "variable", "value", "unit", "start", "end", "rate", "limit", "bolus")
_PATIENTS = ("patient", "patient_id", "subject_id", "hadm_id", "stay_id", "icustay_id", "id")
_LIMIT = re.compile(r"\s*([<>≤≥])=?\s*(.+)")
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?\s*(Z|[+-]\d{2}:?\d{2})?")


def read_tidy(
    table: str | PathLike[str] | pd.DataFrame,
    inputs: str | PathLike[str] | pd.DataFrame | Inputs | None = None,
    covariates: Mapping[str, Any] | None = None,
    *,
    own: Iterable[str] = (),
    time_unit: str = "min",
    origin: str | None = None,
    start: float | str | None = None,
    end: float | str | None = None,
    bolus_duration: float | str = 1.0,
) -> Record:
    """Read one patient from a long table.

    A row with `time`, `variable`, `value`, `unit` is a measurement; ``<0.6`` and ``>33.3`` are detection limits. A
    row with `start`, `end`, `variable`, `rate`, `unit` is an input, here or in a table of its own; without an end it
    is a bolus and its unit an amount. A row without a time whose variable is a covariate is that property.

    Parameters
    ----------
    table : path or DataFrame
        CSV or frame. Rows of different variables may be mixed; within a variable times go forward.
    inputs : path, DataFrame or Inputs, optional
        The input rows, if they are not in `table`.
    covariates : mapping, optional
        As for `Record.build`; these win over rows of `table`.
    own : iterable of str
        Names outside the vocabulary.
    time_unit : str
        Unit of numeric times: "min", "h", "d" or "s".
    origin : str, optional
        For ISO timestamps: the moment of t = 0. By default the earliest timestamp in the tables.
    start, end : float or str, min, optional
        As for `Record.build`.
    bolus_duration : float or str, min
        How long a dose without an end takes.

    Returns
    -------
    record : Record
        Checked; `record.skipped` counts the rows left out.

    Raises
    ------
    ValueError
        If a column is missing, times are no numbers or ISO timestamps or are mixed, a rate has no end, a number has
        a decimal comma, several patients are in the table, or as `Record.build`.
    """
    own = tuple(own)
    rows = _rows(_frame(table), needed=("variable", "unit"))
    given = inputs if isinstance(inputs, Inputs) else None
    dosed = (
        []
        if inputs is None or given is not None
        else _rows(_frame(inputs), needed=("start", "variable", "rate", "unit"))
    )
    clock = _clock([row.get(key) for row in [*rows, *dosed] for key in ("time", "start", "end")], time_unit, origin)
    properties, measured = _sort_rows(rows, dosed, own)
    observations = {name: _observation(name, some, clock) for name, some in measured.items()}
    given = given or Inputs()
    for row in dosed:
        given = given | _input(row, clock, units.minutes(bolus_duration), own)
    fixed = {**_properties(properties), **(covariates or {})}
    return Record.build(observations, given, fixed, start=start, end=end, own=own)


def _frame(table: Any) -> pd.DataFrame:
    import pandas as pd

    if isinstance(table, pd.DataFrame):
        return table
    return pd.read_csv(table, dtype=str, keep_default_na=False, skipinitialspace=True, encoding="utf-8-sig")


def _rows(frame: pd.DataFrame, *, needed: tuple[str, ...]) -> list[dict[str, Any]]:
    columns = {str(column).strip().lower(): column for column in frame.columns}
    missing = [name for name in needed if name not in columns]
    if missing or not {"time", "start"} & set(columns) or not {"value", "rate"} & set(columns):
        raise ValueError(
            f"A tidy table needs the columns time, variable, value, unit (inputs: start, end, variable, rate, "
            f"unit), but has {', '.join(columns)}."
        )
    for name in _PATIENTS:
        if name in columns and frame[columns[name]].nunique() > 1:
            raise ValueError(
                f"The table holds {frame[columns[name]].nunique()} patients in column {name!r}: pass the rows of one."
            )
    known = {name: frame[columns[name]].tolist() for name in _WORDS if name in columns}
    return [
        {name: value for name, value in zip(known, row, strict=True) if not _empty(value)}
        for row in zip(*known.values(), strict=True)
    ]


def _empty(value: Any) -> bool:
    if value is None or (isinstance(value, str) and not value.strip()):
        return True
    return bool(value != value)  # NaN and NaT are not equal to themselves


def _sort_rows(
    rows: list[dict[str, Any]], dosed: list[dict[str, Any]], own: tuple[str, ...]
) -> tuple[list[dict[str, Any]], dict[str, list[dict[str, Any]]]]:
    """Return covariate rows and measurement rows by variable; input rows are appended to `dosed`."""
    properties: list[dict[str, Any]] = []
    measured: dict[str, list[dict[str, Any]]] = {}
    for index, row in enumerate(rows):
        if not row:
            continue
        if "variable" not in row:
            raise ValueError(f"Row {index} has no variable.")
        name = str(row["variable"]).strip()
        kind = (
            units.VOCABULARY[units.known(name, own=own)].kind
            if name in units.VOCABULARY
            else units.known(name, own=own) and None
        )
        if "start" in row or kind == "input":
            dosed.append(row)
        elif kind == "covariate" or (kind is None and "time" not in row):
            properties.append(row)
        else:
            measured.setdefault(name, []).append(row)
    return properties, measured


def _clock(times: list[Any], time_unit: str, origin: str | None) -> Callable[[Any], float]:
    """Decide once how this table writes time, and return the function from a cell to minutes."""
    present = [time for time in times if time is not None]
    kinds = {_kind(time) for time in present}
    if "?" in kinds or len(kinds) > 1:
        # Dates identify patients, so the message names the row and not the cell.
        bad = next((index for index, time in enumerate(times) if time is not None and _kind(time) == "?"), None)
        what = (
            f"but row {bad // 3} holds neither"
            if bad is not None
            else f"but the table mixes {' and '.join(sorted(kinds))}"
        )
        raise ValueError(
            "Times must all be numbers (time_unit='min' or 'h'), all text such as '24 h', or all ISO "
            f"timestamps such as 2020-03-12T08:00, {what}."
        )
    kind = kinds.pop() if kinds else "numbers"
    if origin is not None and kind != "timestamps":
        raise ValueError(f"Argument `origin` belongs to timestamps, but times are {kind}.")
    if kind == "timestamps":
        moments = [_moment(time) for time in (present if origin is None else [origin, *present])]
        if len({moment.tzinfo is None for moment in moments}) > 1:
            raise ValueError("Timestamps must all have a time zone or all have none, the origin included.")
        zero = min(moments) if origin is None else moments[0]
        return lambda time: (_moment(time) - zero).total_seconds() / 60
    if kind == "texts with a unit":
        return units.minutes
    scale = units.minutes(f"1 {time_unit}")
    return lambda time: float(time) * scale


def _kind(time: Any) -> str:
    if isinstance(time, datetime.datetime) or (isinstance(time, str) and _ISO.fullmatch(time.strip())):
        return "timestamps"
    try:
        float(time)
        return "numbers"
    except (TypeError, ValueError):
        pass
    try:
        units.minutes(time)
        return "texts with a unit"
    except (TypeError, ValueError):
        return "?"


def _moment(time: Any) -> datetime.datetime:
    if isinstance(time, datetime.datetime):
        return time
    try:
        return datetime.datetime.fromisoformat(str(time).strip().replace(" +", "+").replace(" Z", "Z"))
    except ValueError:
        raise ValueError("A timestamp is no date of the calendar: write it like 2020-03-12T08:00.") from None


def _number(name: str, cell: Any) -> tuple[float, int]:
    """Return a cell's number and whether it is a detection limit."""
    if not isinstance(cell, str):
        return float(cell), 0
    match = _LIMIT.fullmatch(cell)
    text = match[2].strip() if match else cell.strip()
    if re.fullmatch(r"[-+]?\d+,\d+", text):
        raise ValueError(f"{name} has a decimal comma: write a decimal point.")
    try:
        return float(text), 0 if match is None else -1 if match[1] in "<≤" else 1
    except ValueError:
        return math.nan, 0


def _observation(
    name: str, rows: list[dict[str, Any]], clock: Callable[[Any], float]
) -> tuple[np.ndarray, np.ndarray, Any, np.ndarray]:
    times = np.array([clock(row["time"]) if "time" in row else math.nan for row in rows])
    numbers = [_number(name, row.get("value", math.nan)) for row in rows]
    values, limits = np.array([value for value, _ in numbers]), np.array([limit for _, limit in numbers], np.int8)
    limits = np.where(limits == 0, [int(float(row.get("limit", 0))) for row in rows], limits).astype(np.int8)
    filled = [index for index, row in enumerate(rows) if "unit" in row or "value" in row]
    unit = rows[filled[0]].get("unit") if filled else rows[0].get("unit")
    for index in filled:
        if rows[index].get("unit") != unit:
            if unit is None or "unit" not in rows[index]:
                raise ValueError(f"{name} has no unit in one of its rows ({index}): declare one in each.")
            values[index] = units.convert(values[index], rows[index]["unit"], unit, variable=name)
    return times, values, unit, limits


def _input(row: dict[str, Any], clock: Callable[[Any], float], duration: float, own: tuple[str, ...]) -> Inputs:
    name, unit = str(row.get("variable", "")).strip(), row.get("unit")
    units.known(name, own=own, kind="input")
    begin = row.get("start", row.get("time"))
    amount = row.get("rate", row.get("value"))
    if begin is None or amount is None:
        raise ValueError(f"An input row of {name} has no {'start' if begin is None else 'rate'}.")
    rate, limit = _number(name, amount)
    if limit or not math.isfinite(rate):
        raise ValueError(f"{name} starting at {clock(begin):g} min must have a finite number as rate.")
    if not isinstance(unit, str):
        units.check(unit, like=units.VOCABULARY[name].unit if name in units.VOCABULARY else "U/h", variable=name)
    if "end" in row:
        length = clock(row["end"]) - clock(begin)
        setting = name in units.VOCABULARY and not units.per_time(units.VOCABULARY[name].unit)  # PEEP, not a dose
        if setting or units.per_time(str(unit)):
            bolus = str(row.get("bolus", False)).strip().lower() in ("true", "1", "1.0", "yes")
            return Inputs.infusions(name, clock(begin), clock(row["end"]), rate, str(unit), bolus=bolus, own=own)
        return Inputs.bolus(name, clock(begin), rate, str(unit), duration=length, own=own)
    if units.per_time(str(unit)):
        raise ValueError(
            f"{name} in {unit} from {clock(begin):g} min has no end: give `end`, inf if it is still "
            f"running, or an amount for a bolus."
        )
    return Inputs.bolus(name, clock(begin), rate, str(unit), duration=duration, own=own)


def _properties(rows: list[dict[str, Any]]) -> dict[str, Any]:
    fixed: dict[str, Any] = {}
    for row in rows:
        name, value = str(row["variable"]).strip(), row.get("value")
        if value is None:
            continue
        entry = units.VOCABULARY.get(name)
        category = bool(entry and entry.levels)
        found: Any = str(value).strip() if category else (_number(name, value)[0], row.get("unit"))
        if name in fixed and fixed[name] != found:
            raise ValueError(f"Covariate {name!r} has two different values: keep one.")
        fixed[name] = found
    return fixed
