"""eICU: glucose, lungs and circulation of one stay on one clock, from tables with offsets in minutes.

Tables read: ``patient``, ``lab``, ``respiratoryCharting``, ``nurseCharting`` (bedside glucose), ``vitalPeriodic``,
``vitalAperiodic``, ``infusionDrug``, ``intakeOutput``; any but the first may be missing. t = 0 is unit admission.

When a value was known: laboratory values when their result was last revised (``labresultrevisedoffset``); what a person
charted when it was entered (``respchartentryoffset`` and the like), for the database has no other sign of anybody
knowing it; vital signs, which a monitor writes, and infusions when they were so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from ..patient import units
from ..patient.ledger import Ledger, Line
from ..patient.nutrition import glucose_content
from ..patient.record import Record
from ._beyond import Meters, numbers_of
from ._doses import Doses, inputs_of
from ._eicu_tables import FLOW, MEASURED, SET, STAND_IN, WIDE, Tables, drug, fluid, load, variable_of
from ._fates import Fates, one_value_each
from ._mimic_items import CIRCULATION, DOMAINS, DRUGS, GLUCOSE, LUNGS, SETTINGS, domain
from ._mimic_measured import fractions
from ._mimic_person import token, without_doubted
from ._mimic_running import rates_of, suspect
from ._mimic_settings import above_peep, held, set_once, with_measured
from ._rows import Declared

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Tables", "load", "read", "stays"]

HOLD = 240.0  # min; how long a rate holds without another row of its drug, setting
RUN = 60.0  # min; over how long a charted volume ran in, setting
_CHARTED = {"glucose": GLUCOSE, **LUNGS, **CIRCULATION, **{name: pair[0] for name, pair in SETTINGS.items()}}


def stays(folder: str | PathLike[str] | Tables) -> pd.DataFrame:
    """List the stays.

    Parameters
    ----------
    folder : path or Tables
        As for `read`.

    Returns
    -------
    stays : DataFrame
        Columns stay, hours (length), rows (charted about variables of this library); most rows first.
    """
    tables = folder if isinstance(folder, Tables) else load(folder)
    listed = tables.patients[["stay"]].assign(hours=tables.patients["discharge"] / 60.0)
    listed["rows"] = tables.rows.groupby("stay").size().reindex(listed["stay"], fill_value=0).to_numpy()
    return listed.sort_values("rows", ascending=False, ignore_index=True, kind="stable")


def read(
    folder: str | PathLike[str] | Tables,
    stay: int,
    *,
    only: str | Iterable[str] = DOMAINS,
    lead: float | str = "30 min",
    limits: Meters | None = None,
    until: float | str | None = None,
) -> Record:
    """Read one stay.

    Parameters
    ----------
    folder : path or Tables
        The folder, or what `load` returned: reading many stays then reads the files once.
    stay : int
        patientunitstayid.
    only : str or iterable of str
        Domains to read: "glucose", "lungs", "circulation".
    lead : float or str, min
        How long before its first row a new setting is taken to have been in force, though never as early as the row
        before. The setting is known at its row.
    limits : mapping, optional
        As for `mimic.read`.
    until : float or str, min, optional
        Return only what was known then.

    Returns
    -------
    record : Record
        `record.ledger` accounts for every row whose label names a variable of this library or looks like one; of a
        table with a column for each variable, for every value.

    Raises
    ------
    ValueError
        If the stay does not exist, a domain is unknown, `lead` is negative, `limits` are no meter's, or nothing was
        measured in the stay.

    Notes
    -----
    Hospitals name things differently, write volumes in L or mL and inspired oxygen in percent or as a fraction: all are
    read. A drug's unit stands in its name; "(ml/hr)" needs a concentration, and such rows are set aside. A rate holds
    until the next row of its name, for at most `HOLD`; a setting until its next row. Oxygen and carbon dioxide are
    arterial by name ("paO2"); a pH counts if an arterial oxygen pressure was drawn with it.
    """
    tables = folder if isinstance(folder, Tables) else load(folder)
    found = tables.patients[tables.patients["stay"] == stay]
    if found.empty:
        raise ValueError("Argument `stay` must be a stay of the folder; `stays(folder)` lists them.")
    asked = (only,) if isinstance(only, str) else tuple(only)
    for name in asked:
        if name not in DOMAINS:
            raise ValueError(f"Argument `only` must name domains among {', '.join(DOMAINS)}, but has {name!r}.")
    ahead, meters = units.minutes(lead), Declared(limits=limits or {}).limits
    if ahead < 0:
        raise ValueError(f"Argument `lead` must not be negative, but is {ahead:g} min.")
    patient = found.iloc[0]
    rows = _Rows(tables.of(stay), asked, meters)
    fixed, doubts = without_doubted(_covariates(patient, rows))
    weight = fixed["weight"][0] if "weight" in fixed else None
    observations = _observations(rows)
    inputs = inputs_of([*_infusions(rows, weight), *_volumes(rows)], weight)
    if "lungs" in asked:
        set_to, times = _settings(rows, ahead, observations)
        inputs = inputs | set_to
        for name, wrong in above_peep(observations, set_to, times).items():
            rows.leave_out(name, wrong, "not above PEEP")
    rows.close()
    record = Record.build(
        observations, inputs, fixed, own=("cardiac_output",), ledger=Ledger(tuple(rows.lines())),
        person=token("eicu", patient["person"]) if patient["person"] else "",
    )  # fmt: skip
    record = replace(record, notes=(*record.notes, *doubts))
    return record if until is None else record.until(until)


class _Rows:
    """A stay's rows as arrays; every row taken is accounted for, what nobody takes is set aside by its label."""

    def __init__(self, frame: pd.DataFrame, domains: tuple[str, ...], meters: Meters) -> None:
        import pandas as pd

        self.meters = meters
        self.source = frame["source"].to_numpy(object)
        self.label = frame["label"].fillna("").astype("str").str.strip().to_numpy(object)
        about = {pair: variable_of(*pair) for pair in set(zip(self.source.tolist(), self.label.tolist(), strict=True))}
        names = [about[pair] or "" for pair in zip(self.source.tolist(), self.label.tolist(), strict=True)]
        self.name = np.array([n if domain(n) in (None, *domains) else "" for n in names], object)
        self.time = frame["time"].to_numpy(float)
        self.known = np.fmax(frame["known"].to_numpy(float), self.time)
        self.row, self.weight = frame["row"].to_numpy(), frame["weight"].to_numpy(float)
        written = frame["value"].fillna("").astype("str").str.strip()
        self.number = pd.to_numeric(written, errors="coerce").to_numpy(float)
        self.text = written.where(np.isnan(self.number), "").to_numpy(object)
        self.free = np.ones(self.row.size, bool)
        self._fates: list[tuple[Fates, np.ndarray]] = []

    def take(self, name: str, where: np.ndarray) -> tuple[np.ndarray, Fates]:
        """Return the places of rows and their fates."""
        places = np.flatnonzero(where & self.free)
        self.free[places] = False
        fates = Fates(self.source[places], name, self.row[places], self.known[places])
        fates.aside(np.isnan(self.time[places]), "no time")
        self._fates.append((fates, self.time[places]))
        return places, fates

    def measured(self, name: str, where: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, Fates]:
        """Return times, plausible values in the unit of the vocabulary, limits and fates of rows of one variable."""
        places, fates = self.take(name, where)
        charted = _CHARTED[name]
        read = numbers_of(name, self.number[places], self.text[places].tolist(), charted.unit, self.meters)
        values = read.values
        read.account(fates)
        self._corrected(places, values, fates)
        if name == "inspired_oxygen":
            flows = np.isin([label.lower() for label in self.label[places]], FLOW)
            fates.aside(flows, "an oxygen flow in L/min, no fraction")
            values = fractions(values, fates)
        if charted.unit == "L":
            with np.errstate(invalid="ignore"):
                values = np.where(values > 3.0, values / 1000.0, values)
        low, high = (charted.low, charted.high) if charted.low is not None else (None, None)
        fates.aside(~units.plausible(name, np.nan_to_num(values, nan=-1.0), charted.unit), "implausible")
        if low is not None and high is not None:
            with np.errstate(invalid="ignore"):
                fates.aside(~((values >= low) & (values <= high)), f"artefact, not {low:g} to {high:g}")
        return self.time[places], values, read.limits, fates

    def _corrected(self, places: np.ndarray, values: np.ndarray, fates: Fates) -> None:
        """Let a result that was revised to another value stand as it was last: rows of one label and one time."""
        last: dict[tuple[str, str, float], int] = {}
        for row in np.lexsort((self.known[places],)).tolist():
            key = (self.source[places[row]], self.label[places[row]].lower(), float(self.time[places[row]]))
            before = last.setdefault(key, row)
            if before == row or not fates.left[row] or not fates.left[before]:
                continue
            if values[before] != values[row] and self.known[places[row]] > self.known[places[before]]:
                fates.merge(np.array([before]), "corrected by a row known later")
            last[key] = row

    def leave_out(self, name: str, times: np.ndarray, reason: str) -> None:
        """Set the rows of one variable at some times aside after all."""
        for fates, moments in self._fates:
            if fates.variable == name:
                fates.aside(np.isin(moments, times), reason)

    def close(self) -> None:
        """Set aside what nothing has read."""
        for label in dict.fromkeys(self.label[self.free & (self.name != "")].tolist()):
            places, fates = self.take(self.name[self.label == label][0], (self.label == label) & (self.name != ""))
            fates.aside(np.ones(places.size, bool), f"{label!r} is not read")

    def lines(self) -> list[Line]:
        """Return what became of the rows."""
        return [line for fates, _ in self._fates for line in fates.lines()]


def _labels(rows: _Rows, source: str, labels: Iterable[str]) -> np.ndarray:
    lower = np.array([label.lower() for label in rows.label], object)
    return (rows.source == source) & np.isin(lower, list(labels))


def _observations(rows: _Rows) -> dict[str, Any]:
    found: dict[str, Any] = {}
    arterial: np.ndarray = np.zeros(0)
    for name in ("glucose", *LUNGS, *CIRCULATION):
        where = (rows.label == name) & np.isin(rows.source, list(WIDE))
        for source, labels in MEASURED.items():
            where |= _labels(rows, source, [label for label, about in labels.items() if about == name])
        where &= rows.name == name
        times, values, limits, fates = rows.measured(name, where)
        if name == "arterial_oxygen":
            arterial = times[fates.left]
        if name == "arterial_pH":
            fates.aside(~np.isin(times, arterial), "blood of unknown site (no arterial oxygen in the sample)")
        one = one_value_each(times, values, limits, fates.known, fates)
        found[name] = (one[0], one[1], _CHARTED[name].unit, one[2], np.fmax(one[3], one[0]))
    return _ordered(found, rows)


def _ordered(found: dict[str, Any], rows: _Rows) -> dict[str, Any]:
    """Leave out arterial pressures at times at which systole is not above diastole: a damped or flushed line."""
    upper, lower = found["systolic_pressure"], found["diastolic_pressure"]
    both, first, second = np.intersect1d(upper[0], lower[0], return_indices=True)
    wrong = both[upper[1][first] <= lower[1][second]]
    for name in ("mean_arterial_pressure", "systolic_pressure", "diastolic_pressure"):
        times, values, unit, limits, known = found[name]
        keep = ~np.isin(times, wrong)
        found[name] = (times[keep], values[keep], unit, limits[keep], known[keep])
        rows.leave_out(name, wrong, "systolic not above diastolic")
    return found


def _settings(rows: _Rows, lead: float, found: dict[str, Any]) -> tuple[Any, np.ndarray]:
    parts = {}
    source = "respiratorycharting"
    for name in SETTINGS:
        labels = [label for label, about in SET.items() if about == name]
        where = _labels(rows, source, [*labels, *FLOW]) & (rows.name == name)
        written = [label.lower() for label in rows.label[where & rows.free].tolist()]
        times, values, limits, fates = rows.measured(name, where)
        fates.aside(limits != 0, "a limit, no setting")
        ranks = np.array([labels.index(label) if label in labels else len(labels) for label in written])
        parts[name] = set_once(times, values, ranks, fates)
        others = [label for label, about in STAND_IN.items() if about == name]
        if others:
            times, values, limits, fates = rows.measured(name, _labels(rows, source, others) & (rows.name == name))
            fates.aside(limits != 0, "a limit, no setting")
            parts[name] = with_measured(parts[name], times, values, fates)
    return held(parts, np.zeros(0), lead, found), parts["peep"][0]


def _infusions(rows: _Rows, weight: float | None) -> list[Doses]:
    """Let each rate hold until the next row of the same name; a name is an order."""
    doses = []
    for name in dict.fromkeys(rows.name[(rows.source == "infusiondrug") & (rows.name != "")].tolist()):
        places, fates = rows.take(name, (rows.source == "infusiondrug") & (rows.name == name))
        read = [drug(label) or (name, "") for label in rows.label[places].tolist()]
        charted = np.array([units.normalize(unit) for _, unit in read], object)
        off = np.array([text.lower() in ("off", "stopped") for text in rows.text[places].tolist()], bool)
        numbers = np.where(off, 0.0, rows.number[places])
        fates.aside(
            np.array([drug(label) is None for label in rows.label[places].tolist()], bool), "not read as an input"
        )
        fates.aside(np.isnan(numbers), "not a number")
        fates.aside(numbers < 0, "negative amount")
        fates.aside((charted == "") & ~off, "no unit in its name")
        unit, rates = _rates(name, fates, numbers, charted, rows.label[places], weight)
        doses.append(_held(rows, places, fates, rates, unit))
    return doses


def _rates(
    name: str, fates: Fates, numbers: np.ndarray, charted: np.ndarray, labels: np.ndarray, weight: float | None
) -> tuple[str, np.ndarray]:
    """Return rates of one drug in its unit."""
    if name in DRUGS:
        rates = rates_of(DRUGS[name], fates, numbers, charted, weight, fates.left)
        suspect(DRUGS[name], fates, rates, numbers, charted, fates.left)
        return DRUGS[name].unit, rates
    if name == "insulin":
        fates.aside(~np.isin(charted, ("U/h", "U/min")), "unit that needs a concentration or a weight")
        return "U/h", numbers * np.where(charted == "U/min", 60.0, 1.0)
    fates.aside(charted != "mL/h", "unusable unit")
    content = [(glucose_content(label.split("(")[0]) or ("", np.nan))[1] for label in labels.tolist()]
    return "mmol/min", numbers * np.array(content, float) / 60.0


def _held(rows: _Rows, places: np.ndarray, fates: Fates, rates: np.ndarray, unit: str) -> Doses:
    times, orders = rows.time[places], rows.label[places]
    ends = times + HOLD
    for order in dict.fromkeys(orders.tolist()):
        mine = np.flatnonzero((orders == order) & fates.left)
        mine = mine[np.argsort(times[mine], kind="stable")]
        fates.merge(mine[:-1][np.diff(times[mine]) == 0], "another row at the same time counts")
        mine = mine[fates.left[mine]]
        ends[mine] = np.minimum(ends[mine], np.append(times[mine[1:]], np.inf))
    return Doses(fates, times, ends, rates, unit, np.zeros(times.size, bool), orders, rows.known[places])


def _volumes(rows: _Rows) -> list[Doses]:
    """Let volumes of intake run in during the hour before they are charted; each is an order of its own."""
    doses = []
    intake = rows.source == "intakeoutput"
    for name in dict.fromkeys(rows.name[intake & (rows.name != "")].tolist()):
        places, fates = rows.take(name, intake & (rows.name == name))
        labels, volumes = rows.label[places].tolist(), rows.number[places]
        fates.aside(np.array([fluid(label) is None for label in labels], bool), "not read as an input")
        fates.aside(~np.isfinite(volumes), "not a number")
        fates.aside(volumes < 0, "negative amount")
        sweet = name in ("parenteral_glucose", "enteral_glucose")
        content = [(glucose_content(label) or ("", np.nan))[1] if sweet else 1.0 for label in labels]
        times = rows.time[places]
        charted = list(zip(labels, times.tolist(), volumes.tolist(), rows.known[places].tolist(), strict=True))
        again = np.array([one in charted[:place] for place, one in enumerate(charted)], bool)
        fates.merge(again & fates.left, "the same row twice counts once")
        orders = np.array([f"{label}/{place}" for place, label in enumerate(labels)], object)
        rates = volumes * np.array(content, float) / RUN
        unit = "mmol/min" if sweet else "mL/min"
        doses.append(
            Doses(fates, times - RUN, times, rates, unit, np.zeros(times.size, bool), orders, rows.known[places])
        )
    return doses


def _covariates(patient: pd.Series, rows: _Rows) -> dict[str, Any]:
    found: dict[str, Any] = {}
    pumps = rows.weight[np.isfinite(rows.weight) & (rows.weight > 25)]
    for name, unit, other in (
        ("weight", "kg", float(np.median(pumps)) if pumps.size else np.nan),
        ("height", "cm", np.nan),
    ):
        value = float(patient[name])
        value = value * 2.54 if name == "height" and 48 <= value <= 84 else value
        if not (value > 25 and units.plausible(name, np.array([value]), unit)[0]):
            value = other
        if np.isfinite(other) and abs(value * 0.45359237 / other - 1.0) <= 0.06:
            value = other  # pounds in the field for kilograms, as the pumps say
        if np.isfinite(value):
            found[name] = (value, unit)
    age = str(patient["age"]).replace(">", "").strip()
    if age.isdigit():
        found["age"] = (90.0 if ">" in str(patient["age"]) else float(age), "year")
    sex = str(patient["sex"]).strip().lower()
    return {**found, **({"sex": sex} if sex in ("female", "male") else {})}
