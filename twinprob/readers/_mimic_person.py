"""What is fixed about one MIMIC patient: weight, height, age, sex, diabetic status, and a token for the person."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from ..patient import suspicion, units
from ..patient.series import Covariate
from ._fates import Fates
from ._mimic_items import HEIGHT, WEIGHT
from ._mimic_measured import View
from ._weighed import APART, weighed

if TYPE_CHECKING:
    import pandas as pd

    from ..patient.ledger import Line
    from ._mimic_tables import Tables

POUND, INCH = 0.45359237, 2.54
CLOSE = 0.06  # a reading `APART` from the others, but so near to them by a factor of unit, is in that unit; setting


def token(source: str, person: Any) -> str:
    """Return what is the same for all stays of one person and tells nothing else."""
    return hashlib.sha256(f"{source}\0{person}".encode()).hexdigest()[:16]


def covariates(tables: Tables, stay: pd.Series, chart: View, ordered: np.ndarray) -> tuple[dict[str, Any], list[Line]]:
    """Return what is fixed about a patient, and what became of the rows that say it.

    Parameters
    ----------
    tables : Tables
    stay : Series
    chart : View
    ordered : (row,) kg
        Weights that pumps were set to: they judge the weights charted, and stand in where none was.

    Returns
    -------
    found : dict
        As `Record.build` takes them.
    lines : list of Line
    """
    found: dict[str, Any] = {}
    lines: list[Line] = []
    pumps = ordered[np.isfinite(ordered) & (ordered > 25)]
    pump = float(np.median(pumps)) if pumps.size else np.nan
    for name, unit, items, factor in (("weight", "kg", WEIGHT, POUND), ("height", "cm", HEIGHT, INCH)):
        given, fates = _fixed(chart, name, unit, items, factor, pump if name == "weight" else np.nan)
        lines += fates.lines()
        if given:
            found[name] = given
    if "weight" not in found and np.isfinite(pump):
        found["weight"] = (pump, "kg")
    if np.isfinite(stay["age"]):
        found["age"] = (float(stay["age"]), "year")
    if str(stay["sex"]).upper() in ("F", "M"):
        found["sex"] = "female" if str(stay["sex"]).upper() == "F" else "male"
    status = _diabetic_status(tables, stay)
    return {**found, **({"diabetic_status": status} if status else {})}, lines


def _fixed(
    chart: View, name: str, unit: str, items: dict[int, float], factor: float, other: float
) -> tuple[tuple[Any, ...], Fates]:
    """Return a weight near the start with its changes, or the most trusted height, and what became of all readings."""
    some = chart.select(np.isin(chart.item, list(items)))
    values = some.number * np.array([items[item] for item in some.item.tolist()], float)
    fates = Fates(some.source, name, some.row, some.time)
    fates.aside(some.error, "charted as an error")
    fates.aside(~np.isfinite(values), "not a number")
    fates.aside(~np.isfinite(some.time), "no time")
    with np.errstate(invalid="ignore"):
        inches = (values >= 48) & (values <= 84) if name == "height" else np.zeros(values.size, bool)
    if inches.any() and not np.any((values > 100) & fates.left):
        fates.remark(inches, "taken for inches")
        values = np.where(inches, values * INCH, values)
    fates.aside(~units.plausible(name, np.nan_to_num(values, nan=-1.0), unit) | ~(values > 25), "implausible")
    _judge(values, other, factor, fates)
    places = np.flatnonzero(fates.left)
    if not places.size:
        return (), fates
    if name == "weight":
        told = weighed(some.time[places], values[places])
        fates.merge(places[told.again], "says what was known")
        fates.remark(places[~told.near & ~told.again], "charted again: a change in the stay")
        return (told.value, unit, told.changes), fates
    trust = np.array([list(items).index(item) for item in some.item[places].tolist()])
    best = places[np.lexsort((some.time[places], trust))[0]]
    return (float(values[best]), unit), fates


def _judge(values: np.ndarray, other: float, factor: float, fates: Fates) -> None:
    """Set aside readings far from the median of all; of two that differ by a unit's factor, the one in that unit."""
    readings = np.append(values[fates.left], other if np.isfinite(other) else [])
    distinct = np.unique(readings)
    if distinct.size < 2:
        return
    low, high = float(readings.min()), float(readings.max())
    middle = float(np.median(readings))
    if readings.size == 2:
        if abs(high / low * factor - 1.0) > CLOSE:
            return
        middle = low  # a weight in pounds charted as kilograms, the usual mistake
    with np.errstate(invalid="ignore", divide="ignore"):
        far = np.abs(values / middle - 1.0) > APART
        pounds = far & (np.abs(values * factor / middle - 1.0) <= CLOSE)
    fates.aside(pounds, "in another unit than charted, as the other readings say")
    fates.aside(far, "far from the other readings")


def _diabetic_status(tables: Tables, stay: pd.Series) -> str | None:
    """Read ICD-9 250.x1 and 250.x3 as type 1, 250.x0 and 250.x2 as type 2, ICD-10 E10 and E11; None without codes."""
    if tables.diagnoses is None:
        return None
    codes = tables.diagnoses[tables.diagnoses["admission"] == stay["admission"]]["code"].astype("str").str.strip()
    if codes.empty:
        return None
    if any(code.startswith("E10") or (code.startswith("250") and code[4:5] in ("1", "3")) for code in codes):
        return "type1"
    return "type2" if any(code.startswith(("E11", "250")) for code in codes) else "none"


def without_doubted(fixed: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Leave out a weight or height that fits better in another unit, and say so: one number refuses no stay."""
    kept, said = dict(fixed), []
    for name in ("height", "weight"):
        body: dict[str, Any] = {n: Covariate(*kept[n][:2]) for n in ("weight", "height", "age") if n in kept}
        try:
            suspicion.require_usual_body(body)
        except ValueError as doubt:
            if name in kept and str(doubt).startswith(name):
                del kept[name]
                said.append(f"The {name} charted is left out: in another unit it would be usual.")
    return kept, tuple(said)
