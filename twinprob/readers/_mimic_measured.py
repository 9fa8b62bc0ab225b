"""One MIMIC stay's measurements: chart and laboratory on one clock, every value once, every row accounted for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..patient import units
from ._beyond import Meters, numbers_of
from ._fates import Fates, one_value_each
from ._mimic_items import (
    CIRCULATION,
    COPIES,
    GASES,
    GLUCOSE,
    GLUCOSE_LAB,
    LUNGS,
    SPECIMEN,
    Charted,
)

if TYPE_CHECKING:
    import pandas as pd

    from ..patient.ledger import Line
    from ._mimic_tables import Tables

# MetaVision's copies of laboratory values, by laboratory item: they show by how much its clock is ahead.
_GLUCOSE_COPIES = (220621, 226537)
_SHOWN = {
    **dict.fromkeys(GLUCOSE_LAB, _GLUCOSE_COPIES), 50821: (220224,), 50818: (220235,), 50820: (223830,),
}  # fmt: skip
AHEAD = 60.0  # min; from spring to autumn
LATE = 61.0  # min; within which a charted gas with the laboratory's value is its copy, setting
ARTERIAL_OXYGEN = 60.0  # mmHg; venous blood has hardly more, so that a sample without a label is arterial, setting


@dataclass(frozen=True, eq=False)
class View:
    """Rows of chart or laboratory of one stay as arrays, times in min from its admission."""

    source: str
    item: np.ndarray
    time: np.ndarray
    stored: np.ndarray
    number: np.ndarray
    error: np.ndarray
    row: np.ndarray
    text: pd.Series
    specimen: np.ndarray

    def select(self, keep: np.ndarray) -> View:
        """Keep some rows; `keep` is (row,) bool or places."""
        columns = ("item", "time", "stored", "number", "error", "row", "specimen")
        return replace(self, text=self.text.iloc[keep], **{name: getattr(self, name)[keep] for name in columns})

    @property
    def known(self) -> np.ndarray:
        """When each row was known: a copy of the laboratory's when it was stored, anything else when it was charted."""
        late = np.isin(self.item, COPIES) & (self.stored > self.time)
        return np.where(late, self.stored, self.time)


def minutes(times: pd.Series, stay: pd.Series) -> np.ndarray:
    """Return times as min from a stay's admission; NaN where there is none."""
    return (times.to_numpy("datetime64[s]") - np.datetime64(stay["intime"], "s")) / np.timedelta64(1, "s") / 60.0


def texts(column: pd.Series) -> pd.Series:
    """Return a column as text, empty where there is none."""
    return column.fillna("").astype("str")


def view(tables: Tables, table: str, frame: pd.DataFrame, stay: pd.Series) -> View:
    """Return rows of chart or laboratory as arrays."""
    error = frame["error"].fillna(0).to_numpy(float) == 1 if "error" in frame else np.zeros(len(frame), bool)
    specimen = frame["specimen"].to_numpy(float) if "specimen" in frame else np.full(len(frame), np.nan)
    return View(
        tables.sources[table],
        frame["item"].to_numpy(),
        minutes(frame["time"], stay),
        minutes(frame["stored"], stay),
        frame["number"].to_numpy(float),
        error,
        frame["row"].to_numpy(),
        frame["text"],
        specimen,
    )


class Measured:
    """The measurements of one stay, read variable by variable.

    Parameters
    ----------
    chart : View
        The stay's.
    labs : View
        The person's, within the stay; see `own_clock`.
    meters : mapping
        The lowest and the highest reading of a variable's meter, and their unit.
    """

    def __init__(self, chart: View, labs: View, meters: Meters) -> None:
        self.chart, self.labs, self.meters = chart, labs, meters
        self.shift, self.drawn = own_clock(labs, chart)
        # A laboratory without a time of storing (MIMIC-III) does not say when a result was known.
        self.result = np.maximum(np.where(np.isnan(labs.stored), np.nan, labs.stored + self.shift), self.drawn)
        self._fates: list[tuple[Fates, np.ndarray]] = []

    def lines(self) -> list[Line]:
        """Return what became of the rows."""
        return [line for fates, _ in self._fates for line in fates.lines()]

    def leave_out(self, name: str, times: np.ndarray, reason: str) -> None:
        """Set the rows of one variable at some times aside after all."""
        for fates, rows in self._fates:
            if fates.variable == name:
                fates.aside(np.isin(rows, times), reason)

    def read(self, domains: tuple[str, ...]) -> dict[str, tuple]:
        """Return (times, values, unit, limits, known) of every variable of some domains."""
        found = {}
        if "glucose" in domains:
            found["glucose"] = self._glucose()
        if "lungs" in domains:
            found |= {name: self._charted(name, one) for name, one in LUNGS.items() if name not in GASES}
            found |= self._gases()
        if "circulation" in domains:
            found |= self._circulation()
        return found

    def _charted(self, name: str, charted: Charted) -> tuple:
        times, values, limits, fates = from_chart(self.chart, name, charted, self.meters)
        found = one_value_each(times, values, limits, fates.known, fates)
        self._fates.append((fates, times))
        return (found[0], found[1], charted.unit, found[2], found[3])

    def _glucose(self) -> tuple:
        chart = self.chart.select(np.isin(self.chart.item, GLUCOSE.items))
        mine = np.isin(self.labs.item, GLUCOSE_LAB)
        labs, drawn, shifted = self.labs.select(mine), self.drawn[mine], self.shift[mine] > 0
        times = np.append(drawn, chart.time)
        read = numbers_of(
            "glucose", np.append(labs.number, chart.number), [*texts(labs.text), *texts(chart.text)],
            GLUCOSE.unit, self.meters,
        )  # fmt: skip
        values, limits = read.values, read.limits
        known = np.append(self.result[mine], chart.known)
        fates = _fates("glucose", labs, chart, np.where(np.isnan(known), times, known))
        fates.aside(np.append(labs.error, chart.error), "charted as an error")
        read.account(fates)
        fates.aside(~np.isfinite(times), "no time")
        fates.aside(~units.plausible("glucose", np.nan_to_num(values, nan=-1.0), GLUCOSE.unit), "implausible")
        charted = set(zip(chart.time.tolist(), chart.number.tolist(), strict=True))
        again = [one in charted for one in zip(drawn.tolist(), labs.number.tolist(), strict=True)]
        copied = np.append(np.array(again, bool) & shifted, np.zeros(chart.row.size, bool))
        self._earliest(times, values, known, copied)
        fates.merge(copied, "laboratory value charted again an hour later (summer time)")
        moments, means, bounds, then = one_value_each(times, values, limits, known, fates)
        self._fates.append((fates, times))
        return moments, means, GLUCOSE.unit, bounds, np.fmax(then, moments)

    @staticmethod
    def _earliest(times: np.ndarray, values: np.ndarray, known: np.ndarray, copied: np.ndarray) -> None:
        """Let the rows that a copy stands for be known when the first of them was; `known` is changed."""
        for place in np.flatnonzero(copied):
            same = (times == times[place]) & (values == values[place]) & ~copied
            known[same] = np.fmin(known[same], known[place])

    def _gases(self) -> dict[str, tuple]:
        """Return arterial gases; other blood, and blood of unknown site, is counted and not used."""
        labels = {}
        for place in np.flatnonzero(np.isin(self.labs.item, SPECIMEN)).tolist():
            labels[_sample(self.labs, place)] = str(self.labs.text.iloc[place]).strip().upper()
        parts = {name: self._gas(name, item) for name, item in GASES.items()}
        vouched = {sample for part in parts.values() for sample in part.vouched}
        found = {}
        for name, part in parts.items():
            words = [labels.get(sample) for sample in part.samples]
            other = np.array([w is not None and not w.startswith("ART") for w in words], bool)
            for kind in ("venous", "mixed"):
                such = np.array([_blood(w or "") == kind for w in words], bool) & other
                part.fates.aside(_among(part, such), f"not arterial blood ({kind})")
            part.fates.aside(_among(part, other), "not arterial blood")
            copies = np.array([copy for lab, copy in part.together if other[lab]], int)
            part.fates.aside(copies, "copy of a sample that is not arterial blood")
            unlabeled = np.array(
                [w is None and s not in vouched for w, s in zip(words, part.samples, strict=True)], bool
            )
            part.fates.aside(
                _among(part, unlabeled),
                f"blood of unknown site (no specimen, not charted as arterial, oxygen below {ARTERIAL_OXYGEN:g} mmHg)",
            )
            times, known = part.times, part.known
            moments, means, bounds, then = one_value_each(times, part.values, part.limits, known, part.fates)
            found[name] = (moments, means, LUNGS[name].unit, bounds, np.fmax(then, moments))
            self._fates.append((part.fates, times))
        told = self.labs.select(np.isin(self.labs.item, SPECIMEN))
        self._fates.append((Fates(told.source, "specimen", told.row, told.time), told.time))
        return found

    def _gas(self, name: str, item: int) -> _Gas:
        chart = self.chart.select(np.isin(self.chart.item, LUNGS[name].items))
        mine = np.flatnonzero(self.labs.item == item)
        labs, drawn, result = self.labs.select(mine), self.drawn[mine], self.result[mine]
        times, numbers = np.append(drawn, chart.time), np.append(labs.number, chart.number)
        words = [*texts(labs.text), *texts(chart.text)]
        read = numbers_of(name, numbers, words, LUNGS[name].unit, self.meters)
        values, known = read.values, np.append(result, chart.known)
        fates = _fates(name, labs, chart, np.where(np.isnan(known), times, known))
        fates.aside(np.append(labs.error, chart.error), "charted as an error")
        read.account(fates)
        fates.aside(~np.isfinite(times), "no time")
        fates.aside(~units.plausible(name, np.nan_to_num(values, nan=-1.0), LUNGS[name].unit), "implausible")
        usable = fates.left
        pairs = _copies(drawn, labs.number, chart.time, chart.number, usable[: drawn.size], usable[drawn.size :])
        for lab, copy in pairs:
            known[drawn.size + copy] = np.fmin(known[drawn.size + copy], known[lab])
        fates.merge(np.array([lab for lab, _ in pairs], int), "laboratory value charted again")
        samples = [_sample(self.labs, place) for place in mine.tolist()]
        vouched = {samples[lab] for lab, _ in pairs}
        if name == "arterial_oxygen":
            vouched |= {one for one, value in zip(samples, labs.number, strict=True) if value >= ARTERIAL_OXYGEN}
        together = [(lab, drawn.size + copy) for lab, copy in pairs]
        return _Gas(times, values, read.limits, known, samples, vouched, together, fates)

    def _circulation(self) -> dict[str, tuple]:
        parts = {name: from_chart(self.chart, name, charted, self.meters) for name, charted in CIRCULATION.items()}
        highs, lows = _means(*parts["systolic_pressure"]), _means(*parts["diastolic_pressure"])
        both, first, second = np.intersect1d(highs[0], lows[0], return_indices=True)
        wrong = both[highs[1][first] <= lows[1][second]]
        found = {}
        for name, (times, values, limits, fates) in parts.items():
            if name in ("mean_arterial_pressure", "systolic_pressure", "diastolic_pressure"):
                fates.aside(np.isin(times, wrong), "systolic not above diastolic")
            one = one_value_each(times, values, limits, fates.known, fates)
            found[name] = (one[0], one[1], CIRCULATION[name].unit, one[2], one[3])
            self._fates.append((fates, times))
        return found


@dataclass(frozen=True, eq=False)
class _Gas:
    """One gas: laboratory rows first, the chart's after them; `together` pairs rows of one value."""

    times: np.ndarray
    values: np.ndarray
    limits: np.ndarray
    known: np.ndarray
    samples: list[float]
    vouched: set[float]
    together: list[tuple[int, int]]
    fates: Fates


def _means(times: np.ndarray, values: np.ndarray, limits: np.ndarray, fates: Fates) -> tuple[np.ndarray, np.ndarray]:
    left = fates.left & (limits == 0)
    moments, which, count = np.unique(times[left], return_inverse=True, return_counts=True)
    return moments, np.bincount(which, values[left], moments.size) / np.maximum(count, 1)


def _blood(word: str) -> str:
    return "mixed" if "MIX" in word else "venous" if "VEN" in word or "CENTRAL" in word else ""


def _among(part: _Gas, labs: np.ndarray) -> np.ndarray:
    """Return a condition on laboratory rows as one on all rows of a gas."""
    return np.append(labs, np.zeros(part.times.size - labs.size, bool))


def _sample(labs: View, place: int) -> float:
    """Return what is the same for all rows of one sample: its number where there is one, else its time."""
    number = labs.specimen[place]
    return float(labs.time[place]) if np.isnan(number) else 1e9 + float(number)


def _fates(name: str, labs: View, chart: View, known: np.ndarray) -> Fates:
    source = np.array([labs.source] * labs.row.size + [chart.source] * chart.row.size, object)
    return Fates(source, name, np.append(labs.row, chart.row), known)


def from_chart(
    chart: View, name: str, charted: Charted, meters: Meters
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Fates]:
    """Return times, values in the vocabulary's unit, limits and fates of one variable's rows of the chart."""
    some = chart.select(np.isin(chart.item, charted.items))
    read = numbers_of(name, some.number, texts(some.text), charted.unit, meters, per=charted.per)
    values = read.values
    fates = Fates(some.source, name, some.row, some.known)
    fates.aside(some.error, "charted as an error")
    read.account(fates)
    fates.aside(~np.isfinite(some.time), "no time")
    if name == "inspired_oxygen":
        values = fractions(values, fates)
    if charted.low is None or charted.high is None:
        fates.aside(~units.plausible(name, np.nan_to_num(values, nan=-1.0), charted.unit), "implausible")
    else:
        with np.errstate(invalid="ignore"):
            outside = ~((values >= charted.low) & (values <= charted.high))
        fates.aside(outside, f"artefact, not {charted.low:g} to {charted.high:g}")
    return some.time, values, read.limits, fates


def fractions(values: np.ndarray, fates: Fates) -> np.ndarray:
    """Read inspired oxygen in percent or as a fraction; between them lies a flow of oxygen in L/min."""
    with np.errstate(invalid="ignore"):
        percent = values >= 20.0
        # In a chart that writes percent, 1 is a flow as well.
        low = 1.0 if np.sum(percent) > np.sum(values < 1.0) else np.nextafter(1.0, 2.0)
        fates.aside((values >= low) & ~percent, "implausible, like an oxygen flow in L/min")
        return np.where(percent, values / 100.0, values)


def own_clock(labs: View, chart: View) -> tuple[np.ndarray, np.ndarray]:
    """Return by how much each laboratory row stands behind the chart's clock, and its time on that clock.

    From spring to autumn MetaVision's clock is one hour ahead of the laboratory's: in the demo 275 of 570 charted
    glucose values of the laboratory stand exactly 60 min after their original, none of them between December and
    February. A sample votes by its copies in the chart, one without a copy goes with its nearest neighbor.

    Parameters
    ----------
    labs, chart : View
        Of one stay.

    Returns
    -------
    shift, times : (row,) min
    """
    shown = chart.select(np.isin(chart.item, [copy for copies in _SHOWN.values() for copy in copies]))
    charted = set(zip(shown.item.tolist(), shown.time.tolist(), shown.number.tolist(), strict=True))
    times, votes = labs.time, np.zeros(labs.row.size)
    for place, (item, time, value) in enumerate(
        zip(labs.item.tolist(), times.tolist(), labs.number.tolist(), strict=True)
    ):
        copies = _SHOWN.get(item, ())
        same = any((copy, time, value) in charted for copy in copies)
        later = any((copy, time + AHEAD, value) in charted for copy in copies)
        votes[place] = 1.0 if same else -1.0 if later else 0.0
    moments, which = np.unique(times, return_inverse=True)
    totals = np.bincount(which, votes, moments.size)
    sure = np.flatnonzero(totals)
    if sure.size == 0:
        return np.zeros(times.size), times
    nearest = sure[np.abs(moments[:, None] - moments[sure][None, :]).argmin(axis=1)]
    shift = np.where(totals[nearest] < 0, AHEAD, 0.0)[which]
    return shift, times + shift


def _copies(
    drawn: np.ndarray, values: np.ndarray, charted: np.ndarray, seen: np.ndarray, own: np.ndarray, there: np.ndarray
) -> list[tuple[int, int]]:
    """Pair laboratory values with their copies in the chart: at their time, else up to an hour later; each once."""
    free = there.copy()
    pairs: list[tuple[int, int]] = []
    for latest in (0.0, LATE):
        taken = {lab for lab, _ in pairs}
        for lab in np.flatnonzero(own):
            if lab in taken:
                continue
            apart = charted - drawn[lab]
            fits = np.flatnonzero(free & (seen == values[lab]) & (apart >= 0.0) & (apart <= latest))
            if fits.size:
                copy = int(fits[np.argmin(apart[fits])])
                free[copy] = False
                pairs.append((int(lab), copy))
    return pairs
