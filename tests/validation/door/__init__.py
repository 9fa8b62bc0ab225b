"""Kinds of what comes through the door, each with its variations: a module's `KINDS` names a kind and its checks.

A check returns its outcome in words: "right", "refused: …" or "said: …". Where something wrong would pass without a
word it raises an AssertionError.
"""

import io
from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

import twinprob as tp

Check = Callable[[], str]
MEASURED, GIVEN = "time,variable,value,unit\n", "start,end,variable,rate,unit\n"
LONGEST = 700  # characters of a refusal


def judged(
    act: Callable[[], Any],
    right: Callable[[Any], Any] = bool,
    *,
    says: Iterable[str] = (),
    account: Callable[[Any], str] | None = None,
    names: Iterable[str] = (),
    refusable: bool = True,
) -> str:
    """Judge what came of an input.

    Parameters
    ----------
    act : callable
        Reads, builds, fits, or asks.
    right : callable
        Whether what came out is right.
    says : iterable of str
        What the account must hold besides.
    account : callable, optional
        The words that belong to what came out; those of a record by default.
    names : iterable of str
        What a refusal must name.
    refusable : bool
        Whether a refusal will do.

    Returns
    -------
    outcome : str

    Raises
    ------
    AssertionError
        If it is wrong or unsaid.
    """
    try:
        found = act()
    except (ValueError, TypeError, RuntimeError) as error:  # a fit that cannot be is a RuntimeError
        return _refused(error, names, refusable)
    words = (account or told)(found) if says or account else ""
    assert right(found), f"wrong: {shown(found)}; it says {words or told(found)!r}"
    missing = [word for word in says if word.lower() not in words.lower()]
    assert not missing, f"right, but {missing} is not said: {words!r}"
    return f"said: {words}" if says else "right"


def _refused(error: Exception, names: Iterable[str], refusable: bool) -> str:
    message = str(error)
    if type(error) not in (ValueError, TypeError, RuntimeError):
        raise AssertionError(f"{type(error).__name__}: {message}")
    if not refusable:
        raise AssertionError(f"refused though right: {message}")
    if not message or "\n" in message or len(message) > LONGEST:
        raise AssertionError(f"no clear sentence: {message!r}")
    missing = [name for name in names if name.lower() not in message.lower()]
    if missing:
        raise AssertionError(f"the refusal does not name {missing}: {message}")
    return f"refused: {message}"


def told(found: Any) -> str:
    """Return what a record, or the record of a twin, says about itself."""
    if isinstance(found, tp.Twin):
        return "; ".join((told(found.record), *found.provenance["notes"]))
    if not isinstance(found, tp.Record):
        return ""
    return "; ".join((*(f"{line.why} × {line.count}" for line in found.ledger if line.reason), *found.notes))


def shown(found: Any) -> str:
    """Return a record with its values, or anything else as it shows itself."""
    if not isinstance(found, tp.Record):
        return repr(found)
    series = {name: (one.times.tolist(), one.values.tolist(), one.unit) for name, one in found.observations.items()}
    courses = {
        name: (c.starts.tolist(), c.ends.tolist(), c.rates.tolist(), c.unit) for name, c in found.inputs.courses.items()
    }
    return f"{series} {courses} {dict(found.covariates)}"


def tidy(rows: str, inputs: str | None = None, **how: Any) -> tp.Record:
    """Read rows of measurements, and of inputs, written after the usual headers."""
    given = None if inputs is None else io.StringIO((GIVEN if not inputs.startswith("start") else "") + inputs)
    return tp.read_tidy(io.StringIO((MEASURED if not rows.startswith("time") else "") + rows), given, **how)


def wide(rows: str, **how: Any) -> tp.Record:
    """Read a wide table."""
    return tp.read_wide(pd.read_csv(io.StringIO(rows)), **how)


def values(record: tp.Record, name: str) -> list[float]:
    """Return the measured values of one variable, rounded."""
    return [round(float(value), 4) for value in record.observations[name].values] if name in record.names else []


def times(record: tp.Record, name: str) -> list[float]:
    """Return the times of one variable in min, rounded."""
    return [round(float(time), 4) for time in record.observations[name].times] if name in record.names else []


def rates(record: tp.Record, name: str, *when: float) -> list[float]:
    """Return what an input was at some times, rounded; nothing where it is absent."""
    return [round(float(record.inputs[name].at(time)), 6) for time in when] if name in record.inputs else []


def amount(record: tp.Record, name: str, begin: float = -1e5, end: float = 1e5) -> float:
    """Return how much of an input was given, in its own unit × min if it is per hour."""
    return round(float(record.inputs[name].amount(begin, end)), 6) if name in record.inputs else 0.0
