"""What one MIMIC stay was given, as MetaVision and MIMIC-IV chart it: rows with a start and an end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..patient import units
from ..patient.nutrition import glucose_content
from ._doses import Doses
from ._fates import Fates
from ._mimic_items import (
    DRUGS,
    FEEDS,
    FLUIDS,
    HIGHEST_FLOW,
    HOURLY_VASOPRESSIN,
    INSULIN_OTHER,
    INSULIN_REGULAR,
    Given,
    given_item,
    looks_like,
)
from ._mimic_measured import minutes, texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

UNDER_SKIN = "06-Insulin (Non IV)"
FLUID_BOLUS = "03-IV Fluid Bolus"  # charted as a push of one minute, whatever its volume
PIGGYBACK = 30.0  # min; how long a piggyback takes, setting
PUSH = 1.5  # min; an interval no longer than this has no stated duration
# A row's amount is what was given. It may differ from rate times duration by this factor, beyond which the row says
# two things; within `CLOSE` of another unit's factor, it says which unit was meant. Settings.
TWOFOLD, CLOSE = 2.0, 0.05
_LITERS, _MILLILITERS = ("l", "liter"), ("ml", "cc")


@dataclass(frozen=True, eq=False)
class Orders:
    """Rows of a table of inputs as arrays."""

    item: np.ndarray
    start: np.ndarray
    end: np.ndarray
    amount: np.ndarray
    amount_unit: np.ndarray
    rate: np.ndarray
    rate_unit: np.ndarray
    category: np.ndarray
    weight: np.ndarray
    chain: np.ndarray
    order: np.ndarray


def variable_of(item: int, label: str) -> str:
    """Return the input that an item is about: read as, looking like, or else food whose content is not known."""
    return given_item(item, label) or looks_like(label) or "enteral_glucose"


def running(
    rows: pd.DataFrame,
    stay: pd.Series,
    source: str,
    labels: Mapping[int, str],
    domains: tuple[str, ...],
    weight: float | None,
    bolus_duration: float | None,
) -> tuple[list[Doses], list[Fates]]:
    """Return what was given, and the fates of all rows.

    Parameters
    ----------
    rows : DataFrame
        The stay's.
    stay : Series
    source : str
        The table's name.
    labels : mapping of int to str
    domains : tuple of str
        Whose inputs are wanted.
    weight : float or None
        kg.
    bolus_duration : float or None
        min; of a fluid bolus without a duration.

    Returns
    -------
    doses : list of Doses
    fates : list of Fates
    """
    orders, names = _orders(rows, stay), _names(rows, labels)
    repeated = _repeated(rows)
    rewritten = texts(rows["status"]).str.lower().eq("rewritten").to_numpy()
    astray = (rows["stay"] != stay["stay"]).to_numpy()
    doses, accounts = [], []
    for name in wanted(names, domains):
        mine = names == name
        some = Orders(*(getattr(orders, key)[mine] for key in Orders.__dataclass_fields__))
        fates = Fates(source, name, rows["row"].to_numpy()[mine], some.start)
        accounts.append(fates)
        fates.aside(astray[mine], "charted without a stay")
        fates.aside(rewritten[mine], "rewritten")
        fates.aside(np.isnan(some.start) | np.isnan(some.end), "no time")
        fates.merge(repeated[mine], "the same row of the same order once more")
        fates.aside(some.end < some.start, "ends before it starts")
        fates.aside((some.amount < 0) | (some.rate < 0), "negative amount")
        unread = unread_items(some.item, labels)
        for item, reason in unread.items():
            fates.aside(some.item == item, reason)
        if name in DRUGS:
            doses.append(_drug(DRUGS[name], some, fates, weight))
        elif name in FLUIDS:
            doses.append(_fluid(some, fates, bolus_duration))
        elif name in ("insulin", "subcutaneous_insulin"):
            doses.append(_insulin(some, fates))
        elif name in ("parenteral_glucose", "enteral_glucose"):
            doses.append(_glucose(some, fates, labels))
        else:
            fates.aside(fates.left, "not read as an input")
    return doses, accounts


def wanted(names: np.ndarray, domains: tuple[str, ...]) -> list[str]:
    """Return the inputs of some domains among the rows' names."""
    from ._mimic_items import domain

    return [name for name in np.unique(names).tolist() if (domain(name) or "glucose") in domains]


def unread_items(items: np.ndarray, labels: Mapping[int, str]) -> dict[int, str]:
    """Return why the rows of some items are not read, by item."""
    found = {}
    for item in np.unique(items).tolist():
        label = labels.get(int(item), "")
        if given_item(int(item), label) is None or (item in FEEDS and glucose_content(label, feed=True) is None):
            fed = looks_like(label) is None
            found[item] = f"no carbohydrate known for {label!r}" if fed else f"item {label!r} is not read"
    return found


def _orders(rows: pd.DataFrame, stay: pd.Series) -> Orders:
    chains, orders = rows["chain"], rows["order_id"]
    # Rows of an order that has no number are orders of their own.
    lone = "row " + rows["row"].astype("str")
    chain = chains.astype("str").where(chains.notna(), lone) + "/" + rows["item"].astype("str")
    order = orders.astype("str").where(orders.notna(), lone) + "/" + rows["item"].astype("str")
    return Orders(
        rows["item"].to_numpy(),
        minutes(rows["start"], stay),
        minutes(rows["end"], stay),
        rows["amount"].to_numpy(float),
        texts(rows["amount_unit"]).to_numpy(),
        rows["rate"].to_numpy(float),
        texts(rows["rate_unit"]).map(units.normalize).to_numpy(),
        texts(rows["order"]).to_numpy(),
        rows["patient_weight"].to_numpy(float),
        chain.to_numpy(),
        order.to_numpy(),
    )


def _names(rows: pd.DataFrame, labels: Mapping[int, str]) -> np.ndarray:
    names = rows["item"].map({i: variable_of(i, labels.get(i, "")) for i in rows["item"].unique().tolist()}).to_numpy()
    pushed = rows["rate"].isna().to_numpy() & (texts(rows["order"]) == UNDER_SKIN).to_numpy()
    return np.where((names == "insulin") & pushed, "subcutaneous_insulin", names).astype(object)


def _repeated(rows: pd.DataFrame) -> np.ndarray:
    """Say which rows repeat another of the same order in every column; with another number they may both be real."""
    columns = ["order_id", "item", "start", "end", "amount", "amount_unit", "rate", "rate_unit", "status"]
    return rows.duplicated(columns).to_numpy() & rows["order_id"].notna().to_numpy()


def _insulin(some: Orders, fates: Fates) -> Doses:
    ends = np.maximum(some.end, some.start + 1.0)
    pushed = np.isnan(some.rate)
    fates.aside(np.array([units.normalize(unit) != "U" for unit in some.amount_unit], bool), "unusable unit")
    known_rates = np.isin(some.rate_unit, ("U/h", "U/min", ""))
    fates.aside(~pushed & ~known_rates, "unusable unit")
    rates = np.where(some.rate_unit == "U/min", 60.0, 1.0) * some.rate
    rates = _by_amount(some, rates, some.amount / (ends - some.start) * 60.0, {"a rate per hour": 1 / 60.0}, fates)
    rates = np.where(pushed, some.amount * 60 / (ends - some.start), rates)
    skin = np.isin(some.item, INSULIN_OTHER) & ~np.isin(some.item, INSULIN_REGULAR)
    orders = np.where(pushed | skin, some.order, some.chain)
    return Doses(fates, some.start, ends, rates, "U/h", pushed, orders, some.start)


def _glucose(some: Orders, fates: Fates, labels: Mapping[int, str]) -> Doses:
    content = {
        item: glucose_content(labels.get(item, ""), feed=item in FEEDS) for item in np.unique(some.item).tolist()
    }
    each = np.array([(content[item] or ("", np.nan))[1] for item in some.item.tolist()], float)
    lower = np.array([unit.lower() for unit in some.amount_unit], object)
    liters = np.isin(lower, _LITERS)
    fates.aside(~liters & ~np.isin(lower, _MILLILITERS), "unusable unit")
    pushed = np.isnan(some.rate)
    ends = np.maximum(some.end, some.start + 1.0)
    # A piggyback's diluent is charted as a push of one minute.
    short = pushed & (some.amount >= 50) & (ends - some.start < PIGGYBACK) & (fates.variable == "parenteral_glucose")
    ends = np.where(short, some.start + PIGGYBACK, ends)
    volumes = some.amount * np.where(liters, 1000.0, 1.0)
    with np.errstate(invalid="ignore"):
        hourly = np.where(some.rate_unit == "mL/h", some.rate, np.nan)
        _by_amount(some, hourly, volumes / (ends - some.start) * 60.0, {}, fates)
    orders = np.where(pushed, some.order, some.chain)
    return Doses(fates, some.start, ends, volumes * each / (ends - some.start), "mmol/min", pushed, orders, some.start)


def _drug(drug: Given, some: Orders, fates: Fates, weight: float | None) -> Doses:
    fates.aside(np.isnan(some.rate), "an amount without a rate")
    rates = rates_of(drug, fates, some.rate, some.rate_unit, weight, fates.left)
    given = np.full(rates.size, np.nan)
    for place in np.flatnonzero(fates.left & (some.amount > 0) & (some.end > some.start)):
        per_minute = f"{units.normalize(some.amount_unit[place])}/min"
        kilograms = some.weight[place] if some.weight[place] > 0 else weight
        try:
            given[place] = units.convert(
                some.amount[place] / (some.end[place] - some.start[place]), per_minute, drug.unit,
                variable=fates.variable, weight=kilograms,
            )  # fmt: skip
            # A dose per kilogram was pumped for the weight that its order names.
            if not units.per_weight(some.rate_unit[place]) and weight and kilograms:
                given[place] *= kilograms / weight
        except ValueError:  # an amount in a unit that is none of the drug's, or no weight
            continue
    kilograms = np.where(some.weight > 0, some.weight, np.nan if weight is None else weight)
    others = {
        "a rate per hour": 1 / 60.0, "a rate per minute": 60.0,
        "a rate not per kilogram": 1 / kilograms, "a rate per kilogram": kilograms,
    }  # fmt: skip
    rates = _by_amount(some, rates, given, others, fates)
    # What an amount has confirmed or corrected is not suspected.
    suspect(drug, fates, rates, some.rate, some.rate_unit, ~np.isclose(rates, given, rtol=CLOSE))
    fates.aside(rates > drug.high, f"rate above {drug.high:g} {drug.unit}")
    return Doses(fates, some.start, some.end, rates, drug.unit, np.zeros(rates.size, bool), some.chain, some.start)


def _by_amount(some: Orders, rates: np.ndarray, given: np.ndarray, others: dict, fates: Fates) -> np.ndarray:
    """Return rates that agree with the amounts given: where a unit was mistaken, the amount says which was meant."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where((some.end > some.start) & (rates > 0) & (given > 0), given / rates, 1.0)
    found = rates.copy()
    for words, factor in others.items():
        meant = fates.left & (np.abs(ratio / factor - 1.0) <= CLOSE) & (np.abs(ratio - 1.0) > CLOSE)
        found[meant] = given[meant]
        fates.remark(meant, f"taken for {words}, as its amount says")
        ratio[meant] = 1.0
    apart = (ratio > TWOFOLD) | (ratio < 1.0 / TWOFOLD)
    fates.aside(apart, "amount and rate × duration differ more than twofold")
    return found


def rates_of(
    drug: Given, fates: Fates, rates: np.ndarray, charted: np.ndarray, weight: float | None, where: np.ndarray
) -> np.ndarray:
    """Return some rows' rates in the drug's unit; one in a unit that does not allow it is set aside."""
    found = np.full(rates.size, np.nan)
    for unit in np.unique(charted[fates.left & where].astype(str)):
        these = fates.left & where & (charted == unit)
        try:
            factor = units.convert(1.0, unit, drug.unit, variable=fates.variable, weight=weight) if unit else np.nan
        except ValueError:  # mL/h without a concentration, or per kilogram without a weight
            factor = np.nan
        if not np.isfinite(factor):
            fates.aside(these, "unit that needs a concentration or a weight")
            continue
        found[these] = rates[these] * factor
    return found


def suspect(
    drug: Given, fates: Fates, rates: np.ndarray, charted: np.ndarray, unit: np.ndarray, where: np.ndarray
) -> None:
    """Set aside rates that fit another unit: per hour charted per minute, per kilogram charted without, or too high."""
    with np.errstate(invalid="ignore"):
        if drug.unit == "U/min":
            fates.aside(
                where & (unit == "U/min") & (rates >= HOURLY_VASOPRESSIN), "charted per minute, like units per hour"
            )
        per_minute = np.isin(unit, ("ug/min", "mcg/min"))
        fates.aside(
            where & per_minute & (charted > 0) & (charted < drug.least), "charted per minute, like a rate per kilogram"
        )
        fates.aside(where & (rates > drug.high), f"rate above {drug.high:g} {drug.unit}")


def volumes_of(amounts: np.ndarray, charted: np.ndarray) -> np.ndarray:
    """Return volumes in mL, NaN in another unit."""
    lower = np.array([unit.lower() for unit in charted], object)
    return amounts * np.select([np.isin(lower, _MILLILITERS), np.isin(lower, _LITERS)], [1.0, 1000.0], np.nan)


def _fluid(some: Orders, fates: Fates, bolus_duration: float | None) -> Doses:
    volumes = volumes_of(some.amount, some.amount_unit)
    fates.aside(np.isnan(volumes), "unusable unit")
    pushed = (some.category == FLUID_BOLUS) | (some.end - some.start <= PUSH)
    ends = some.end.copy()
    ends[pushed] = some.start[pushed] + (np.nan if bolus_duration is None else bolus_duration)
    fates.aside(np.isnan(ends), "bolus without a duration (give `bolus_duration`)")
    with np.errstate(invalid="ignore", divide="ignore"):
        flows = volumes / (ends - some.start)
        fates.aside(flows > HIGHEST_FLOW, f"faster than {HIGHEST_FLOW:g} mL/min")
    orders = np.where(pushed, some.order, some.chain)
    return Doses(fates, some.start, ends, flows, "mL/min", pushed, orders, some.start)
