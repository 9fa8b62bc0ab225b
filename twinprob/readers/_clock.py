"""How a table writes time, decided once for all of its cells, and every cell in minutes from there."""

from __future__ import annotations

import datetime
import math
import re
import zoneinfo
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..patient import units

_DATE = r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})"
_HOUR = r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?P<fraction>[.,]\d+)?)?"
_STAMP = re.compile(rf"{_DATE}(?:[T ]+{_HOUR}\s*(?P<half>[AaPp]\.?[Mm]\.?)?)?\s*(?P<zone>Z|[+-]\d{{2}}(?::?\d{{2}})?)?")
_OTHER_DATE = re.compile(r"\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}\b.*|\d{1,2}[- ][A-Za-z]{3,9}[- ,]+\d{2,4}\b.*")
_CLOCK_ONLY = re.compile(r"\d{1,2}:\d{2}(:\d{2})?\s*([AaPp]\.?[Mm]\.?)?")
_ENDLESS = re.compile(r"[-+]?inf(inity)?|ongoing|running", re.IGNORECASE)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_SPREADSHEET = datetime.datetime(1899, 12, 30)  # day 0 of spreadsheets, whose 1900 was a leap year
_EPOCH_LEAST = 1e8  # s; 1973, and as a time since admission three years
_COMPACT = re.compile(r"(19|2[01])\d\d(0[1-9]|1[0-2])([0-2]\d|3[01])([01]\d|2[0-3])[0-5]\d([0-5]\d)?")
_EPOCH_SECONDS = (1e9, 5e9)  # s; 2001 to 2128, and in ms a record that begins 12 days after its zero
_DAYS = (25_000.0, 80_000.0)  # spreadsheet days of 1968 to 2119
_FORMS = (
    "write numbers (time_unit= says of what), text such as '24 h', or dates such as 2020-03-12T08:00, or say how dates "
    "are written, e.g. date_format='%m/%d/%Y %H:%M'"
)
_PLURALS = {"a number": "numbers", "text with a unit": "texts with a unit"}
_NEEDS = {"d": _DAYS[0], "s": _EPOCH_LEAST, "ms": 1e3 * _EPOCH_LEAST}


@dataclass(frozen=True)
class Stamp:
    """One cell that holds a time, and where it stands.

    Attributes
    ----------
    cell : str, number or datetime
    row : int
    column : str
    series : tuple of str
        Cells of one series follow each other in time as their rows do: it decides the hour that clocks repeat.
    """

    cell: Any
    row: int
    column: str
    series: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Row and column in words."""
        return f"Row {self.row}, column {self.column!r}"


@dataclass(frozen=True)
class Clock:
    """What a caller says about how time is written; see `read_tidy`."""

    time_unit: str = "min"
    origin: Any = None
    timezone: str | datetime.tzinfo | None = None
    date_format: str | None = None
    decimal: str = "."

    def read(self, stamps: Sequence[Stamp]) -> tuple[list[float], tuple[str, ...], datetime.datetime | None]:
        """Read every cell.

        Parameters
        ----------
        stamps : sequence of Stamp

        Returns
        -------
        minutes : list of float
            From 0, or for dates from `origin`, by default the earliest of them; inf for what runs on, -inf for what
            always ran.
        notes : tuple of str
            What was decided where the table does not say.
        origin : datetime or None
            The moment of 0 min in the zone of the dates, None where times are no dates.

        Raises
        ------
        ValueError
            Naming row and column; dates stay out of the message.
        """
        finite = [stamp for stamp in stamps if not _infinite(stamp.cell)]
        kinds = [self._kind(stamp) for stamp in finite]
        for stamp, kind in zip(finite, kinds, strict=True):
            if kind != kinds[0]:
                raise ValueError(
                    f"{stamp.place} holds {kind}, but row {finite[0].row} holds {kinds[0]}: one table writes time in "
                    "one way."
                )
        kind = kinds[0] if kinds else "a number"
        if kind == "a number":
            kind = self._scale([self._number(stamp) for stamp in finite])
        if self.origin is not None and kind not in ("a date", "epoch", "spreadsheet"):
            raise ValueError(f"Argument `origin` belongs to timestamps, but times are {_PLURALS[kind]}.")
        if kind == "text with a unit":
            return [_infinite(s.cell) or units.minutes(s.cell) for s in stamps], (), None
        if kind == "a number":
            scale = _minutes_per(self.time_unit)
            return [_infinite(s.cell) or self._number(s) * scale for s in stamps], (), None
        moments, notes = self._instants(finite, kind)
        zero = self._zero(moments)
        found = iter((moment - zero).total_seconds() / 60 for moment in moments)
        times = [_infinite(stamp.cell) or next(found) for stamp in stamps]
        return times, notes, self._local(zero, finite, kind) if moments else None

    def _local(self, zero: datetime.datetime, stamps: Sequence[Stamp], kind: str) -> datetime.datetime:
        """Return the moment of 0 min in the caller's zone, or that of the first date that names one."""
        if zero.tzinfo is None:
            return zero
        zone = _zone(self.timezone) if self.timezone is not None else None
        if zone is None and kind == "a date":
            zone = _moment(stamps[0], self.date_format).tzinfo
        return zero if zone is None else zero.astimezone(zone)

    def dated(self, cell: Any) -> bool:
        """Say whether a cell is a date, which needs a moment to count from."""
        return isinstance(cell, datetime.date | np.datetime64) or (
            isinstance(cell, str) and bool(self.date_format or _STAMP.fullmatch(cell))
        )

    def _kind(self, stamp: Stamp) -> str:
        cell = stamp.cell
        if isinstance(cell, datetime.date | np.datetime64):
            return "a date"
        if not isinstance(cell, str):
            try:
                float(cell)
            except (TypeError, ValueError):
                raise ValueError(f"{stamp.place} must hold a time, but holds {type(cell).__name__}.") from None
            return "a number"
        if self.date_format is not None or _STAMP.fullmatch(cell):
            return "a date"
        if _float(cell, self.decimal) is not None:
            return "a number"
        try:
            units.minutes(cell)
            return "text with a unit"
        except ValueError:
            pass
        what = "another text"  # the text itself stays out of the message: dates identify patients
        if _OTHER_DATE.fullmatch(cell):
            what = "a date whose day, month or year may be exchanged"
        elif _CLOCK_ONLY.fullmatch(cell):
            what = "a time of day without its date"
        elif re.match(_DATE, cell):
            what = "a date whose time of day is in no known form"
        raise ValueError(f"{stamp.place} must hold a time, but holds {what}: {_FORMS}.")

    def _number(self, stamp: Stamp) -> float:
        value = _float(stamp.cell, self.decimal)
        if value is None or not math.isfinite(value):
            raise ValueError(f"{stamp.place} must hold a finite time: leave the cell empty where it is not known.")
        return value

    def _scale(self, numbers: Iterable[float]) -> str:
        """Say whether numbers count from an admission, from 1970 or from a spreadsheet's day 0."""
        numbers = np.array(list(numbers), float)
        _minutes_per(self.time_unit)
        if not numbers.size:
            return "a number"
        least, most = float(numbers.min()), float(numbers.max())
        if all(_COMPACT.fullmatch(f"{number:.0f}") for number in numbers):
            raise ValueError(
                "Times look like dates without separators: say how they are written, e.g. date_format='%Y%m%d%H%M'."
            )
        if self.time_unit == "ms" and most >= 1e3 * _NEEDS["ms"]:
            raise ValueError("Times are too large for ms since 1970: they may count µs; divide them by 1000.")
        if least >= _NEEDS.get(self.time_unit, math.inf):
            if self.time_unit == "ms" or (self.time_unit == "s" and most < _NEEDS["ms"]):
                return "epoch"
            if self.time_unit == "d" and most <= _DAYS[1]:
                return "spreadsheet"
        meant = "s" if most < 1e3 * _EPOCH_LEAST else "ms"
        too_large = self.time_unit in ("min", "h") and least >= _EPOCH_LEAST
        if too_large or (self.time_unit == "s" and least >= _NEEDS["ms"]):
            raise ValueError(f"Times are too large for {self.time_unit}: they look like {meant} since 1970; say "
                             f"time_unit={meant!r}.")  # fmt: skip
        if self.time_unit == "ms" and _EPOCH_SECONDS[0] <= least and most < _EPOCH_SECONDS[1]:
            raise ValueError("Times in ms look like s since 1970: say time_unit='s', or count from the admission.")
        fraction = bool(np.any(np.abs(numbers - np.round(numbers)) > 1e-9))
        if self.time_unit in ("min", "h") and fraction and least >= _DAYS[0] and most <= min(_DAYS[1], least + 400):
            raise ValueError(
                f"Times in {self.time_unit} look like a spreadsheet's day numbers: say time_unit='d', or count from "
                "the admission."
            )
        return "a number"

    def _instants(self, stamps: Sequence[Stamp], kind: str) -> tuple[list[datetime.datetime], tuple[str, ...]]:
        """Return moments that all have a zone, or all have none."""
        local: list[datetime.datetime]
        if kind == "epoch":
            scale = 1.0 if self.time_unit == "s" else 1e-3
            return [_EPOCH + datetime.timedelta(seconds=self._number(stamp) * scale) for stamp in stamps], ()
        if kind == "spreadsheet":  # one second is what a spreadsheet's day number resolves
            days = [self._number(stamp) for stamp in stamps]
            local = [_SPREADSHEET + datetime.timedelta(seconds=round(day * 86400)) for day in days]
        else:
            local = [_moment(stamp, self.date_format) for stamp in stamps]
        midnights = _midnights(stamps)
        if self.timezone is not None:
            instants, notes = _located(stamps, local, _zone(self.timezone))
            return instants, (*midnights, *notes)
        naive = [moment.tzinfo is None for moment in local]
        for stamp, bare in zip(stamps, naive, strict=True):
            if bare != naive[0]:
                raise ValueError(
                    f"{stamp.place}: timestamps must all have a time zone or all have none; say timezone= for those "
                    "without."
                )
        if naive and naive[0]:
            return local, (*midnights, *_unzoned(local))
        return [moment.astimezone(datetime.UTC) for moment in local], midnights

    def _zero(self, moments: Sequence[datetime.datetime]) -> datetime.datetime:
        if self.origin is None:
            return min(moments, default=_EPOCH)
        origin = _moment(Stamp(self.origin, 0, "origin"), None, "Argument `origin`")
        if self.timezone is not None and origin.tzinfo is None:
            origin = origin.replace(tzinfo=_zone(self.timezone))
        if moments and (origin.tzinfo is None) != (moments[0].tzinfo is None):
            raise ValueError("Timestamps must all have a time zone or all have none, the `origin` included.")
        return origin if origin.tzinfo is None else origin.astimezone(datetime.UTC)


def _infinite(cell: Any) -> float:
    """Return inf for what runs on, -inf for what always ran, and 0 for a time of the calendar or the clock."""
    if isinstance(cell, str):
        return 0.0 if not _ENDLESS.fullmatch(cell) else -math.inf if cell.startswith("-") else math.inf
    return float(cell) if isinstance(cell, float | np.floating) and bool(np.isinf(cell)) else 0.0


def _minutes_per(unit: str) -> float:
    if unit == "ms":
        return 1 / 60_000
    try:
        return units.minutes(f"1 {unit}")
    except ValueError:
        raise ValueError(f'Argument `time_unit` must be "min", "h", "d", "s" or "ms", but is {unit!r}.') from None


def _float(cell: Any, decimal: str) -> float | None:
    if isinstance(cell, bool):
        return None
    if isinstance(cell, str) and decimal == "," and re.fullmatch(r"[-+]?\d*,\d+", cell):
        cell = cell.replace(",", ".")
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None


def _moment(stamp: Stamp, date_format: str | None, place: str = "") -> datetime.datetime:
    """Return the moment that a cell writes, in the zone it names, if any."""
    cell, place = stamp.cell, place or stamp.place
    if isinstance(cell, np.datetime64):
        cell = cell.astype("datetime64[us]").item()
    if isinstance(cell, datetime.datetime):
        return cell.to_pydatetime(warn=False) if hasattr(cell, "to_pydatetime") else cell
    if isinstance(cell, datetime.date):
        return datetime.datetime(cell.year, cell.month, cell.day)
    if date_format is not None and stamp.row:
        try:
            return datetime.datetime.strptime(str(cell), date_format)
        except ValueError:
            raise ValueError(f"{place} does not hold a time of the form date_format={date_format!r}.") from None
    match = _STAMP.fullmatch(str(cell).strip())
    if match is None:
        raise ValueError(f"{place} must be a date such as 2020-03-12T08:00.")
    try:
        return _calendar(match)
    except ValueError:
        raise ValueError(
            f"{place} holds no time of the calendar: check month, day and hour; midnight is 24:00 or 00:00."
        ) from None


def _calendar(match: re.Match[str]) -> datetime.datetime:
    year, month, day = (int(match[part]) for part in ("year", "month", "day"))
    hour, minute, second = (int(match[part] or 0) for part in ("hour", "minute", "second"))
    if match["half"]:
        if not 1 <= hour <= 12:
            raise ValueError
        hour = hour % 12 + (12 if match["half"].lower().startswith("p") else 0)
    midnight = (hour, minute, second) == (24, 0, 0)
    micro = round(float("0." + match["fraction"][1:]) * 1e6) if match["fraction"] else 0
    moment = datetime.datetime(year, month, day, 0 if midnight else hour, minute, second)
    moment += datetime.timedelta(days=midnight, microseconds=micro)
    zone = match["zone"]
    if not zone:
        return moment
    if zone == "Z":
        return moment.replace(tzinfo=datetime.UTC)
    digits = zone[1:].replace(":", "").ljust(4, "0")
    offset = datetime.timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return moment.replace(tzinfo=datetime.timezone(-offset if zone[0] == "-" else offset))


def _zone(timezone: str | datetime.tzinfo) -> datetime.tzinfo:
    if isinstance(timezone, datetime.tzinfo):
        return timezone
    try:
        return zoneinfo.ZoneInfo(timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise ValueError(
            f'Argument `timezone` must name a zone such as "America/New_York" or "Europe/Berlin", but is {timezone!r}.'
        ) from None


def _located(
    stamps: Sequence[Stamp], local: Sequence[datetime.datetime], zone: datetime.tzinfo
) -> tuple[list[datetime.datetime], tuple[str, ...]]:
    """Return local times as instants: of the hour that clocks repeat, the order of rows says which is meant."""
    instants: list[datetime.datetime] = []
    latest: dict[str, datetime.datetime] = {}  # of each series, the last time that lies in a repeated hour
    unsure = 0
    for stamp, moment in zip(stamps, local, strict=True):
        if moment.tzinfo is not None:
            instants.append(moment.astimezone(datetime.UTC))
            continue
        first, second = (moment.replace(tzinfo=zone, fold=fold).astimezone(datetime.UTC) for fold in (0, 1))
        if first.astimezone(zone).replace(tzinfo=None) != moment.replace(fold=0):
            raise ValueError(
                f"{stamp.place} holds a time of day that the clocks of the time zone skipped that night: check it, or "
                "write the offset with the time."
            )
        if first == second:
            instants.append(first)
            continue
        # Not later than a row before it in the same hour: the clocks have been set back in between.
        again = moment.fold == 1 or any(first <= latest[name] for name in stamp.series if name in latest)
        unsure += not again
        instants.append(second if again else first)
        latest.update(dict.fromkeys(stamp.series, instants[-1]))
    note = (
        f"{unsure} times lie in the hour that the clocks repeated and are taken as its first pass, as no row before "
        "them says otherwise."
    )
    return instants, (note,) if unsure else ()


def _midnights(stamps: Sequence[Stamp]) -> tuple[str, ...]:
    """Say how many dates have no time of day."""
    found = (_STAMP.fullmatch(stamp.cell.strip()) for stamp in stamps if isinstance(stamp.cell, str))
    bare = sum(match is not None and match["hour"] is None for match in found)
    return (f"{bare} dates have no time of day and are taken as midnight.",) if bare else ()


def _unzoned(moments: Sequence[datetime.datetime]) -> tuple[str, ...]:
    """Say that nights in which clocks change are counted as written, where there may be one."""
    first, last = min(moments), max(moments)
    span = (last.date() - first.date()).days
    days = [first.date() + datetime.timedelta(days=n) for n in range(min(span, 400) + 1)]
    changes = [
        datetime.datetime.combine(day, datetime.time(2))
        for day in days
        if day.weekday() == 6 and ((day.month, (day.day - 1) // 7) in ((3, 1), (11, 0))
                                   or (day.month in (3, 10) and day.day > 24))
    ]  # fmt: skip
    if not any(first < change < last for change in changes):
        return ()
    return (
        (
            "Times are local without a time zone, and in one of these nights clocks may have been changed: they are "
            "counted as they are written unless timezone= is given."
        ),
    )
