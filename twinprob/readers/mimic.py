"""The metabolic part of MIMIC: glucose, insulin, dextrose, nutrition, weight; the III and the IV table layout.

Times are differences to the stay's admission, so the shifted dates (years 2100 to 2211) never enter.
"""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from ..patient import units
from ..patient.course import Course, sustained_rates
from ..patient.inputs import Inputs
from ..patient.ledger import Ledger
from ..patient.nutrition import glucose_content
from ..patient.record import Record
from ._mimic_tables import (
    GLUCOSE_CHART,
    GLUCOSE_COPIES,
    HEIGHT,
    INSULIN_CAREVUE,
    INSULIN_OTHER,
    INSULIN_REGULAR,
    WEIGHT,
    Tables,
    load,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Tables", "load", "read", "stays"]

NOT_IV = "06-Insulin (Non IV)"
# Settings: how long a CareVue rate holds without another row, over how long a volume without a beginning ran, and
# how long a piggyback takes.
HOLD, RUN, PIGGYBACK = 240.0, 60.0, 30.0


def stays(folder: str | PathLike[str] | Tables) -> pd.DataFrame:
    """List the ICU stays.

    Parameters
    ----------
    folder : path or Tables
        As for `read`.

    Returns
    -------
    stays : DataFrame
        Columns stay, hours (length), glucose (values charted), insulin (rows charted); most glucose first.
    """
    tables = folder if isinstance(folder, Tables) else load(folder)
    table = tables.stays
    hours = (table["outtime"] - table["intime"]) / np.timedelta64(1, "s") / 3600
    insulin = {*INSULIN_CAREVUE, INSULIN_REGULAR}
    charted = tables.chart[tables.chart["item"].isin(GLUCOSE_CHART)].groupby("stay").size()
    doses = sum(
        part[part["item"].isin(insulin)].groupby("stay").size().reindex(table["stay"], fill_value=0)
        for part in (tables.running, tables.charted)
    )
    listed = table[["stay"]].assign(
        hours=hours, glucose=charted.reindex(table["stay"], fill_value=0).to_numpy(), insulin=np.asarray(doses)
    )
    return listed.sort_values("glucose", ascending=False, ignore_index=True, kind="stable")


def read(folder: str | PathLike[str] | Tables, stay: int, *, until: float | str | None = None) -> Record:
    """Read one ICU stay.

    Glucose from the laboratory and the chart (each measurement once), intravenous insulin, dextrose, parenteral and
    enteral nutrition with the contents of `twinprob.nutrition` (settings), weight, height, age, sex, and diabetic
    status from discharge codes. t = 0 is ICU admission.

    Parameters
    ----------
    folder : path or Tables
        The folder, or what `load` returned: reading many stays then reads the files once.
    stay : int
        ICUSTAY_ID or stay_id.
    until : float or str, min, optional
        Return only what was known then.

    Returns
    -------
    record : Record
        `record.skipped` counts rows left out, and why. Equal times with different values are averaged.

    Raises
    ------
    ValueError
        If the stay does not exist, or has no glucose value.

    Notes
    -----
    CareVue charts an insulin rate, and at the end of the hour the units already infused, under one order: the
    amounts repeat the rates and are left out; only amounts of an order without rates are boluses. Volumes are
    charted when they have run in. Food by mouth is not known.
    """
    tables = folder if isinstance(folder, Tables) else load(folder)
    found = tables.stays[tables.stays["stay"] == stay]
    if found.empty:
        raise ValueError("Argument `stay` must be a stay of the folder; `stays(folder)` lists them.")
    row = found.iloc[0]
    lost: dict[str, list[float]] = {}
    glucose = _glucose(tables, row, lost)
    parts = [*_running(tables, row, lost), *_charted(tables, row, lost)]
    record = Record.build(
        {"glucose": glucose}, _inputs(parts, lost), _covariates(tables, row), ledger=Ledger.of_reasons(lost)
    )
    return record if until is None else record.until(until)


def _minutes(times: pd.Series, row: pd.Series) -> np.ndarray:
    return (times.to_numpy("datetime64[s]") - np.datetime64(row["intime"], "s")) / np.timedelta64(1, "s") / 60.0


def _texts(column: pd.Series) -> pd.Series:
    return column.fillna("").astype("str")


def _glucose(
    tables: Tables, row: pd.Series, lost: dict[str, list[float]]
) -> tuple[np.ndarray, np.ndarray, str, np.ndarray]:
    chart = tables.chart[(tables.chart["stay"] == row["stay"]) & tables.chart["item"].isin(GLUCOSE_CHART)]
    labs = tables.labs[tables.labs["subject"] == row["subject"]]
    labs = labs[(labs["time"] >= row["intime"]) & (labs["time"] <= row["outtime"])]
    drawn, copied = _own_clock(labs, chart, row)
    lost.setdefault("glucose: laboratory value charted again an hour later (summer time)", []).extend(drawn[copied])
    drawn, labs = drawn[~copied], labs[~copied]
    times = np.concatenate([drawn, _minutes(chart["time"], row)])
    text = _texts(labs["text"])
    above = text.str.extract(r"(?i)^(?:greater than|>)\s*(\d+)$")[0].astype(float)
    below = text.str.extract(r"(?i)^(?:less than|<)\s*(\d+)$")[0].astype(float)
    values = np.concatenate(
        [labs["number"].fillna(above).fillna(below).to_numpy(float), chart["number"].to_numpy(float)]
    )
    limits = np.zeros(times.size, np.int8)
    limits[: len(labs)] = above.notna().to_numpy().astype(np.int8) - below.notna().to_numpy()
    errors = np.append(np.zeros(len(labs), bool), chart["error"].fillna(0).to_numpy(float) == 1)
    sensible = units.plausible("glucose", np.nan_to_num(values, nan=-1.0), "mg/dL")
    reasons = np.select(
        [errors, ~np.isfinite(values), ~np.isfinite(times), ~sensible],
        ["charted as an error", "not a number", "no time", "implausible"],
        default="",
    )
    for why in np.unique(reasons[reasons != ""]):
        lost.setdefault(f"glucose: {why}", []).extend(times[reasons == why])
    good = reasons == ""
    return _one_value_each(times[good], values[good], limits[good], lost)


def _one_value_each(
    times: np.ndarray, values: np.ndarray, limits: np.ndarray, lost: dict[str, list[float]]
) -> tuple[np.ndarray, np.ndarray, str, np.ndarray]:
    """Drop what is charted twice and average what differs at the same time."""
    order = np.lexsort((values, times))
    times, values, limits = times[order], values[order], limits[order]
    repeat = np.append(False, (np.diff(times) == 0) & (np.diff(values) == 0))[: times.size]
    lost.setdefault("glucose: the same value charted twice", []).extend(times[repeat])
    times, values, limits = times[~repeat], values[~repeat], limits[~repeat]
    moments, which, count = np.unique(times, return_inverse=True, return_counts=True)
    lost.setdefault("glucose: averaged with another value at the same time", []).extend(np.repeat(moments, count - 1))
    means = np.bincount(which, weights=values, minlength=moments.size) / np.maximum(count, 1)
    first = np.searchsorted(times, moments)
    return moments, means, "mg/dL", np.where(count == 1, limits[first], 0) if moments.size else limits


def _own_clock(labs: pd.DataFrame, chart: pd.DataFrame, row: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return laboratory times on the chart's clock, and which values the chart repeats an hour later.

    From spring to autumn MetaVision's clock is one hour ahead of the laboratory's: in the demo 275 of 570 charted
    laboratory values stand exactly 60 min after their original, none of them between December and February.
    """
    copies = chart[chart["item"].isin(GLUCOSE_COPIES)]
    charted = set(zip(_minutes(copies["time"], row).tolist(), copies["number"].tolist(), strict=True))
    times, values = _minutes(labs["time"], row), labs["number"].to_numpy(float)
    same = np.array([(time, value) in charted for time, value in zip(times, values, strict=True)], bool)
    later = np.array([(time + 60.0, value) in charted for time, value in zip(times, values, strict=True)], bool) & ~same
    known = np.flatnonzero(same | later)
    if known.size == 0:
        return times, later
    nearest = known[np.abs(times[:, None] - times[known][None, :]).argmin(axis=1)]
    return np.where(later[nearest], times + 60.0, times), later


def _running(tables: Tables, row: pd.Series, lost: dict[str, list[float]]) -> list[tuple[str, Course]]:
    """Return the inputs charted with a start and an end: MetaVision and MIMIC-IV."""
    rows = tables.running[tables.running["stay"] == row["stay"]]
    rewritten = _texts(rows["status"]).str.lower() == "rewritten"
    lost.setdefault("inputs: rewritten", []).extend(_minutes(rows["start"][rewritten], row))
    parts: list[tuple[str, Course]] = []
    for item, some in rows[~rewritten].groupby("item"):
        starts, ends = (
            _minutes(some["start"], row),
            np.maximum(_minutes(some["end"], row), _minutes(some["start"], row) + 1.0),
        )
        amounts, rates = some["amount"].to_numpy(float), some["rate"].to_numpy(float)
        pushed = np.isnan(rates)
        content = None if item in (INSULIN_REGULAR, *INSULIN_OTHER) else glucose_content(tables.labels[int(item)])
        if content is not None:
            name, glucose = content
            liters = _texts(some["amount_unit"]).str.lower().isin(["l", "liter"]).to_numpy()
            usable = liters | _texts(some["amount_unit"]).str.lower().isin(["ml"]).to_numpy()
            # A piggyback's diluent is charted as a push of one minute.
            ends = np.where(
                pushed & (amounts >= 50) & (ends - starts < PIGGYBACK) & (name == "parenteral_glucose"),
                starts + PIGGYBACK,
                ends,
            )
            rates = np.where(usable, amounts * np.where(liters, 1000.0, 1.0), np.nan) * glucose / (ends - starts)
            parts.append((name, Course(starts, ends, rates, "mmol/min", pushed)))
            continue
        usable = _texts(some["amount_unit"]).map(units.normalize).eq("U").to_numpy()
        rates = np.where(pushed, amounts * 60 / (ends - starts), rates)
        per_minute = _texts(some["rate_unit"]).map(units.normalize).eq("U/min").to_numpy()
        rates = np.where(usable, rates * np.where(per_minute & ~pushed, 60.0, 1.0), np.nan)
        under_skin = ((_texts(some["order"]) == NOT_IV).to_numpy() & pushed) | (item != INSULIN_REGULAR)
        for name, these in (("insulin", ~under_skin), ("subcutaneous_insulin", under_skin)):
            parts.append((name, Course(starts[these], ends[these], rates[these], "U/h", pushed[these])))
    return parts


def _charted(tables: Tables, row: pd.Series, lost: dict[str, list[float]]) -> list[tuple[str, Course]]:
    """Return the inputs charted at a time: CareVue."""
    rows = tables.charted[tables.charted["stay"] == row["stay"]]
    parts: list[tuple[str, Course]] = []
    for (item, _), some in rows.sort_values("time", kind="stable").groupby(["item", "order"], dropna=False):
        times, amounts, rates = (
            _minutes(some["time"], row),
            some["amount"].to_numpy(float),
            some["rate"].to_numpy(float),
        )
        stopped = _texts(some["stopped"]).isin(["Stopped", "D/C'd"]).to_numpy()
        if item in INSULIN_CAREVUE:
            parts.append(("insulin", _rates(times, rates, stopped)))
            given = (amounts > 0) & np.isnan(rates)
            if np.isfinite(rates).any():
                lost.setdefault("insulin: amount already counted by its charted rate", []).extend(times[given])
            else:
                parts.append(
                    (
                        "insulin",
                        Course(
                            times[given], times[given] + 1.0, amounts[given] * 60.0, "U/h", np.ones(given.sum(), bool)
                        ),
                    )
                )
            continue
        content = glucose_content(tables.labels[int(item)])
        if content is None:
            continue
        name, glucose = content
        given = amounts > 0
        before = np.append(-np.inf, times[:-1])
        begins = np.where((times - before <= HOLD) & (times > before), before, times - RUN)
        volumes = Course(
            begins[given],
            times[given],
            (amounts * glucose / (times - begins))[given],
            "mmol/min",
            np.zeros(given.sum(), bool),
        )
        parts.append((name, volumes))
    return parts


def _rates(times: np.ndarray, rates: np.ndarray, stopped: np.ndarray) -> Course:
    """Let each charted rate hold until the next charted rate or stop of its order."""
    said = np.isfinite(rates) | stopped
    moments = np.unique(times[said])
    # At one time a stop outranks a rate: a row that says "Stopped" still carries the last rate.
    values = np.array(
        [0.0 if stopped[(times == time) & said].any() else rates[(times == time) & said][-1] for time in moments]
    )
    ends = np.minimum(np.append(moments[1:], np.inf), moments + HOLD)
    on = values > 0
    return Course(moments[on], ends[on], values[on], "U/h", np.zeros(on.sum(), bool))


def _inputs(parts: list[tuple[str, Course]], lost: dict[str, list[float]]) -> Inputs:
    inputs = Inputs()
    for name, course in parts:
        good = np.isfinite(course.rates) & (course.rates >= 0) & (course.ends > course.starts)
        good &= units.plausible(name, np.where(good, sustained_rates(course), np.nan), course.unit)
        lost.setdefault(f"{name}: unusable unit, implausible amount or no duration", []).extend(course.starts[~good])
        good &= course.rates > 0
        if good.any():
            columns = (course.starts[good], course.ends[good], course.rates[good], course.unit)
            inputs = inputs | Inputs.infusions(name, *columns, bolus=course.bolus[good])
    return inputs


def _covariates(tables: Tables, row: pd.Series) -> dict[str, Any]:
    chart = tables.chart[(tables.chart["stay"] == row["stay"]) & ~(tables.chart["error"] == 1)]
    found: dict[str, Any] = {}
    for name, unit, items in (("weight", "kg", WEIGHT), ("height", "cm", HEIGHT)):
        for item, factor in items.items():
            values = chart[chart["item"] == item].sort_values("time", kind="stable")["number"].to_numpy(float) * factor
            values = values[units.plausible(name, values, unit) & (values > 25)]
            if values.size and name not in found:
                found[name] = (float(values[0]), unit)
    if np.isfinite(row["age"]):
        found["age"] = (float(row["age"]), "year")
    if str(row["sex"]).upper() in ("F", "M"):
        found["sex"] = "female" if str(row["sex"]).upper() == "F" else "male"
    status = _diabetic_status(tables, row)
    return {**found, **({"diabetic_status": status} if status else {})}


def _diabetic_status(tables: Tables, row: pd.Series) -> str | None:
    """Read ICD-9 250.x1 and 250.x3 as type 1, 250.x0 and 250.x2 as type 2, ICD-10 E10 and E11; None without codes."""
    if tables.diagnoses is None:
        return None
    codes = tables.diagnoses[tables.diagnoses["admission"] == row["admission"]]["code"].astype("str").str.strip()
    if codes.empty:
        return None
    if any(code.startswith("E10") or (code.startswith("250") and code[4:5] in ("1", "3")) for code in codes):
        return "type1"
    return "type2" if any(code.startswith(("E11", "250")) for code in codes) else "none"
