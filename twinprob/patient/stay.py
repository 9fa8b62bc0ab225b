"""Continue one patient's record with what streams bring: new and late values, repeats, corrections, inputs."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from .input_rows import Rows, continued, reweighed
from .inputs import Inputs
from .ledger import Fate, Ledger, Line
from .record import Covariate, Record, Series
from .units import convert

_LARGEST_CHANGE = 0.25  # of a covariate within one stay, a setting: more is another patient, or another unit
_ROUNDING = 5e-4  # of a covariate; what is written in another unit, rounded, says the same; setting
_STEADY = "begun before the declared start, taken as in steady state there"


@dataclass(frozen=True)
class Joined:
    """One patient's record with the new data in it.

    Attributes
    ----------
    record : Record
    since : float, min
        What holds up to this time is as it was, measurements at it included; infinity where no past changed.
    brought : mapping of str to int
        What the new data were, by kind: "values" and, of them, "late values"; "repeated", "corrected"; "input rows",
        "late input rows"; "repeated input rows", "withdrawn input rows", "ended"; "covariates".
    notes : tuple of str
        Sentences about what was replaced.
    """

    record: Record
    since: float
    brought: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def join(record: Record, new_data: Record) -> Joined:
    """Continue a record.

    Parameters
    ----------
    record : Record
    new_data : Record
        See `update`.

    Returns
    -------
    joined : Joined

    Raises
    ------
    ValueError
        As `update`.
    """
    _check_origin(record, new_data)
    brought: Counter[str] = Counter()
    before, covariates, notes = _properties(record, new_data, brought)
    observations, since, ledger = dict(record.observations), math.inf, record.ledger
    theirs = _without_steady(new_data.ledger)
    for name, series in new_data.observations.items():
        if name not in observations:
            observations[name] = series
            merged = Merged(series, series.times)
        else:
            merged = _merged(name, observations[name], series, new_data.end)
            observations[name] = merged.series
        theirs = _moved(theirs, name, merged.repeated, "merged", "repeats what the twin has seen")
        ledger = _moved(ledger, name, merged.corrected, "set aside", "corrected")
        since = min([since, *(_just_before(float(time)) for time in merged.fresh[:1])])
        brought["values"] += len(merged.fresh) - len(merged.corrected)
        brought["late values"] += int(np.sum(merged.fresh <= record.end)) - len(merged.corrected)
        brought["repeated"] += len(merged.repeated)
        brought["corrected"] += len(merged.corrected)
        if len(merged.corrected):
            notes += (f"{len(merged.corrected)} of {name} corrected: the later values stand.",)
    rows = continued(before, new_data, record)
    brought.update(rows.brought)
    brought = +brought
    if not brought and new_data.end <= record.end and rows.changed == math.inf:
        raise ValueError(
            f"The new data hold nothing new: no measurement, no changed input, and their end ({new_data.end:g} min) is "
            f"not after the twin's present ({record.end:g} min)."
        )
    joined = replace(
        record,
        observations=observations,
        inputs=rows.inputs,
        covariates=covariates,
        end=max(record.end, new_data.end),
        ledger=_with_rows(ledger + theirs, rows),
    )
    return Joined(joined, min(since, rows.changed), dict(brought), notes)


def _just_before(time: float) -> float:
    return float(np.nextafter(time, -math.inf))


def _check_origin(record: Record, new_data: Record) -> None:
    first = min((float(s.times[0]) for s in new_data.observations.values() if len(s.times)), default=new_data.end)
    if first < record.start or new_data.end < record.start:
        raise ValueError(
            f"The new data reach back to {min(first, new_data.end):g} min, before the twin's origin at {record.start:g}"
            " min: fit a twin to the whole record instead."
        )
    if record.origin is not None and new_data.origin is not None and record.origin != new_data.origin:
        raise ValueError(
            "The new data count from another moment than the twin's record: read them with its origin, such as "
            "`read_tidy(table, origin=twin.record.origin)`."
        )
    if record.person and new_data.person and record.person != new_data.person:
        raise ValueError("The new data are of another person than the twin: update the twin of that person.")


# ---- properties ----------------------------------------------------------------------------------------------------


def _properties(
    record: Record, new_data: Record, brought: Counter[str]
) -> tuple[Inputs, dict[str, Covariate], tuple[str, ...]]:
    """Return the old inputs and the covariates from now on, and what changed in words."""
    covariates, notes, inputs = dict(record.covariates), [], record.inputs
    for name, given in new_data.covariates.items():
        old = covariates.get(name)
        if old is not None and _same(name, old, given):
            covariates[name] = _recharted(name, old, given)
            continue
        covariates[name] = given
        brought["covariates"] += 1
        if old is None:
            notes.append(f"{name} became known at {record.end / 60:.2f} h.")
            continue
        _check_change(name, old, given)
        notes.append(
            f"{name} is {given.value:g} {given.unit} from {record.end / 60:.2f} h on ({old.value:g} {old.unit} before)."
        )
        if name == "weight" and record.weight is not None:
            weight = float(convert(float(given.value), given.unit or "", "kg"))
            inputs = reweighed(inputs, record.end, record.weight, weight)
    return inputs, covariates, tuple(notes)


def _check_change(name: str, old: Covariate, given: Covariate) -> None:
    """Refuse a property that no patient changes within a stay."""
    change = math.inf
    if not isinstance(old.value, str) and not isinstance(given.value, str):
        change = abs(_in_unit(name, given, old.unit) / float(old.value) - 1.0) if old.value else math.inf
    if change > _LARGEST_CHANGE:
        how = "" if math.isinf(change) else f" by {change:.0%}"
        raise ValueError(
            f"Covariate `{name}` of the new data differs from the twin's{how}: is this another patient, or another "
            f"unit? A number may change by {_LARGEST_CHANGE:.0%} and then holds from the twin's present on; else fit a "
            "new twin."
        )


def _recharted(name: str, old: Covariate, given: Covariate) -> Covariate:
    """Return a property with the changes of both; each counts once."""
    theirs = ((time, _in_unit(name, replace(given, value=value), old.unit)) for time, value in given.changes)
    return replace(old, changes=tuple(sorted({**dict(old.changes), **dict(theirs)}.items())))


def _same(name: str, mine: Covariate, given: Covariate) -> bool:
    if isinstance(mine.value, str) or isinstance(given.value, str):
        return mine.value == given.value
    return math.isclose(_in_unit(name, given, mine.unit), float(mine.value), rel_tol=_ROUNDING)


def _in_unit(name: str, given: Covariate, unit: str | None) -> float:
    value = given.value if unit == given.unit else convert(given.value, given.unit or "", unit or "", variable=name)
    return float(value)


# ---- measurements --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Merged:
    """One variable's values of both records.

    Attributes
    ----------
    series : Series
    fresh : (time,) min, when the values were taken that the twin has not heard so, corrected ones included
    repeated, corrected : (time,) min, when the values were known that say the same again, or that no longer stand
    """

    series: Series
    fresh: np.ndarray
    repeated: np.ndarray = field(default_factory=lambda: np.zeros(0))
    corrected: np.ndarray = field(default_factory=lambda: np.zeros(0))


def _merged(name: str, old: Series, new: Series, end: float) -> Merged:
    """Join two series in order of time: a repeat counts once, a value known later replaces the one it corrects."""
    values = np.asarray(convert(new.values, new.unit, old.unit, variable=name), float)
    places = np.searchsorted(old.times, new.times)
    known = new.known.copy()
    again, replaced = np.zeros(len(new.times), bool), np.zeros(len(old.times), bool)
    for i, place in enumerate(places):
        if place == len(old.times) or old.times[place] != new.times[i]:
            continue
        if math.isclose(values[i], old.values[place], rel_tol=1e-6) and old.limits[place] == new.limits[i]:
            again[i] = True
            continue
        # New data are known at their end at the latest: that is when a correction without a time of its own came.
        known[i] = known[i] if known[i] > old.known[place] else max(known[i], end)
        if not known[i] > old.known[place]:
            raise ValueError(
                f"`{name}` at {new.times[i]:g} min contradicts a measurement that the twin has seen already; if it "
                "corrects that one, say when it was known: `(times, values, unit, None, known)`."
            )
        replaced[place] = True
    kept, added = old.select(~replaced), ~again
    order = np.argsort(np.concatenate([kept.times, new.times[added]]), kind="stable")
    columns = ((kept.times, new.times), (kept.values, values), (kept.limits, new.limits), (kept.known, known))
    times, numbers, limits, moments = (np.concatenate([mine, yours[added]])[order] for mine, yours in columns)
    series = Series(times, numbers, old.unit, limits, moments)
    return Merged(series, new.times[added], new.known[again], old.known[replaced])


# ---- the account of rows -------------------------------------------------------------------------------------------


def _without_steady(ledger: Ledger) -> Ledger:
    """Leave out what the new data's own start meant: the joined record starts where the old one does."""
    return Ledger(tuple(line for line in ledger if line.reason != _STEADY))


def _moved(ledger: Ledger, variable: str, times: np.ndarray, fate: Fate, reason: str) -> Ledger:
    """Give rows of one variable another fate: those that were used are counted once, not twice."""
    if not len(times):
        return ledger
    lines, found = [], Line("", variable, fate, reason, np.zeros(0), times)
    for line in ledger:
        if line.variable == variable and line.fate == "used":
            taken = np.isin(line.times, times)
            if taken.any():
                found = Line(line.source, variable, fate, reason, line.rows[taken], line.times[taken])
                line = line.select(~taken)
        lines.append(line)
    return Ledger((*lines, found))


def _with_rows(ledger: Ledger, rows: Rows) -> Ledger:
    for name, times in rows.repeated.items():
        ledger = ledger.noted(name, "repeats an input row the twin has seen", times, fate="merged")
    return ledger
