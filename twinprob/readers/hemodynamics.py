"""The hemodynamic part of MIMIC: pressures, flows, vasopressors and fluids; the III and the IV table layout.

Times are differences to the stay's admission, so the shifted dates (years 2100 to 2211) never enter.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..patient import units
from ..patient.course import Course
from ..patient.inputs import Inputs
from ..patient.ledger import Ledger
from ..patient.record import Record
from ._hemodynamic_items import BOLUS, DRUGS, FLUIDS, HIGHEST_FLOW, MEASURED, PUSH, Given
from ._mimic_tables import HEIGHT, WEIGHT, Tables, _stays, _table
from .mimic import _covariates, _minutes, _texts

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["NAMES", "load", "read", "stays"]

# What a record of this reader may hold.
NAMES = (*MEASURED, *DRUGS, *FLUIDS)
HOLD = 240.0  # min; how long a CareVue rate holds without another row, setting
RUN = 60.0  # min; over how long a CareVue volume ran in, setting
_SPELLED = {"Umin": "U/min", "Uhr": "U/h"}  # CareVue

_CHART = {"icustay_id": "stay", "itemid": "item", "charttime": "time", "valuenum": "number", "error": "error"}
_RUNNING = {
    "icustay_id": "stay", "itemid": "item", "starttime": "start", "endtime": "end", "amount": "amount",
    "amountuom": "amount_unit", "rate": "rate", "rateuom": "rate_unit", "statusdescription": "status",
    "ordercategoryname": "order", "patientweight": "patient_weight",
}  # fmt: skip
_CHARTED = {
    "icustay_id": "stay", "itemid": "item", "charttime": "time", "amount": "amount", "amountuom": "amount_unit",
    "rate": "rate", "rateuom": "rate_unit", "linkorderid": "order", "stopped": "stopped",
}  # fmt: skip


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
    measured = {item for charted in MEASURED.values() for item in charted.items}
    given = {item for drug in DRUGS.values() for item in drug.items} | {i for items in FLUIDS.values() for i in items}
    return Tables(
        _stays(files),
        _table(files["chartevents"], _CHART, {*measured, *WEIGHT, *HEIGHT}),
        _table(None, {"subject_id": "subject"}),
        _table(files.get("inputevents_mv", files.get("inputevents")), _RUNNING, given),
        _table(files.get("inputevents_cv"), _CHARTED, given),
        None,
        {},
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
        Columns stay, hours (length), arterial (mean arterial pressures charted from a line), norepinephrine (rows with
        a rate); most arterial pressures first.
    """
    tables = folder if isinstance(folder, Tables) else load(folder)
    table = tables.stays
    hours = (table["outtime"] - table["intime"]) / np.timedelta64(1, "s") / 3600
    arterial = tables.chart[tables.chart["item"].isin(MEASURED["mean_arterial_pressure"].items)].groupby("stay").size()
    items = DRUGS["norepinephrine"].items
    rates = sum(
        part[part["item"].isin(items) & (part["rate"] > 0)].groupby("stay").size().reindex(table["stay"], fill_value=0)
        for part in (tables.running, tables.charted)
    )
    listed = table[["stay"]].assign(
        hours=hours, arterial=arterial.reindex(table["stay"], fill_value=0).to_numpy(), norepinephrine=np.asarray(rates)
    )
    return listed.sort_values("arterial", ascending=False, ignore_index=True, kind="stable")


def read(
    folder: str | PathLike[str] | Tables,
    stay: int,
    *,
    bolus_duration: float | str | None = None,
    until: float | str | None = None,
) -> Record:
    """Read the circulation of one ICU stay.

    Mean, systolic and diastolic pressure from an arterial line, mean pressure from the cuff (kept apart), central
    venous pressure, heart rate, cardiac output; norepinephrine, vasopressin, phenylephrine, epinephrine, dopamine;
    crystalloid, albumin and other colloid, blood. t = 0 is ICU admission.

    Parameters
    ----------
    folder : path or Tables
        The folder, or what `load` returned: reading many stays then reads the files once.
    stay : int
        ICUSTAY_ID or stay_id.
    bolus_duration : float or str, min, optional
        Over how long a bolus ran that is charted without a duration (MetaVision charts every fluid bolus as one minute
        long). Without it such boluses are left out and counted.
    until : float or str, min, optional
        Return only what was known then.

    Returns
    -------
    record : Record
        `record.skipped` counts rows left out, and why: artefacts (a flush, a line open to air), a systolic pressure not
        above the diastolic one, rewritten orders, rates in units that need a concentration. Equal times with different
        values are averaged.

    Raises
    ------
    ValueError
        If the stay does not exist, or none of its pressures or flows was measured.
    """
    tables = folder if isinstance(folder, Tables) else load(folder)
    found = tables.stays[tables.stays["stay"] == stay]
    if found.empty:
        raise ValueError("Argument `stay` must be a stay of the folder; `stays(folder)` lists them.")
    row = found.iloc[0]
    lost: dict[str, list[float]] = {}
    measured = _measured(tables, row, lost)
    covariates = _covariates(tables, row)
    running = tables.running[tables.running["stay"] == stay]
    if "weight" not in covariates and running["patient_weight"].notna().any():
        covariates["weight"] = (float(running["patient_weight"].dropna().iloc[0]), "kg")
    weight = covariates["weight"][0] if "weight" in covariates else None
    duration = None if bolus_duration is None else units.minutes(bolus_duration)
    parts = [*_running(running, row, weight, duration, lost), *_charted(tables, row, weight, lost)]
    record = Record.build(measured, _inputs(parts, lost), covariates, own=NAMES, ledger=Ledger.of_reasons(lost))
    return record if until is None else record.until(until)


# ---- measurements ----------------------------------------------------------------------------------------------------


def _measured(tables: Tables, row: pd.Series, lost: dict[str, list[float]]) -> dict[str, Any]:
    chart = tables.chart[tables.chart["stay"] == row["stay"]]
    found: dict[str, Any] = {}
    for name, charted in MEASURED.items():
        some = chart[chart["item"].isin(charted.items)]
        times, values = _minutes(some["time"], row), some["number"].to_numpy(float)
        errors = some["error"].fillna(0).to_numpy(float) == 1
        with np.errstate(invalid="ignore"):
            outside = ~((values >= charted.low) & (values <= charted.high))
        reasons = np.select(
            [errors, ~np.isfinite(values), ~np.isfinite(times), outside],
            ["charted as an error", "not a number", "no time", f"artefact, not {charted.low:g} to {charted.high:g}"],
            default="",
        )
        for why in np.unique(reasons[reasons != ""]):
            lost.setdefault(f"{name}: {why}", []).extend(times[reasons == why])
        good = reasons == ""
        moments, which, count = np.unique(times[good], return_inverse=True, return_counts=True)
        lost.setdefault(f"{name}: averaged with another value at the same time", []).extend(
            np.repeat(moments, count - 1)
        )
        found[name] = (moments, np.bincount(which, values[good], moments.size) / np.maximum(count, 1), charted.unit)
    return _ordered(found, lost)


def _ordered(found: dict[str, Any], lost: dict[str, list[float]]) -> dict[str, Any]:
    """Leave out arterial pressures at times at which systole is not above diastole: a damped or flushed line."""
    (upper_times, upper, _), (lower_times, lower, _) = found["systolic_pressure"], found["diastolic_pressure"]
    both, high, low = np.intersect1d(upper_times, lower_times, return_indices=True)
    wrong = both[upper[high] <= lower[low]]
    lost.setdefault("arterial pressure: systolic not above diastolic", []).extend(wrong)
    for name in ("mean_arterial_pressure", "systolic_pressure", "diastolic_pressure"):
        times, values, unit = found[name]
        keep = ~np.isin(times, wrong)
        found[name] = (times[keep], values[keep], unit)
    return found


# ---- what was given --------------------------------------------------------------------------------------------------


def _running(
    rows: pd.DataFrame, row: pd.Series, weight: float | None, duration: float | None, lost: dict[str, list[float]]
) -> list[tuple[str, Course]]:
    """Return the inputs charted with a start and an end: MetaVision and MIMIC-IV."""
    rewritten = _texts(rows["status"]).str.lower() == "rewritten"
    lost.setdefault("inputs: rewritten", []).extend(_minutes(rows["start"][rewritten], row))
    rows = rows[~rewritten]
    starts, ends = _minutes(rows["start"], row), _minutes(rows["end"], row)
    parts: list[tuple[str, Course]] = []
    for name, drug in DRUGS.items():
        mine = rows["item"].isin(drug.items).to_numpy() & rows["rate"].notna().to_numpy()
        rates = _rates(name, drug, rows[mine], starts[mine], weight, lost)
        parts.append((name, Course(starts[mine], ends[mine], rates, drug.unit, np.zeros(mine.sum(), bool))))
    for name, items in FLUIDS.items():
        mine = rows["item"].isin(items).to_numpy()
        volumes = _volumes(rows[mine])
        pushed = (_texts(rows["order"][mine]) == BOLUS).to_numpy() | (ends[mine] - starts[mine] <= PUSH)
        begins, stops = starts[mine], ends[mine].copy()
        stops[pushed] = begins[pushed] + (np.nan if duration is None else duration)
        lost.setdefault(f"{name}: bolus without a duration (give `bolus_duration`)", []).extend(
            begins[pushed & np.isnan(stops)]
        )
        known = np.isfinite(stops) & (stops > begins)
        flows = volumes[known] / (stops - begins)[known]
        parts.append((name, Course(begins[known], stops[known], flows, "mL/min", pushed[known])))
    return parts


def _charted(
    tables: Tables, row: pd.Series, weight: float | None, lost: dict[str, list[float]]
) -> list[tuple[str, Course]]:
    """Return the inputs charted at a time: CareVue. Rates hold until the next row, volumes have just run in."""
    rows = tables.charted[tables.charted["stay"] == row["stay"]].sort_values("time", kind="stable")
    parts: list[tuple[str, Course]] = []
    for name, drug in DRUGS.items():
        for _, some in rows[rows["item"].isin(drug.items)].groupby("item"):
            some = some[some["rate"].notna() | _texts(some["stopped"]).isin(["Stopped", "D/C'd"])]
            times = _minutes(some["time"], row)
            stopped = _texts(some["stopped"]).isin(["Stopped", "D/C'd"]).to_numpy()
            rates = _rates(name, drug, some, times, weight, lost)
            parts.append((name, _held(times, np.where(stopped, 0.0, rates), drug.unit)))
    for name, items in FLUIDS.items():
        for _, some in rows[rows["item"].isin(items) & (rows["amount"] > 0)].groupby("item"):
            times, volumes = _minutes(some["time"], row), _volumes(some)
            known = np.isfinite(volumes)
            ones = (times[known] - RUN, times[known], volumes[known] / RUN)
            parts.append((name, Course(*ones, "mL/min", np.zeros(known.sum(), bool))))
    return parts


def _held(times: np.ndarray, rates: np.ndarray, unit: str) -> Course:
    """Let each charted rate hold until the next one of its item; at one time the last row counts, a stop first."""
    moments = np.unique(times)
    values = np.array([0.0 if np.any(rates[times == t] == 0) else rates[times == t][-1] for t in moments])
    ends = np.minimum(np.append(moments[1:], np.inf), moments + HOLD)
    on = values > 0
    return Course(moments[on], ends[on], values[on], unit, np.zeros(int(on.sum()), bool))


def _rates(
    name: str, drug: Given, rows: pd.DataFrame, times: np.ndarray, weight: float | None, lost: dict[str, list[float]]
) -> np.ndarray:
    """Return rates in the drug's unit, NaN where the charted unit does not allow it or the rate is a mistake."""
    found = np.full(len(rows), np.nan)
    charted = _texts(rows["rate_unit"]).replace(_SPELLED).map(units.normalize).to_numpy()
    for unit in np.unique(charted):
        these = charted == unit
        try:
            factor = units.convert(1.0, unit, drug.unit, variable=name, weight=weight) if unit else np.nan
        except ValueError:  # mL/h without a concentration, or per kilogram without a weight
            lost.setdefault(f"{name}: unit that needs a concentration or a weight", []).extend(times[these])
            continue
        found[these] = rows["rate"].to_numpy(float)[these] * factor
    high = found > drug.high
    lost.setdefault(f"{name}: rate above {drug.high:g} {drug.unit}", []).extend(times[high])
    return np.where(high, np.nan, found)


def _volumes(rows: pd.DataFrame) -> np.ndarray:
    unit = _texts(rows["amount_unit"]).str.lower()
    factor = np.select([unit.isin(["ml", "cc"]), unit.isin(["l", "liter"])], [1.0, 1000.0], np.nan)
    return rows["amount"].to_numpy(float) * factor


def _inputs(parts: list[tuple[str, Course]], lost: dict[str, list[float]]) -> Inputs:
    inputs = Inputs()
    for name, course in parts:
        good = np.isfinite(course.rates) & (course.rates >= 0) & (course.ends > course.starts)
        good &= (course.rates <= HIGHEST_FLOW) | (course.unit != "mL/min")
        lost.setdefault(f"{name}: negative, unusable unit or no duration", []).extend(course.starts[~good])
        good &= course.rates > 0
        if good.any():
            columns = (course.starts[good], course.ends[good], course.rates[good], course.unit)
            inputs = inputs | Inputs.infusions(name, *columns, bolus=course.bolus[good], own=(name,))
    return inputs
