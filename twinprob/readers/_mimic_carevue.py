"""What one MIMIC stay was given, as CareVue charts it: rows with a chart time, known then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..patient import units
from ..patient.nutrition import glucose_content
from ._doses import Doses
from ._fates import Fates
from ._mimic_items import DRUGS, FLUIDS, HIGHEST_FLOW
from ._mimic_measured import minutes, texts
from ._mimic_running import rates_of, suspect, unread_items, variable_of, volumes_of, wanted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd

HOLD = 240.0  # min; how long a rate holds without another row of its order, setting
RUN = 60.0  # min; over how long a volume without a beginning ran in, setting
_SPELLED = {"Umin": "U/min", "Uhr": "U/h"}


class Noted:
    """Rows of one input: minutes, amounts, rates and whether they say that it stopped."""

    def __init__(self, rows: pd.DataFrame, stay: pd.Series, source: str, name: str) -> None:
        self.time = minutes(rows["time"], stay)
        self.amount, self.rate = rows["amount"].to_numpy(float), rows["rate"].to_numpy(float)
        self.amount_unit = texts(rows["amount_unit"]).to_numpy()
        self.rate_unit = texts(rows["rate_unit"]).replace(_SPELLED).map(units.normalize).to_numpy()
        self.stopped = texts(rows["stopped"]).isin(["Stopped", "D/C'd"]).to_numpy()
        self.item = rows["item"].to_numpy()
        orders = rows["chain"]
        self.order = orders.astype("str").where(orders.notna(), "").to_numpy(object)
        self.fates = Fates(source, name, rows["row"].to_numpy(), self.time)
        self.fates.aside((rows["stay"] != stay["stay"]).to_numpy(), "charted without a stay")
        self.fates.aside(np.isnan(self.time), "no time")
        self.fates.aside((self.amount < 0) | (self.rate < 0), "negative amount")

    def groups(self, *columns: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the places of rows in use that agree in some columns, in order of time."""
        keys = np.array(["\0".join(map(str, key)) for key in zip(*columns, strict=True)], object)
        for key in dict.fromkeys(keys.tolist()):
            places = np.flatnonzero((keys == key) & self.fates.left)
            if places.size:
                yield places[np.argsort(self.time[places], kind="stable")]


def charted(
    rows: pd.DataFrame,
    stay: pd.Series,
    source: str,
    labels: Mapping[int, str],
    domains: tuple[str, ...],
    weight: float | None,
) -> tuple[list[Doses], list[Fates]]:
    """Return what was given, and the fates of all rows; parameters as for `_mimic_running.running`.

    A rate holds until the next row of its order (insulin) or item (drugs). Insulin is charted as a rate, and at the
    end of the hour as the units already infused: amounts beside rates repeat them. Volumes are charted when they have
    run in.
    """
    about = {item: variable_of(item, labels.get(item, "")) for item in rows["item"].unique().tolist()}
    names = rows["item"].map(about).to_numpy(object)
    doses, accounts = [], []
    for name in wanted(names, domains):
        noted = Noted(rows[names == name], stay, source, name)
        accounts.append(noted.fates)
        for item, reason in unread_items(noted.item, labels).items():
            noted.fates.aside(noted.item == item, reason)
        if name in DRUGS:
            doses.append(_drug(name, noted, weight))
        elif name in FLUIDS:
            doses.append(_fluid(noted))
        elif name == "insulin":
            doses.append(_insulin(noted))
        elif name in ("parenteral_glucose", "enteral_glucose"):
            doses.append(_glucose(noted, labels))
        else:
            noted.fates.aside(noted.fates.left, "not read as an input")
    return doses, accounts


def _empty(noted: Noted, unit: str) -> Doses:
    """Return rows that give nothing yet; columns are filled in place."""
    size = noted.time.size
    starts = noted.time.copy()
    orders = np.array([f"{item}/{order}" for item, order in zip(noted.item, noted.order, strict=True)], object)
    return Doses(noted.fates, starts, starts + 1.0, np.zeros(size), unit, np.zeros(size, bool), orders, noted.time)


def _hold(noted: Noted, doses: Doses, places: np.ndarray, rates: np.ndarray) -> None:
    """Let each charted rate hold until the next charted rate or stop among some rows.

    At one time a stop outranks a rate, as a row that says "Stopped" still carries the last rate; else the last counts.
    """
    times = noted.time[places]
    for moment in np.unique(times[:-1][np.diff(times) == 0]):
        same = places[times == moment]
        stops = same[noted.stopped[same]]
        kept = stops[-1] if stops.size else same[-1]
        noted.fates.merge(same[same != kept], "another row at the same time counts")
    places = places[noted.fates.left[places]]
    times = noted.time[places]
    doses.ends[places] = np.minimum(np.append(times[1:], np.inf), times + HOLD)
    doses.rates[places] = np.where(noted.stopped[places], 0.0, rates[places])


def _insulin(noted: Noted) -> Doses:
    doses = _empty(noted, "U/h")
    noted.fates.aside(~np.isin(noted.rate_unit, ("U/h", "U/min", "")), "unusable unit")
    rates = noted.rate * np.where(noted.rate_unit == "U/min", 60.0, 1.0)
    for places in noted.groups(noted.item, noted.order):
        said = np.isfinite(noted.rate[places]) | noted.stopped[places]
        given = (noted.amount[places] > 0) & np.isnan(noted.rate[places])
        beside = np.isfinite(noted.rate[places]).any()
        if not beside:
            pushed = places[given]
            doses.bolus[pushed], doses.rates[pushed] = True, noted.amount[pushed] * 60.0
            said &= ~given
        noted.fates.aside(places[~said & ~given], "nothing charted in it")
        _hold(noted, doses, places[said], rates)
        if beside:  # also of a row that says "Stopped", which counts as a stop
            noted.fates.merge(places[given], "amount already counted by its charted rate")
    # CareVue does not say that two doses are one: each is an order of its own.
    for place in np.flatnonzero(doses.bolus):
        doses.orders[place] = f"{doses.orders[place]}/{place}"
    return doses


def _glucose(noted: Noted, labels: Mapping[int, str]) -> Doses:
    doses = _empty(noted, "mmol/min")
    content = {item: glucose_content(labels.get(item, "")) for item in np.unique(noted.item).tolist()}
    for places in noted.groups(noted.item, noted.order):
        times, amounts = noted.time[places], noted.amount[places]
        before = np.append(-np.inf, times[:-1])
        begins = np.where((times - before <= HOLD) & (times > before), before, times - RUN)
        _, glucose = content[noted.item[places[0]]] or ("", np.nan)
        given = amounts > 0
        noted.fates.remark(places[~given], "says from when on the next volume ran")
        doses.starts[places], doses.ends[places] = begins, times
        doses.rates[places] = np.where(given, amounts * glucose / (times - begins), 0.0)
    return _apart(doses)


def _apart(doses: Doses) -> Doses:
    """Let rows of volumes add: each is an order of its own."""
    doses.orders[:] = [f"{order}/{place}" for place, order in enumerate(doses.orders.tolist())]
    return doses


def _drug(name: str, noted: Noted, weight: float | None) -> Doses:
    drug = DRUGS[name]
    fates = noted.fates
    alone = np.isnan(noted.rate) & ~noted.stopped
    for places in noted.groups(noted.item):
        if np.isfinite(noted.rate[places]).any():
            fates.merge(places[alone[places]], "amount already counted by its charted rate")
    fates.aside(alone, "an amount without a rate")
    running = ~noted.stopped  # a stop needs neither rate nor unit
    rates = rates_of(drug, fates, noted.rate, noted.rate_unit, weight, running)
    suspect(drug, fates, rates, noted.rate, noted.rate_unit, running)
    doses = _empty(noted, drug.unit)
    for places in noted.groups(noted.item):
        _hold(noted, doses, places, rates)
    doses.orders[:] = [f"{item}" for item in noted.item.tolist()]
    return doses


def _fluid(noted: Noted) -> Doses:
    doses = _empty(noted, "mL/min")
    volumes = volumes_of(noted.amount, noted.amount_unit)
    nothing = ~(noted.amount > 0)
    noted.fates.aside(np.isnan(volumes) & ~nothing, "unusable unit")
    noted.fates.aside(nothing, "nothing charted in it")
    doses.starts[:], doses.ends[:], doses.rates[:] = noted.time - RUN, noted.time, np.nan_to_num(volumes) / RUN
    noted.fates.aside(doses.rates > HIGHEST_FLOW, f"faster than {HIGHEST_FLOW:g} mL/min")
    return _apart(doses)
