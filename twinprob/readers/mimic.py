"""MIMIC: glucose, lungs and circulation of one ICU stay on one clock; the III and the IV table layout.

Times are differences to the stay's admission, so the shifted dates (years 2100 to 2211) never enter. Every row that
names a variable of this library, or whose item's label looks like one, has a line in `Record.ledger`.

When a value was known:

- laboratory (``labevents``): when its result was stored (``storetime``), for blood is drawn long before anyone knows.
  MIMIC-III does not say when; there the chart's copy of a value says it, and a value without a copy counts as known
  when it was drawn.
- the chart's copies of laboratory values: when they were stored, since they stand at the time of drawing. Of a
  laboratory value and its copy the earlier of the two known times holds.
- anything else in the chart: when it was charted. A nurse knew it then; ``storetime`` is when somebody validated it,
  hours later.
- what was given: when it began (MetaVision, MIMIC-IV), as whoever started it knew; or when it was charted (CareVue),
  where a volume is charted once it has run in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np

from ..patient import units
from ..patient.ledger import Ledger, Line
from ..patient.nutrition import glucose_content
from ..patient.record import Record
from ._beyond import Meters
from ._doses import inputs_of
from ._fates import Fates
from ._mimic_carevue import HOLD, charted
from ._mimic_items import CHART_ITEMS, DOMAINS, GLUCOSE, INSULIN_REGULAR, LAB_ITEMS, VENTILATOR_MODE, domain, looks_like
from ._mimic_measured import Measured, View, texts, view
from ._mimic_person import covariates, token, without_doubted
from ._mimic_running import running
from ._mimic_settings import above_peep, settings
from ._mimic_tables import NUTRITION, ROUTES, Tables, load
from ._rows import Declared

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DOMAINS", "HOLD", "Tables", "load", "read", "recognized", "stays"]

_WATER = re.compile(r"water|flush|^h2o", re.IGNORECASE)


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
    listed = listed_stays(tables)
    listed["glucose"] = counted(tables.chart, GLUCOSE.items, listed["stay"])
    listed["insulin"] = sum(counted(part, INSULIN_REGULAR, listed["stay"]) for part in (tables.running, tables.charted))
    return listed.sort_values("glucose", ascending=False, ignore_index=True, kind="stable")


def listed_stays(tables: Tables) -> pd.DataFrame:
    """Return stays and their length in hours."""
    table = tables.stays
    return table[["stay"]].assign(hours=(table["outtime"] - table["intime"]) / np.timedelta64(1, "s") / 3600)


def counted(frame: pd.DataFrame, items: Iterable[int], stays: pd.Series) -> np.ndarray:
    """Return how many rows of some items each stay has."""
    return frame[frame["item"].isin(list(items))].groupby("stay").size().reindex(stays, fill_value=0).to_numpy()


def read(
    folder: str | PathLike[str] | Tables,
    stay: int,
    *,
    only: str | Iterable[str] = DOMAINS,
    lead: float | str = "30 min",
    bolus_duration: float | str | None = None,
    limits: Meters | None = None,
    until: float | str | None = None,
) -> Record:
    """Read one ICU stay.

    *Glucose*: from the laboratory and the chart (each measurement once), intravenous and subcutaneous insulin,
    dextrose, parenteral and enteral nutrition with the contents of `twinprob.patient.nutrition` (settings).
    *Lungs*: settings (PEEP, tidal volume, rate, inspired oxygen) as inputs; plateau, peak and mean airway pressure,
    tidal volume as measured, arterial blood gases (each once) and pulse oximetry. *Circulation*: arterial, cuff and
    central venous pressures, heart rate, cardiac output; vasopressors; crystalloid, albumin and other colloid, blood.
    Weight, height, age, sex, and diabetic status from discharge codes. t = 0 is ICU admission.

    Parameters
    ----------
    folder : path or Tables
        The folder, or what `load` returned: reading many stays then reads the files once.
    stay : int
        ICUSTAY_ID or stay_id.
    only : str or iterable of str
        Domains to read: "glucose", "lungs", "circulation".
    lead : float or str, min
        How long before its first row a new setting is taken to have been in force, though never as early as the row
        before: what is charted together was so together. The setting is known at its row.
    bolus_duration : float or str, min, optional
        Over how long a fluid bolus ran that is charted without a duration (MetaVision charts every one as one minute
        long). Without it such boluses are set aside.
    limits : mapping, optional
        Each meter's lowest and highest reading, for texts such as LO and HI: ``{"glucose": (20, 600, "mg/dL")}``.
        Without it such readings are set aside and counted; "< 40" names its limit itself.
    until : float or str, min, optional
        Return only what was known then; what is fixed about the patient is that of the whole stay.

    Returns
    -------
    record : Record
        `record.ledger` accounts for every row; `record.person` is the same for all stays of one person.

    Raises
    ------
    ValueError
        If the stay does not exist, a domain is unknown, `lead` is negative, `limits` are no meter's, or nothing was
        measured in the stay.

    Notes
    -----
    From spring to autumn MetaVision's clock is an hour ahead of the laboratory's: the laboratory's values move to the
    chart's clock. Equal times with different values are averaged. Rows of one chain of orders (``linkorderid``)
    replace each other, different orders add; a row is a repeat only with the same ``orderid``. An amount is what was
    given: where it says that a rate was meant in another unit (per hour charted per minute, not per kilogram), the
    rate is corrected and the ledger says so; where it differs from rate × duration more than twofold otherwise, the
    row is set aside. CareVue charts an insulin rate, and at the end of the hour the units already infused: the
    amounts repeat the rates. Volumes are charted when they have run in. A blood gas is arterial if its specimen says
    so, if it is charted as arterial, or if its oxygen is 60 mmHg or more. A setting holds until its next row, or
    until the ventilator is on standby. The weight is the median of the readings of the first day that agree with the
    median of all; what was weighed later stands in its `changes`. Food by mouth is not known; `recognized` says how
    much of what was charted is.
    """
    tables = folder if isinstance(folder, Tables) else load(folder)
    found = tables.stays[tables.stays["stay"] == stay]
    if found.empty:
        raise ValueError("Argument `stay` must be a stay of the folder; `stays(folder)` lists them.")
    domains = _domains(only)
    ahead, meters = units.minutes(lead), Declared(limits=limits or {}).limits
    if ahead < 0:
        raise ValueError(f"Argument `lead` must not be negative, but is {ahead:g} min.")
    row = found.iloc[0]
    lines: list[Line] = []
    chart, labs = _chart(tables, row, domains, lines), _labs(tables, row, domains, lines)
    orders = tables.of("running", stay, -row["subject"])
    fixed, said = covariates(tables, row, chart, orders["patient_weight"].to_numpy(float))
    fixed, doubts = without_doubted(fixed)
    lines += said
    measured = Measured(chart, labs, meters)
    observations = measured.read(domains)
    weight = fixed["weight"][0] if "weight" in fixed else None
    duration = None if bolus_duration is None else units.minutes(bolus_duration)
    notes = tables.of("charted", stay, -row["subject"])
    given = [
        running(orders, row, tables.sources["running"], tables.labels, domains, weight, duration),
        charted(notes, row, tables.sources["charted"], tables.labels, domains, weight),
    ]
    inputs = inputs_of([one for doses, _ in given for one in doses], weight)
    if "lungs" in domains:
        set_to, times, said = settings(chart, ahead, observations)
        inputs, lines = inputs | set_to, [*lines, *said]
        for name, wrong in above_peep(observations, set_to, times["peep"]).items():
            measured.leave_out(name, wrong, "not above PEEP")
    lines += measured.lines() + [line for _, accounts in given for fates in accounts for line in fates.lines()]
    record = Record.build(
        observations, inputs, fixed, own=("cardiac_output",), ledger=Ledger(tuple(lines)),
        person=token("mimic", row["subject"]),
    )  # fmt: skip
    record = replace(record, notes=(*record.notes, *doubts))
    return record if until is None else record.until(until)


def _domains(only: str | Iterable[str]) -> tuple[str, ...]:
    asked = (only,) if isinstance(only, str) else tuple(only)
    for name in asked:
        if name not in DOMAINS:
            raise ValueError(f"Argument `only` must name domains among {', '.join(DOMAINS)}, but has {name!r}.")
    return asked


def _chart(tables: Tables, row: pd.Series, domains: tuple[str, ...], lines: list[Line]) -> View:
    """Return the stay's rows of the chart; those that are read by no variable, or have no stay, are accounted for."""
    frame = tables.of("chart", row["stay"], -row["subject"])
    rows = view(tables, "chart", frame, row)
    astray = (frame["stay"] != row["stay"]).to_numpy()
    lines += _unread(rows, np.isin(rows.item, list(CHART_ITEMS)) & ~astray, CHART_ITEMS, tables, domains, astray)
    kept = rows.select(np.isin(rows.item, list(CHART_ITEMS)) & ~astray)
    if "lungs" in domains:
        modes = kept.select(np.isin(kept.item, VENTILATOR_MODE))
        lines += Fates(modes.source, "ventilator_mode", modes.row, modes.time).lines()
    return kept


def _labs(tables: Tables, row: pd.Series, domains: tuple[str, ...], lines: list[Line]) -> View:
    """Return the person's laboratory rows within the stay; the others are accounted for."""
    frame = tables.of("labs", row["subject"])
    rows = view(tables, "labs", frame, row)
    ours = np.isin(rows.item, list(LAB_ITEMS))
    inside = ((frame["time"] >= row["intime"]) & (frame["time"] <= row["outtime"])).to_numpy()
    lines += _unread(rows, ours & inside, LAB_ITEMS, tables, domains, ours & ~inside)
    return rows.select(ours & inside)


def _unread(
    rows: View,
    read: np.ndarray,
    items: Mapping[int, str],
    tables: Tables,
    domains: tuple[str, ...],
    other: np.ndarray,
) -> list[Line]:
    """Account for rows that are not read: of another stay or none, or of an item that only looks like a variable."""
    lines: list[Line] = []
    for item in np.unique(rows.item[~read]).tolist():
        label = tables.labels.get(int(item), "")
        name = items.get(item) or looks_like(label) or ""
        if domain(name) not in (None, *domains):
            continue
        these = ~read & (rows.item == item)
        fates = Fates(rows.source, name, rows.row[these], rows.time[these])
        fates.aside(other[these], "not of this stay" if rows.source == "labevents" else "charted without a stay")
        fates.aside(fates.left, f"item {label!r} is not read")
        lines += fates.lines()
    return lines


def recognized(folder: str | PathLike[str] | Tables, stay: int | None = None) -> float:
    """Return how much of what was charted by mouth and tube is known for its carbohydrate, as a share of the volume.

    Parameters
    ----------
    folder : path or Tables
        As for `read`.
    stay : int, optional
        One stay; by default all.

    Returns
    -------
    share : float
        Between 0 and 1, water counted as known; NaN where nothing was charted.
    """
    tables = folder if isinstance(folder, Tables) else load(folder)
    known = total = 0.0
    for frame, column, words in ((tables.running, "order", NUTRITION), (tables.charted, "route", ROUTES)):
        rows = frame if stay is None else frame[frame["stay"] == stay]
        kept = texts(rows[column]).str.startswith(words) & (rows["amount"] > 0)
        kept &= texts(rows["amount_unit"]).str.lower().isin(["ml", "cc"])
        if "status" in rows:
            kept &= texts(rows["status"]).str.lower() != "rewritten"
        volumes = rows[kept].groupby("item")["amount"].sum()
        for item, volume in volumes.items():
            label = tables.labels.get(int(item), "")
            total += volume
            known += volume if glucose_content(label) or _WATER.search(label) else 0.0
    return known / total if total else float("nan")
