"""Alarms scored event by event: what was caught, what was cried in vain, how early, how often."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..display import number
from ..forecasting.watch import Watch
from ..patient.record import Series
from ..patient.require import require_kinds
from ..patient.units import minutes, span

_THRESHOLDS, _RESAMPLES = 60, 500
_BORDER = 1e-9


@dataclass(frozen=True)
class Alarms:
    """How well scores announce an event.

    Attributes
    ----------
    watch : Watch
    horizon : float, min
    frame : pandas.DataFrame
        One row per forecaster: points, positive (share), auroc, auroc_low, auroc_high (pooled, with the 90 % interval
        of a bootstrap over patients), within (median over patients of their own AUROC), patients_within, and for those
        that are probabilities brier, observed_over_expected with its interval.
    curves : pandas.DataFrame
        One row per forecaster and threshold: recall (of onsets), precision (of alarms), alarms_per_day,
        false_per_day, silenced (share of time under silence), lead (median min from the first alarm to the onset).
    counts : mapping of (forecaster, patient) to (threshold, 5) arrays
        Onsets caught, onsets, true alarms, alarms that can be judged, all alarms.
    days : mapping of str to float, patient-days by patient
    """

    watch: Watch
    horizon: float
    frame: pd.DataFrame
    curves: pd.DataFrame
    counts: Mapping[tuple[str, str], np.ndarray]
    days: Mapping[str, float]

    def at(self, rate: float, *, seed: int = 0) -> pd.DataFrame:
        """Return recall and precision of each forecaster at no more than `rate` alarms per patient-day.

        Returns
        -------
        frame : pandas.DataFrame
            One row per forecaster: threshold, alarms_per_day, recall, recall_low, recall_high (90 %, bootstrap over
            patients at this threshold), precision, lead; NaN where even the highest threshold alarms more often.
        """
        rows = []
        for name, curve in self.curves.groupby("forecaster", sort=False):
            within = curve[curve["alarms_per_day"] <= rate + _BORDER]
            if within.empty:
                rows.append({"forecaster": name})
                continue
            best = within.loc[within["recall"].idxmax()]
            place = int(best["place"])
            mine = np.array([c[place] for (who, _), c in self.counts.items() if who == name], float)
            picks = np.random.default_rng(seed).integers(0, len(mine), (_RESAMPLES, len(mine)))
            sums = mine[picks].sum(axis=1)
            low, high = np.nanquantile(_share(sums[:, 0], sums[:, 1]), [0.05, 0.95])
            kept = ("threshold", "alarms_per_day", "recall", "precision", "lead")
            rows.append({"forecaster": name, **{k: best[k] for k in kept}, "recall_low": low, "recall_high": high})
        return pd.DataFrame(rows).set_index("forecaster")

    def __str__(self) -> str:
        """Show the table."""
        title = f"{self.watch.event} within {span(self.horizon)}, {len(self.days)} patients"
        return f"{title}\n{self.frame.map(number).to_string()}"


def judge_alarms(
    watch: Watch,
    readings: Mapping[str, Series],
    scores: pd.DataFrame,
    *,
    horizon: str = "4 h",
    probabilities: Sequence[str] = (),
    seed: int = 0,
) -> Alarms:
    """Score forecasters of an event, each by a number that is higher where the event is nearer.

    Every time counts: none is left out for being hard to tell. Those at which the last reading is bad are: the event
    is there. What is scored may use the future, what scores may not: that is the caller's duty, and `Record.until` the
    way.

    Parameters
    ----------
    watch : Watch
    readings : mapping of patient to Series
        What came, by patient.
    scores : pandas.DataFrame
        Columns patient and time (min), and one column per forecaster.
    horizon : str
        An alarm is true if a bad reading comes within it; an onset is caught if an alarm came within it before.
    probabilities : sequence of str
        The forecasters whose score is the probability of a bad reading within the horizon.
    seed : int
        Of the bootstrap over patients.

    Returns
    -------
    Alarms

    Raises
    ------
    TypeError
        If `watch` is no `Watch`.
    ValueError
        If a column is missing, a patient has no readings, a score is NaN, or no time can be judged.
    """
    require_kinds(watch=(watch, Watch))
    ahead = minutes(horizon)
    names = [str(name) for name in scores.columns if name not in ("patient", "time")]
    _check(scores, readings, names, probabilities)
    stays = {
        str(who): _Stay.of(watch, readings[who], rows.sort_values("time"), names, ahead)
        for who, rows in scores.groupby("patient", sort=False)
    }
    if not any(stay.judged.any() for stay in stays.values()):
        raise ValueError(f"No score can be judged: nothing was measured within {horizon} after any of them.")
    frame = pd.DataFrame([_ranked(name, stays, name in probabilities, seed) for name in names]).set_index("forecaster")
    curves, counts = _curves(watch, names, stays, ahead)
    return Alarms(watch, ahead, frame, curves, counts, {who: stay.days for who, stay in stays.items()})


def opponents(watch: Watch, series: Series, times: np.ndarray) -> pd.DataFrame:
    """Return what the screen tells of an event at times (time,) min: higher is nearer, in the unit of the limit.

    Columns: time; last value; mean of three, the last; trend, the line through the last three an hour on. Only what was
    known at each time counts; NaN before the first reading.
    """
    values, sign = watch.values(series), -1.0 if watch.read().low else 1.0
    rows = []
    for time in np.asarray(times, float):
        known = np.flatnonzero((series.known <= time + _BORDER) & (series.times <= time + _BORDER))[-3:]
        recent, when = values[known], series.times[known]
        row = {"time": float(time), "last value": np.nan, "mean of three": np.nan, "trend": np.nan}
        if len(known):
            slope = np.polyfit(when - when[-1], recent, 1)[0] if len(known) > 1 else 0.0
            row |= {"last value": recent[-1], "mean of three": recent.mean(), "trend": recent[-1] + 60.0 * slope}
        rows.append({name: value if name == "time" else sign * value for name, value in row.items()})
    return pd.DataFrame(rows, columns=["time", "last value", "mean of three", "trend"])


# ---- one patient -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Stay:
    times: np.ndarray
    scores: Mapping[str, np.ndarray]
    judged: np.ndarray  # whether the event is not there already, and something came within the horizon
    positive: np.ndarray
    after_bad: np.ndarray  # min since the last bad reading
    readings: np.ndarray
    bad: np.ndarray  # times of the bad ones
    onsets: np.ndarray

    @classmethod
    def of(cls, watch: Watch, series: Series, rows: pd.DataFrame, names, ahead: float) -> "_Stay":
        times, bad = rows["time"].to_numpy(float), watch.bad(series)
        last = np.searchsorted(series.times, times, side="right") - 1
        there = np.where(last >= 0, bad[np.maximum(last, 0)], False)
        bads = series.times[bad]
        before = np.searchsorted(bads, times, side="right") - 1
        since = (
            np.where(before >= 0, times - bads[np.maximum(before, 0)], np.inf)
            if len(bads)
            else np.full(len(times), np.inf)
        )
        came = _between(series.times, times, ahead)
        return cls(
            times, {name: rows[name].to_numpy(float) for name in names}, ~there & (came > 0),
            _between(bads, times, ahead) > 0, since, series.times, bads, watch.onsets(series),
        )  # fmt: skip

    @property
    def days(self) -> float:
        return float(self.times[-1] - self.times[0]) / 1440.0 if len(self.times) else 0.0

    def alarms(self, scores: np.ndarray, threshold: float, silence: float, grace: float) -> np.ndarray:
        """Return when alarms sound: at or above the threshold, neither in the event's grace nor in a silence."""
        found: list[float] = []
        for time, score, since in zip(self.times, scores, self.after_bad, strict=True):
            if score >= threshold and since > grace and not (found and time - found[-1] < silence - _BORDER):
                found.append(float(time))
        return np.array(found)

    def counted(self, alarms: np.ndarray, ahead: float) -> tuple[np.ndarray, np.ndarray]:
        """Return onsets caught, onsets, true alarms, alarms to be judged, all alarms; and the lead of each caught."""
        looked = self.onsets[_between(self.times, self.onsets - ahead - 2 * _BORDER, ahead) > 0]
        caught = _between(alarms, looked - ahead - 2 * _BORDER, ahead)
        first = alarms[np.searchsorted(alarms, looked[caught > 0] - ahead - _BORDER, side="right")]
        judged = alarms[_between(self.readings, alarms, ahead) > 0]
        true = _between(self.bad, judged, ahead) > 0
        sizes = ((caught > 0).sum(), len(looked), true.sum(), len(judged), len(alarms))
        return np.array(sizes), looked[caught > 0] - first


def _between(events: np.ndarray, times: np.ndarray, ahead: float) -> np.ndarray:
    """Return how many events lie within (time, time + ahead], (time,)."""
    return np.searchsorted(events, times + ahead + _BORDER, side="right") - np.searchsorted(
        events, times + _BORDER, side="right"
    )


# ---- over patients ---------------------------------------------------------------------------------------------------


def auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Return the probability that a positive scores above a negative, ties counted half; NaN without both."""
    hits, n = int(positive.sum()), len(positive)
    if hits in (0, n):
        return np.nan
    from scipy.stats import rankdata  # here because importing it takes long

    ranks = rankdata(scores)
    return float((ranks[positive].sum() - hits * (hits + 1) / 2) / (hits * (n - hits)))


def _ranked(name: str, stays: Mapping[str, _Stay], probability: bool, seed: int) -> dict[str, Any]:
    """Return the figures of one forecaster at single times."""
    parts = [(stay.scores[name][stay.judged], stay.positive[stay.judged]) for stay in stays.values()]
    parts = [(scores, positive) for scores, positive in parts if len(scores)]
    scores, positive = (np.concatenate(part) for part in zip(*parts, strict=True))
    own = np.array([auroc(*part) for part in parts])
    picks = np.random.default_rng(seed).integers(0, len(parts), (_RESAMPLES, len(parts)))
    again = [auroc(*(np.concatenate(part) for part in zip(*(parts[i] for i in pick), strict=True))) for pick in picks]
    found = {"forecaster": name, "points": len(scores), "positive": positive.mean(), "auroc": auroc(scores, positive)}
    found["auroc_low"], found["auroc_high"] = (
        np.nanquantile(again, [0.05, 0.95])
        if np.isfinite(again).any()
        else (
            np.nan,
            np.nan,
        )
    )
    found |= {"within": np.nan, "patients_within": int(np.isfinite(own).sum())}
    if np.isfinite(own).any():
        found["within"] = float(np.nanmedian(own))
    if probability:
        sums = np.array([(positive.sum(), scores.sum()) for scores, positive in parts])[picks].sum(axis=1)
        low, high = np.quantile(_share(sums[:, 0], sums[:, 1]), [0.05, 0.95])
        found |= {
            "brier": float(np.mean((scores - positive) ** 2)),
            "observed_over_expected": float(positive.sum() / max(scores.sum(), 1e-12)),
            "observed_over_expected_low": low, "observed_over_expected_high": high,
        }  # fmt: skip
    return found


def _curves(watch: Watch, names, stays: Mapping[str, _Stay], ahead: float):
    """Return the curve of every forecaster over its thresholds, and the counts by patient behind it."""
    silence, grace = minutes(watch.silence), minutes(watch.grace)
    counts: dict[tuple[str, str], np.ndarray] = {}
    days, rows = sum(stay.days for stay in stays.values()), []
    for name in names:
        every = np.concatenate([stay.scores[name] for stay in stays.values()])
        thresholds = np.unique(np.quantile(every, np.linspace(0.0, 1.0, _THRESHOLDS), method="higher"))
        by_patient = {who: np.zeros((len(thresholds), 5), int) for who in stays}
        for place, threshold in enumerate(thresholds):
            leads = []
            for who, stay in stays.items():
                alarms = stay.alarms(stay.scores[name], threshold, silence, grace)
                by_patient[who][place], lead = stay.counted(alarms, ahead)
                leads.append(lead)
            caught, onsets, true, judged, sounded = sum(by_patient[who][place] for who in stays)
            lead = np.concatenate(leads)
            rows.append({
                "forecaster": name, "place": place, "threshold": float(threshold),
                "recall": float(_share(caught, onsets)), "precision": float(_share(true, judged)),
                "alarms_per_day": float(_share(sounded, days)), "false_per_day": float(_share(judged - true, days)),
                "silenced": float(min(_share(sounded * silence / 1440.0, days), 1.0)),
                "lead": float(np.median(lead)) if len(lead) else np.nan,
            })  # fmt: skip
        counts |= {(name, who): mine for who, mine in by_patient.items()}
    return pd.DataFrame(rows), counts


def _share(part, whole):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.asarray(whole) > 0, np.divide(part, whole), np.nan)


def _check(scores: pd.DataFrame, readings: Mapping[str, Series], names: Sequence[str], probabilities) -> None:
    """Refuse a table that cannot be judged."""
    missing = [name for name in ("patient", "time", *probabilities) if name not in scores.columns]
    if missing or not names:
        raise ValueError(
            f"A table of scores needs columns patient, time and forecasters, but lacks {missing or 'these'}."
        )
    unknown = [str(who) for who in scores["patient"].unique() if who not in readings]
    if unknown:
        raise ValueError(f"{len(unknown)} patients have scores and no readings: give `readings` of each.")
    for name in names:
        wrong = np.flatnonzero(~np.isfinite(scores[name].to_numpy(float)))
        if len(wrong):
            raise ValueError(
                f"Score `{name}` has no number in row {scores.index[wrong[0]]} ({len(wrong)} rows): leave such times "
                "out for every forecaster, or all are not judged alike."
            )
        if name in probabilities and not scores[name].between(0.0, 1.0).all():
            raise ValueError(f"Score `{name}` is said to be a probability, but is not within 0 and 1 in every row.")
