"""Rows of what was given or set: from orders as they are charted to an input's history, every row accounted for."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..patient import units
from ..patient.inputs import Inputs
from ._rows import Declared, Entry, Row

_AGREE = 0.02  # an amount and its rate x duration, both rounded in a chart; setting
_YES, _NO = ("true", "1", "1.0", "yes", "y"), ("false", "0", "0.0", "no", "n")
# Labels of norepinephrine state the salt at twice the base: 337.3 g/mol of bitartrate monohydrate for 169.2 of base.
SALTS = {"norepinephrine": {"base": 1.0, "tartrate": 2.0}}


@dataclass(frozen=True)
class _Given:
    """One row as an interval; `end` is NaN where the row has none."""

    row: Row
    start: float
    end: float
    rate: float
    unit: str
    bolus: bool
    order: str
    known: float

    @property
    def column(self) -> str:
        """Where its size stands."""
        return next(name for name in ("rate", "amount", "value") if name in self.row)


def history_of(
    name: str, rows: Sequence[Row], declared: Declared, weight: float | None
) -> tuple[Inputs, list[Entry], tuple[str, ...]]:
    """Return one input's history, what became of each row, and what was decided where the table does not say.

    Parameters
    ----------
    name : str
        The input.
    rows : sequence of Row
    declared : Declared
    weight : float or None
        kg, where some rows are per kilogram and others are not.

    Returns
    -------
    inputs : Inputs
    entries : list of Entry
    notes : tuple of str

    Raises
    ------
    ValueError
        Naming row, column and remedy.
    """
    entry = units.VOCABULARY.get(name) if name not in declared.own else None
    setting = entry is not None and entry.setting
    given = [_given(row, declared, entry) for row in rows]
    unit = next((one.unit for one in given if not one.bolus), given[0].unit)
    given = [_in_unit(one, unit, weight) for one in given]
    given, entries = _once(given)
    given = _apart(given, setting)
    _refuse_contradictions(given, setting)
    given, notes = _ended(name, given, setting, declared)
    if entry is not None and (weight is not None or not units.per_weight(unit)):
        _require_plausible(name, given, unit, weight)
    columns = {key: np.array([getattr(one, key) for one in given]) for key in ("start", "end", "rate", "bolus")}
    inputs = Inputs.infusions(
        name,
        columns["start"],
        columns["end"],
        columns["rate"],
        unit,
        bolus=columns["bolus"],
        order=[one.order for one in given],
        known=np.array([one.known for one in given]),
        own=declared.own,
    )
    return inputs, entries, notes


def _given(row: Row, declared: Declared, entry: Any) -> _Given:
    """Return what one row gave, as a rate from its start to its end."""
    level = entry is not None and not units.per_time(entry.unit)  # PEEP, or legs raised
    if math.isnan(row.time):
        raise row.fault("time", "is empty: an input begins at a time.")
    sizes = [name for name in ("rate", "amount", "value") if name in row]
    if not sizes:
        raise row.fault("rate", "is empty: write the rate, 0 where it was stopped.")
    end = row.times.get("end", math.nan)
    size, unit = row.number_in(sizes[0]), _unit(row, sizes[0], declared, entry)
    if size < 0:
        raise row.fault(sizes[0], f"must be 0 or more, but holds {size:g}: what is given to a patient has no sign.")
    size, unit = _undiluted(row, size, unit, declared, entry)
    size /= salt_factor(row.variable, declared.salts.get(row.variable))
    order, known = _order(row), row.known
    if known < row.time:
        raise row.fault("known", "is before the row began: a plan is no record of what was given.")
    if level or units.per_time(unit):
        if end <= row.time:
            raise row.fault("end", f"must be after the start, but lies {row.time - end:g} min before it: check both.")
        if "amount" in row and sizes[0] == "rate":
            _require_agreement(row, size, unit, end)
        return _Given(row, row.time, end, size, unit, _says_bolus(row) and not level, order, known)
    if end < row.time:
        raise row.fault("end", f"must not be before the start, but lies {row.time - end:g} min before it: check both.")
    if math.isinf(end):
        raise row.fault("end", f"is endless, but {unit} is an amount: give the time it took.")
    length = end - row.time if end > row.time else declared.bolus_duration
    return _Given(row, row.time, row.time + length, size / length, f"{unit}/min", True, order, known)


def _unit(row: Row, column: str, declared: Declared, entry: Any) -> str:
    own = {"rate": "rate_unit", "amount": "amount_unit"}.get(column, "unit")
    written = row.cells.get(own, row.cells.get("unit"))
    like = entry.unit if entry else "U/h"
    if not isinstance(written, str):
        raise row.fault("unit", f"is empty: {row.variable} has no unit, declare one such as {like!r}.")
    if column == "amount" and own not in row and units.per_time(written):
        raise row.fault("amount", f"is in {written}, which is a rate: name it rate, or give an amount_unit.")
    unit = units.normalize(written)
    if entry is None or _flow(unit):
        return unit
    target = like
    if not units.per_time(unit) and units.per_time(like):
        target = like.rsplit("/", 1)[0]
    probe = unit.replace("/kg", "")  # whether a weight is known is judged later
    row.attempt("unit", lambda: units.check(probe, like=target, variable=row.variable))
    return unit


def _flow(unit: str) -> bool:
    return unit.split("/")[0] in ("mL", "L")


def _undiluted(row: Row, size: float, unit: str, declared: Declared, entry: Any) -> tuple[float, str]:
    """Return a volume of a drug as what is in it."""
    if entry is None or not _flow(unit) or _flow(entry.unit):
        return size, unit
    if row.variable not in declared.concentrations:
        raise row.fault(
            "unit",
            f"is a volume, which is no dose without its concentration: say e.g. "
            f"concentrations={{{row.variable!r}: (1.0, '{entry.unit.split('/')[0].removeprefix('m')}/mL')}}.",
        )
    strength, per = declared.concentrations[row.variable]
    solute, _, volume = units.normalize(per).partition("/")
    if not strength > 0 or volume not in ("mL", "L", "dL"):
        raise ValueError(
            f"Argument `concentrations` of {row.variable} must be above zero and in a unit of drug per volume, such as "
            f"U/mL, but is {strength:g} {per!r}: of 4 mg in 50 mL say (0.08, 'mg/mL')."
        )
    _, _, rest = unit.partition("/")
    tail = f"/{rest}" if rest else ""
    return size * strength * float(units.convert(1.0, unit, f"{volume}{tail}")), f"{solute}{tail}"


def salt_factor(drug: str, salt: str | None) -> float:
    """Return by how much a drug charted as a salt exceeds its base.

    Raises
    ------
    ValueError
        If the drug has no salts here, or not this one.
    """
    if salt in (None, "base"):
        return 1.0
    known = SALTS.get(drug, {})
    if salt not in known:
        raise ValueError(
            f"Salt {salt!r} of {drug} is not known: it must be {' or '.join(known)}."
            if known
            else f"{drug} has no salts to choose from, but {salt!r} was given: leave it out."
        )
    return known[salt]


def _require_agreement(row: Row, rate: float, unit: str, end: float) -> None:
    """Refuse an amount that is not what its rate gives over its time."""
    if not math.isfinite(end):
        return
    amount = row.number_in("amount")
    per, _, time = unit.rpartition("/")
    written = row.cells.get("amount_unit", per)
    expected = rate * float(units.convert(1.0, "min", time)) * (end - row.time) if time in ("s", "h", "d", "min") else 0
    found = float(row.attempt("amount", lambda: units.convert(amount, str(written), per, variable=row.variable)))
    if abs(found - expected) > _AGREE * max(abs(expected), abs(found)):
        raise row.fault(
            "amount",
            f"does not agree with its rate over {end - row.time:g} min ({found:g} and {expected:g} {per}): mend the "
            "one that is wrong, or leave out the amount.",
        )


def _order(row: Row) -> str:
    text = str(row.cells.get("order", "")).strip()
    return text.removesuffix(".0") if text.replace(".", "", 1).isdigit() else text


def _says_bolus(row: Row) -> bool:
    text = str(row.cells.get("bolus", "no")).strip().lower()
    if text not in (*_YES, *_NO):
        raise row.fault("bolus", "must be true or false.")
    return text in _YES


def _in_unit(one: _Given, unit: str, weight: float | None) -> _Given:
    if one.unit == unit:
        return one
    name = one.row.variable
    rate = one.row.attempt("unit", lambda: units.convert(one.rate, one.unit, unit, variable=name, weight=weight))
    return replace(one, rate=float(rate), unit=unit)


def _once(given: list[_Given]) -> tuple[list[_Given], list[Entry]]:
    """Return each row once: what is charted twice in every respect was given once."""
    seen: dict[tuple[Any, ...], int] = {}
    kept: list[_Given] = []
    entries: list[Entry] = []
    for one in given:
        key = (one.start, None if math.isnan(one.end) else one.end, one.rate, one.bolus, one.order)
        if key not in seen:
            seen[key] = len(kept)
            kept.append(one)
            continue
        first = kept[seen[key]]
        entries.append(Entry(one.row, "merged", "the same row twice counts once"))
        kept[seen[key]] = replace(first, known=min(first.known, one.known))
    return kept, [Entry(one.row, "used") for one in kept] + entries


def _apart(given: list[_Given], setting: bool) -> list[_Given]:
    """Return rows whose order is named: all are one order where none is, and each is its own beside named ones.

    Raises
    ------
    ValueError
        If two rows without a name run at one time beside named ones: whether they add or replace each other is not
        said.
    """
    bare = [one for one in given if not one.order]
    if setting or len(bare) in (0, len(given)):
        return [one if one.order else replace(one, order="#1") for one in given]
    running = sorted((one for one in bare if not one.bolus), key=lambda one: one.start)
    for one, after in itertools.pairwise(running):
        if not after.start >= one.end:
            raise after.row.fault(
                "order",
                f"is empty, as it is in row {one.row.number}, which still runs then: name the order of both, the same "
                "if this row replaces that one, another if it is given beside it.",
            )
    names = (f"#{number}" for number in itertools.count(1))
    return [one if one.order else replace(one, order=next(names)) for one in given]


def _refuse_contradictions(given: list[_Given], setting: bool) -> None:
    """Refuse rows of one order that begin together and differ: no rule says which of them ran."""
    seen: dict[tuple[Any, ...], _Given] = {}
    for one in given:
        if one.bolus:
            continue
        key = (one.start, one.known, "" if setting else one.order)
        other = seen.setdefault(key, one)
        if other is not one and (one.rate != other.rate or not setting):
            what = "two different settings" if setting else "two different rates of one order"
            remedy = "keep the one that was in force" if setting else "keep one, or name the order of each row"
            raise one.row.fault(one.column, f"contradicts row {other.row.number}: {one.row.variable} has {what} at "
                                            f"{one.start:g} min, {remedy}.")  # fmt: skip


def _ended(name: str, given: list[_Given], setting: bool, declared: Declared) -> tuple[list[_Given], tuple[str, ...]]:
    """Return rows with ends: one that has none holds until the next of its order, the last where it says so."""
    ended, held, running = [], 0, 0
    for one in given:
        if not math.isnan(one.end):
            ended.append(one)
            continue
        followed = any(
            other.start > one.start and (setting or other.order == one.order) for other in given if not other.bolus
        )
        if not (setting or followed or one.rate == 0 or declared.ends == "next"):
            raise one.row.fault(
                "end",
                f"is empty: {name} in {one.unit} from {one.start:g} min has no end and no later row of its order: give "
                'an end, inf if it is still running, a row with rate 0, or say ends="next".',
            )
        held, running = held + followed, running + (not followed and one.rate > 0)
        ended.append(replace(one, end=math.inf))
    if setting or not held + running:
        return ended, ()
    said = [f"{held} hold until the next of their order"] * (held > 0) + [f"{running} still runs"] * (running > 0)
    return ended, (f"{name}, rows without an end: {', '.join(said)}.",)


def _require_plausible(name: str, given: list[_Given], unit: str, weight: float | None) -> None:
    """Refuse a size that nobody gives, naming its row; a dose may hold an hour of the highest rate."""
    sizes = np.array([one.rate * min((one.end - one.start) / 60, 1.0) if one.bolus else one.rate for one in given])
    labels = [one.row.label for one in given]
    units.require_plausible(name, sizes, unit, weight=weight, labels=labels)
