"""Between a record's minutes and the clock on the wall: the moment of t = 0, and times written as dates."""

from __future__ import annotations

import datetime
import re
import zoneinfo
from collections.abc import Iterable
from typing import Any

import numpy as np

from .units import minutes

_DATED = re.compile(r"\s*\d{4}-\d{1,2}-\d{1,2}")


def is_moment(time: Any) -> bool:
    """Say whether a time is a date, and no number of minutes or text such as "24 h"."""
    return isinstance(time, datetime.datetime) or (isinstance(time, str) and _DATED.match(time) is not None)


def moment(given: Any, what: str) -> datetime.datetime:
    """Read a moment.

    Parameters
    ----------
    given : datetime or str
        Such as ``"2020-03-12T08:00"``, with or without an offset.
    what : str
        What it is, to begin a message with; the date itself stays out of it, since dates identify patients.

    Returns
    -------
    moment : datetime
        In the zone it names, or in none.

    Raises
    ------
    ValueError
        If it is none.
    """
    if isinstance(given, datetime.datetime):
        return given
    try:
        return datetime.datetime.fromisoformat(str(given).strip())
    except ValueError:
        raise ValueError(f"{what} must be a moment such as 2020-03-12T08:00, with or without its offset.") from None


def minutes_of(time: Any, origin: datetime.datetime | None) -> float:
    """Return a time in a record's minutes.

    Parameters
    ----------
    time : float, str or datetime
        Minutes, text such as ``"24 h"``, or a moment, which a record with an origin can place.
    origin : datetime or None
        The moment of t = 0.

    Returns
    -------
    time : float, min

    Raises
    ------
    TypeError, ValueError
        If it is none of these, or a moment where the origin is not known or is in a zone and the moment in none.

    Examples
    --------
    >>> minutes_of("2020-03-12T09:30", datetime.datetime(2020, 3, 12, 8)), minutes_of("24 h", None)
    (90.0, 1440.0)
    """
    if not is_moment(time):
        return minutes(time)
    if origin is None:
        raise ValueError(
            "The record does not know the moment of its 0 min, so a date says nothing: write minutes or text such as "
            "'24 h', or give `origin=` when the record is made."
        )
    when = moment(time, "A time that is a date")
    if when.tzinfo is None and origin.tzinfo is not None:
        when = when.replace(tzinfo=origin.tzinfo)
    if when.tzinfo is not None and origin.tzinfo is None:
        raise ValueError("The record's moments have no time zone: write this one without an offset.")
    return (_plain(when) - _plain(origin)).total_seconds() / 60.0


def at(origin: datetime.datetime, time: float) -> datetime.datetime:
    """Return the moment of a time (min), in the origin's zone: nights in which clocks change last as long as they do.

    Examples
    --------
    >>> begun = datetime.datetime(2024, 3, 31, 0, 30, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))
    >>> at(begun, 120.0).isoformat()
    '2024-03-31T03:30:00+02:00'
    """
    later = _plain(origin) + datetime.timedelta(minutes=time)
    return later.astimezone(origin.tzinfo) if origin.tzinfo is not None else later


def moments(origin: datetime.datetime, times: Iterable[float]) -> np.ndarray:
    """Return the moments of times (min), (time,) objects: an hour that clocks repeat has two offsets."""
    return np.array([at(origin, float(time)) for time in times], dtype=object)


def _plain(moment: datetime.datetime) -> datetime.datetime:
    return moment if moment.tzinfo is None else moment.astimezone(datetime.UTC)


def written(origin: datetime.datetime | None) -> list[str]:
    """Return an origin as texts for a file: none, or the moment and the name of its zone, where it has one."""
    return [] if origin is None else [origin.isoformat(), getattr(origin.tzinfo, "key", "")]


def read(texts: Any) -> datetime.datetime | None:
    """Return the origin that `written` wrote; in its bare offset where this machine does not know the zone."""
    if not texts:
        return None
    found = datetime.datetime.fromisoformat(str(texts[0]))
    try:
        return found.astimezone(zoneinfo.ZoneInfo(str(texts[1]))) if texts[1] else found
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return found
