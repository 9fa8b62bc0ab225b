"""The ventilated part of MIMIC: settings, pressures, blood gases, saturation; the III and the IV table layout.

Times are differences to the stay's admission, so the shifted dates (years 2100 to 2211) never enter.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..patient import units
from ..patient.frozen import Frozen
from ..patient.inputs import Inputs
from ..patient.ledger import Ledger
from ..patient.record import Record
from ._mimic_tables import HEIGHT, WEIGHT, Tables, _stays, _table
from ._ventilation_items import ARTERIAL, GASES, MEASURED, SETTINGS, SPECIMEN, Charted
from .mimic import _covariates, _minutes, _texts

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["NAMES", "load", "read", "stays"]

NAMES = (*MEASURED, *SETTINGS)  # what a record of this reader may hold
HOLD = 24 * 60.0  # min; how long a setting is taken to hold without another row, a setting of this library
SAME = 61.0  # min; within which a charted gas with the laboratory's value is its copy (summer time is an hour)

_CHART = {"icustay_id": "stay", "itemid": "item", "charttime": "time", "valuenum": "number", "error": "error"}
_LAB = {"subject_id": "subject", "itemid": "item", "charttime": "time", "value": "text", "valuenum": "number"}


def load(folder: str | PathLike[str]) -> Tables:
    """Load the rows this reader uses, from the III layout or from the IV layout (folders ``icu`` and ``hosp``).

    Parameters
    ----------
    folder : path
        With ``.csv`` or ``.csv.gz`` files, column names in lower or upper case.

    Returns
    -------
    tables : Tables
        To be passed to `read` and `stays`.

    Raises
    ------
    FileNotFoundError
        If the table of stays, of patients or of charted events is missing.
    """
    root = Path(folder)
    files = {
        path.name.lower().split(".")[0]: path
        for sub in ("hosp", "icu", ".")
        for path in sorted((root / sub).glob("*.csv*"))
    }
    for needed in ("icustays", "patients", "chartevents"):
        if needed not in files:
            raise FileNotFoundError(
                f"No table {needed}.csv or {needed}.csv.gz in the MIMIC folder, its icu or its hosp folder."
            )
    charted = [*MEASURED.values(), *(one for pair in SETTINGS.values() for one in pair if one is not None)]
    return Tables(
        _stays(files),
        _table(files["chartevents"], _CHART, {*(i for one in charted for i in one.items), *WEIGHT, *HEIGHT}),
        _table(files.get("labevents"), _LAB, {*GASES.values(), SPECIMEN}),
        _table(None, {}),
        _table(None, {}),
        None,
        Frozen({}),  # type: ignore[arg-type]
    )


def stays(folder: str | PathLike[str] | Tables) -> pd.DataFrame:
    """List the ICU stays.

    Parameters
    ----------
    folder : path or Tables
        As for `read`.

    Returns
    -------
    stays : DataFrame
        Columns stay, hours (length), plateau (pressures charted), peep (settings charted); most plateaus first.
    """
    tables = folder if isinstance(folder, Tables) else load(folder)
    table, chart = tables.stays, tables.chart
    listed = table[["stay"]].assign(hours=(table["outtime"] - table["intime"]) / np.timedelta64(1, "s") / 3600)
    for name, items in (("plateau", MEASURED["plateau_pressure"].items), ("peep", _either("peep").items)):
        counts = chart[chart["item"].isin(items)].groupby("stay").size()
        listed[name] = counts.reindex(table["stay"], fill_value=0).to_numpy()
    return listed.sort_values("plateau", ascending=False, ignore_index=True, kind="stable")


def read(
    folder: str | PathLike[str] | Tables, stay: int, *, lead: float | str = "30 min", until: float | str | None = None
) -> Record:
    """Read the ventilation of one ICU stay.

    Settings (PEEP, tidal volume, rate, inspired oxygen) become inputs; plateau, peak and mean airway pressure, the
    tidal volume as measured, arterial blood gases (each once, from laboratory and chart) and pulse oximetry become
    observations. t = 0 is ICU admission.

    Parameters
    ----------
    folder : path or Tables
        The folder, or what `load` returned: reading many stays then reads the files once.
    stay : int
        ICUSTAY_ID or stay_id.
    lead : float or str, min
        How long before its first row a new setting is taken to have been in force, though never as early as the row
        before: what is charted together was so together.
    until : float or str, min, optional
        Use only rows charted by then.

    Returns
    -------
    record : Record
        `record.skipped` counts rows left out, and why. A plateau that is not above the PEEP charted with it is left
        out. Equal times with different values are averaged.

    Raises
    ------
    ValueError
        If the stay does not exist, nothing was measured in it, or `lead` is negative.

    Notes
    -----
    The tidal volume and the rate are the *set* ones where they are charted, else what was measured at the time: one
    reading of an expired volume scatters by a tenth around what the ventilator delivers. Inspired oxygen is charted
    as a fraction by CareVue and in percent by MetaVision; 40 becomes 0.4. A setting holds until its next row, for at
    most `HOLD`. Because of `lead`, cut a record with `until=` here and not with `Record.until`, where the last
    setting before a row must stay hidden; both hide every measurement.
    """
    tables = folder if isinstance(folder, Tables) else load(folder)
    found = tables.stays[tables.stays["stay"] == stay]
    if found.empty:
        raise ValueError("Argument `stay` must be a stay of the folder; `stays(folder)` lists them.")
    ahead = units.minutes(lead)
    if ahead < 0:
        raise ValueError(f"Argument `lead` must not be negative, but is {ahead:g} min.")
    row = found.iloc[0]
    now = np.inf if until is None else units.minutes(until)
    chart = tables.chart[tables.chart["stay"] == stay]
    chart = chart[_minutes(chart["time"], row) <= now]
    lost: dict[str, list[float]] = {}
    measured = {name: _values(chart, row, name, charted, lost) for name, charted in MEASURED.items()}
    for name, item in GASES.items():
        measured[name] = _with_laboratory(tables, row, name, item, measured[name], now, lost)
    settings = {name: _setting(chart, row, name, lost) for name in SETTINGS}
    _above_peep(measured, settings["peep"], lost)
    inputs = _inputs(settings, ahead)
    return Record.build(
        {name: (*pair, _unit(name)) for name, pair in measured.items()},
        inputs,
        _covariates(tables, row),
        ledger=Ledger.of_reasons(lost),
        end=None if until is None else max(now, 0.0),
    )


def _unit(name: str) -> str:
    return "L" if name == "expired_tidal_volume" else MEASURED[name].unit


def _either(name: str) -> Charted:
    return SETTINGS[name][0]


def _values(
    chart: pd.DataFrame, row: pd.Series, name: str, charted: Charted, lost: dict[str, list[float]]
) -> tuple[np.ndarray, np.ndarray]:
    """Return times and plausible values of one variable, one value per time, in the unit of the vocabulary."""
    some = chart[chart["item"].isin(charted.items)]
    times, values = _minutes(some["time"], row), some["number"].to_numpy(float)
    if charted.unit == "mL":
        values = values / 1000.0
    if name == "inspired_oxygen":
        values = np.where(values > 1.0, values / 100.0, values)
    sensible = units.plausible(name, np.nan_to_num(values, nan=-1.0), "L" if charted.unit == "mL" else charted.unit)
    reasons = np.select(
        [some["error"].fillna(0).to_numpy(float) == 1, ~np.isfinite(values), ~np.isfinite(times), ~sensible],
        ["charted as an error", "not a number", "no time", "implausible"],
        default="",
    )
    for why in np.unique(reasons[reasons != ""]):
        lost.setdefault(f"{name}: {why}", []).extend(times[reasons == why])
    return _averaged(name, times[reasons == ""], values[reasons == ""], lost)


def _averaged(
    name: str, times: np.ndarray, values: np.ndarray, lost: dict[str, list[float]]
) -> tuple[np.ndarray, np.ndarray]:
    moments, which, count = np.unique(times, return_inverse=True, return_counts=True)
    why = f"{name}: averaged with another value at the same time"
    lost.setdefault(why, []).extend(np.repeat(moments, count - 1))
    return moments, np.bincount(which, values, moments.size) / np.maximum(count, 1)


def _with_laboratory(
    tables: Tables, row: pd.Series, name: str, item: int, charted, now: float, lost: dict[str, list[float]]
) -> tuple[np.ndarray, np.ndarray]:
    """Add the laboratory's arterial gases that the chart does not repeat; another specimen is counted, not used."""
    labs = tables.labs[(tables.labs["subject"] == row["subject"])]
    labs = labs[(labs["time"] >= row["intime"]) & (labs["time"] <= row["outtime"])]
    labs = labs[_minutes(labs["time"], row) <= now]
    blood = labs[labs["item"] == SPECIMEN]
    other = blood[~_texts(blood["text"]).str.upper().str.startswith(ARTERIAL)]["time"]
    mine = labs[(labs["item"] == item) & labs["number"].notna()]
    venous = mine["time"].isin(other).to_numpy()
    lost.setdefault(f"{name}: not arterial blood", []).extend(_minutes(mine["time"][venous], row))
    mine = mine[~venous]
    drawn, values = _minutes(mine["time"], row), mine["number"].to_numpy(float)
    fine = units.plausible(name, values, MEASURED[name].unit)
    lost.setdefault(f"{name}: implausible", []).extend(drawn[~fine])
    times, seen = charted
    # The chart's clock may be an hour ahead of the laboratory's: see `twinprob.readers.mimic`.
    apart = times[None, :] - drawn[:, None]
    copied = np.any((seen[None, :] == values[:, None]) & (apart >= 0.0) & (apart <= SAME), axis=1)
    lost.setdefault(f"{name}: laboratory value charted again", []).extend(drawn[copied & fine])
    new = fine & ~copied
    return _averaged(name, np.append(times, drawn[new]), np.append(seen, values[new]), lost)


def _setting(
    chart: pd.DataFrame, row: pd.Series, name: str, lost: dict[str, list[float]]
) -> tuple[np.ndarray, np.ndarray]:
    """Return when a setting was charted and its value; what was measured stands in where none was."""
    first, second = SETTINGS[name]
    times, values = _values(chart, row, name, first, lost)
    if second is None:
        return times, values
    # What the reader leaves out of the measured values is counted where they are observations.
    others, measured = _values(chart, row, name, second, {})
    alone = ~np.isin(others, times)
    order = np.argsort(np.append(times, others[alone]), kind="stable")
    return np.append(times, others[alone])[order], np.append(values, measured[alone])[order]


def _above_peep(measured: dict[str, tuple[np.ndarray, np.ndarray]], peep, lost: dict[str, list[float]]) -> None:
    """Leave out plateau and peak pressures that are not above the PEEP charted with them."""
    for name in ("plateau_pressure", "peak_pressure"):
        times, values = measured[name]
        there = np.isin(times, peep[0])
        below = np.zeros(times.size, bool)
        below[there] = values[there] <= peep[1][np.searchsorted(peep[0], times[there])]
        lost.setdefault(f"{name}: not above PEEP", []).extend(times[below])
        measured[name] = times[~below], values[~below]


def _inputs(settings: dict[str, tuple[np.ndarray, np.ndarray]], lead: float) -> Inputs:
    """Let each setting hold from shortly before its row to shortly before the row that changes it."""
    rows = np.unique(np.concatenate([times for times, _ in settings.values()]))
    inputs = Inputs()
    for name, (times, values) in settings.items():
        if not times.size:
            continue
        place = np.searchsorted(rows, times)
        before = np.where(place > 0, rows[np.maximum(place - 1, 0)] + 1.0, -np.inf)
        starts = np.minimum(np.maximum(times - lead, before), times)
        ends = np.minimum(np.append(starts[1:], np.inf), times + HOLD)
        unit = "L" if name == "tidal_volume" else _either(name).unit
        inputs = inputs | Inputs.infusions(name, starts, ends, values, unit)
    return inputs
