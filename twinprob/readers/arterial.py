"""Arterial waveforms: beats found by SciPy's peak search, artefacts counted, and what each minute comes to.

A window's figures stand, and are known, at its end: a monitor shows nothing of beats that are still to come.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from os import PathLike
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.ndimage import maximum_filter1d
from scipy.signal import butter, find_peaks, sosfiltfilt

from ..patient import units
from ..patient.course import Course
from ..patient.ledger import Ledger
from ..patient.record import Record, Series
from ._mimic_items import CIRCULATION
from ._sheet import open_samples
from .waveform import _check_clock, _column

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Beats", "find_beats", "read"]

# Settings of this library, not published.
_CUTOFF = 15.0  # 1/s; faster than any pulse, slower than the ringing of a line
_PROMINENT = 0.3  # of the usual pulse: a dicrotic wave is less
_WEAK, _FAINT = 0.12, 0.05  # of the usual pulse: a weak beat rises more than the first, noise less than the second
_FAINTEST = 2.0  # mmHg
_SYSTOLE = 0.45  # s; a wave that begins sooner after a foot may be of the same beat
_HIGH = 0.2  # of the pulse: a wave that begins so far above the diastolic pressure begins within a beat
_HURRIED = 0.72  # of the time to the next foot: sooner, no heart has beaten again
_PUMPED = 0.2  # of the beats have a second wave where a pump assists one in three, or more
_STEADY = 0.03  # s, between the quartiles of how long after a foot a pump's waves begin
_EARLY = 0.8  # of the time to the next beat
_SHORTEST, _LONGEST = 0.25, 2.5  # s between beats
_DAMPED = 12.0  # mmHg; a pulse pressure below it is a clot, a bubble or a kink
_FEWEST = 10  # beats that make a window, and beats in three breaths that make a variation
_NEAR = 0.03  # s
_GAP = 1.5  # of the usual time between samples: more is a gap


class Beats(NamedTuple):
    """The beats of an arterial line, each from foot to foot.

    Attributes
    ----------
    begins, ends : (beat,) min
    systolic, diastolic, mean : (beat,) mmHg
    fault : (beat,) why a beat is an artefact, empty for a good one
    """

    begins: np.ndarray
    ends: np.ndarray
    systolic: np.ndarray
    diastolic: np.ndarray
    mean: np.ndarray
    fault: np.ndarray


def find_beats(times, pressures) -> Beats:
    """Find the beats of an arterial pressure waveform.

    Parameters
    ----------
    times : (time,) min
    pressures : (time,) mmHg

    Returns
    -------
    Beats

    Raises
    ------
    ValueError
        If no two beats are found, or there are fewer than 20 samples in a second.
    """
    return _found(np.asarray(times, float), np.asarray(pressures, float))[0]


def _found(times: np.ndarray, pressures: np.ndarray) -> tuple[Beats, Waves]:
    step = float(np.median(np.diff(times))) * 60.0 if len(times) > 1 else np.inf
    if step > 0.05:
        raise ValueError("An arterial waveform needs at least 20 samples a second: check `rate`, or the clock's unit.")
    waves = _waves(pressures, step)
    feet = waves.feet
    if len(feet) < 2:
        raise ValueError(
            "No two beats are found in the arterial waveform: check that the column is an arterial pressure and not a "
            "venous or a damped one."
        )
    parts = [pressures[a:b] for a, b in pairwise(feet)]
    longest = 60.0 * np.array([np.max(np.diff(times[a : b + 1])) for a, b in pairwise(feet)])
    highest, lowest, mean = (np.array([of(part) for part in parts]) for of in (np.max, np.min, np.mean))
    found = Beats(times[feet[:-1]], times[feet[1:]], highest, lowest, mean, np.full(len(parts), "", object))
    return found._replace(fault=_faults(found, longest > _GAP * step)), waves


class Waves(NamedTuple):
    """Where beats begin, and what else rises in a pressure: (wave,) int places each.

    Attributes
    ----------
    feet : of beats
    second : waves as high as beats that begin within a beat, as a balloon pump's do
    small : waves too small to be told from a dicrotic one
    """

    feet: np.ndarray
    second: np.ndarray
    small: np.ndarray


def _waves(pressures: np.ndarray, step: float) -> Waves:
    """Tell beats from the second waves within them, by size, by the pressure they begin at and by when."""
    slow = pressures
    if 0.5 / step > 1.1 * _CUTOFF and len(pressures) > 30:
        slow = sosfiltfilt(butter(2, _CUTOFF, fs=1.0 / step, output="sos"), pressures)
    usual = _usual_pulse(slow, step)
    least = max(_FAINT * usual, _FAINTEST)
    peaks, found = find_peaks(slow, distance=max(int(_SHORTEST / step), 1), prominence=least)
    if len(peaks) < 2:
        return Waves(*(np.zeros(0, int) for _ in range(3)))
    sizes = found["prominences"]
    large = sizes >= _PROMINENT * usual
    rises = np.array([_rise(slow, a, b) for a, b in pairwise(peaks)], int)  # rise i leads to peak i + 1
    feet: list[int] = []
    second: list[tuple[int, float]] = []
    small: list[int] = []
    for i, rise in enumerate(rises):
        following = rises[i + 1] if i + 1 < len(rises) else len(slow) - 1
        if not feet:
            feet += [rise] if large[i + 1] else []
            continue
        before = feet[-1]
        delay, rest = (rise - before) * step, (following - rise) * step
        pulse = slow[before:rise].max() - slow[before]
        begins_high = slow[rise] - min(slow[before], slow[following]) > _HIGH * pulse
        if large[i + 1]:
            if delay < _SYSTOLE and (begins_high or delay < _HURRIED * rest):
                second.append((rise, delay))
            else:
                feet.append(rise)
        elif sizes[i + 1] < max(_WEAK * usual, _FAINTEST) or begins_high or delay < max(_SYSTOLE, 0.4 * (delay + rest)):
            small += [rise] if delay >= max(_SYSTOLE, 0.4 * (delay + rest)) and not begins_high else []
        else:
            feet.append(rise)
    varied = np.ptp(np.quantile([delay for _, delay in second], [0.25, 0.75])) if second else 0.0
    if varied > _STEADY or len(second) < _PUMPED * len(feet):
        # A pump comes at one time after each beat; beats that come at any time are a fast irregular rhythm.
        feet, second = sorted([*feet, *(rise for rise, _ in second)]), []
    near = max(int(_NEAR / step), 1)  # smoothing moves the foot a little
    feet = [max(f - near, 0) + int(np.argmin(pressures[max(f - near, 0) : f + near + 1])) for f in feet]
    return Waves(np.array(feet, int), np.array([rise for rise, _ in second], int), np.array(small, int))


def _rise(slow: np.ndarray, begin: int, peak: int) -> int:
    """Return where the rise to a peak begins: in a flat diastole the least pressure may stand anywhere."""
    least = begin + int(np.argmin(slow[begin:peak]))
    low = np.flatnonzero(slow[least:peak] <= slow[least] + 0.1 * (slow[peak] - slow[least]))
    return least + int(low[-1])


def read(
    table: str | PathLike[str] | pd.DataFrame,
    *,
    pressure: tuple[str, str],
    time: tuple[str, str] | None = None,
    rate: float | None = None,
    begin: float | str = 0.0,
    every: float | str = "1 min",
    respiratory_rate: float | Series | Course | None = None,
) -> Record:
    """Read an arterial waveform as what a monitor would show of it, window by window.

    Parameters
    ----------
    table : path or DataFrame
    pressure : tuple of (column, unit)
        Arterial pressure, e.g. ``("ABP", "mmHg")``.
    time : tuple of (column, unit), optional
        Clock of the samples, forward only.
    rate : float, 1/s, optional
        Samples per second where the file has no clock. Exactly one of `time` and `rate` is given.
    begin : float or str, min
        When the first sample was taken, where the record's origin is another moment.
    every : float or str, min
        Length of a window.
    respiratory_rate : float (1/min), Series or Course, optional
        Of the ventilator, one number or as it changes (the last value charted before a window's middle); with it, and
        without a breath of the patient's own, pulse-pressure variation is computed.

    Returns
    -------
    record : Record
        Medians over the good beats of each window, at its end: `systolic_pressure`, `diastolic_pressure`,
        `mean_arterial_pressure`, beats per time as `heart_rate`, and over its breaths `pulse_pressure_variation`.
        `record.skipped` counts samples without a number, beats that are artefacts, second waves within a beat (a
        balloon pump's augmentation), waves too small to be told from a dicrotic one, and windows with too few beats.
        `record.notes` say how many beats are weak or early: the heart rate counts them.

    Raises
    ------
    ValueError
        If a column is missing, neither or both of `time` and `rate` are given, the clock jumps back, or there is no
        beat in it.
    """
    frame = open_samples(table)
    if (time is None) == (rate is None):
        raise ValueError(
            "Give exactly one of `time` (a column of the file and its unit) and `rate` (samples per second)."
        )
    raw = np.asarray(units.convert(_column(frame, *pressure), pressure[1], "mmHg"), float)
    if time is not None:
        times = _column(frame, *time) * units.minutes(f"1 {time[1]}")
        _check_clock(times)
        times = times - times[0]
    else:
        if not rate or rate <= 0:
            raise ValueError(f"Argument `rate` must be above zero samples per second, but is {rate}.")
        times = np.arange(len(raw)) / (60.0 * rate)
    times = times + units.minutes(begin)
    known = np.isfinite(raw)
    lost = {"arterial waveform: sample is not a number": times[~known]}
    found, waves = _found(times[known], raw[known])
    lost["wave: second within a beat, as of a balloon pump, not counted as a beat"] = times[known][waves.second]
    lost["wave: too small to be a beat or a dicrotic wave for certain, not counted"] = times[known][waves.small]
    for why in np.unique(found.fault[found.fault != ""]):
        lost[f"beat: {why}"] = found.begins[found.fault == why]
    span = (times[0], times[-1])
    shown = _windows(found, span, units.minutes(every), respiratory_rate, lost)
    record = Record.build(shown, ledger=Ledger.of_reasons({why: lines for why, lines in lost.items() if len(lines)}))
    return replace(record, notes=(*record.notes, *_rhythm(found, waves)))


def _rhythm(found: Beats, waves: Waves) -> tuple[str, ...]:
    """Say what a heart rate alone does not: weak and early beats, and what else rose."""
    good, pulse = found.fault == "", found.systolic - found.diastolic
    usual = float(np.quantile(pulse[good], 0.75)) if good.any() else 0.0
    weak = int(np.sum(good & (pulse < 0.5 * usual)))
    lengths = found.ends - found.begins
    early = int(np.sum(good[1:] & good[:-1] & (lengths[:-1] < _EARLY * lengths[1:])))
    counts = {
        "weak, less than half of the usual pulse": weak,
        "followed early by the next, an extrasystole or an irregular rhythm": early,
    }
    total = len(good)
    notes = [f"{n} of {total} beats are {what}; the heart rate counts them." for what, n in counts.items() if n]
    if len(waves.second):
        notes.append(
            f"{len(waves.second)} second waves within beats, as of a balloon pump (assist): systolic pressure is the "
            "higher of both, and the heart rate does not count them."
        )
    if len(waves.small) > 0.1 * total:
        notes.append(
            f"{len(waves.small)} small waves between beats are not counted: the heart may beat more often than this."
        )
    return tuple(notes)


def _usual_pulse(pressures: np.ndarray, step: float) -> float:
    """Return the median over stretches of three seconds of how far the pressure moves in them."""
    length = max(int(3.0 / step), 2)
    whole = pressures[: len(pressures) // length * length].reshape(-1, length)
    return float(np.median(np.ptp(whole if len(whole) else pressures[None], axis=1)))


def _faults(found: Beats, broken: np.ndarray) -> np.ndarray:
    """Say of each beat why it is an artefact."""
    period = 60.0 * (found.ends - found.begins)
    sizes = {"systolic_pressure": found.systolic, "diastolic_pressure": found.diastolic}
    sizes["mean_arterial_pressure"] = found.mean
    outside = [(values < CIRCULATION[name].low) | (values > CIRCULATION[name].high) for name, values in sizes.items()]
    faults = {
        "a gap in the samples": broken,
        "no pulse for too long": (period < _SHORTEST) | (period > _LONGEST),
        "flush or open line": np.any(outside, axis=0),
        "damped": maximum_filter1d(found.systolic - found.diastolic, 5, mode="nearest") < _DAMPED,
    }
    return np.select(list(faults.values()), list(faults), default="").astype(object)


def _breaths(rate: float | Series | Course | None, time: float) -> float:
    """Return the respiratory rate (1/min) at a time, 0 where it is not known."""
    if isinstance(rate, Series):
        place = int(np.searchsorted(rate.times, time, side="right")) - 1
        return float(units.convert(rate.values[place], rate.unit, "1/min")) if place >= 0 else 0.0
    if isinstance(rate, Course):
        return float(np.nan_to_num(units.convert(rate.at(time), rate.unit, "1/min")))
    return rate or 0.0


def _windows(
    found: Beats, span: tuple[float, float], every: float, respiratory_rate: float | Series | Course | None, lost
) -> dict:
    """Return what each window comes to, as `Record.build` takes it."""
    good = found.fault == ""
    start, last = span
    place = np.floor((found.begins - start) / every).astype(int)
    rows, varied, thin = [], [], []
    for window in range(int(np.ceil((last - start) / every))):
        mine = good & (place == window)
        end = min(start + (window + 1) * every, last)
        if mine.sum() < _FEWEST:
            thin.append(end)
            continue
        shown = (np.median(x[mine]) for x in (found.systolic, found.diastolic, found.mean))
        rows.append((end, *shown, mine.sum() / np.sum((found.ends - found.begins)[mine])))
        breaths = _breaths(respiratory_rate, start + (window + 0.5) * every)
        if breaths:
            variation = _variation(found, mine, start + window * every, every, breaths)
            if variation is not None:
                varied.append((end, variation))
    lost["arterial waveform: window with too few good beats"] = np.asarray(thin)
    names = ("systolic_pressure", "diastolic_pressure", "mean_arterial_pressure", "heart_rate")
    columns = np.array(rows).reshape(-1, 5).T
    shown_units = ("mmHg", "mmHg", "mmHg", "1/min")
    series = {n: (columns[0], v, unit) for n, v, unit in zip(names, columns[1:], shown_units, strict=True)}
    if varied:
        series["pulse_pressure_variation"] = (*np.array(varied).T, "%")
    return series


def _variation(found: Beats, mine: np.ndarray, begin: float, every: float, respiratory_rate: float) -> float | None:
    """Return the median over breaths of 100 (most - least) / mean of two pulse pressures; None with too few beats."""
    middle = 0.5 * (found.begins + found.ends)[mine]
    breath = np.floor((middle - begin) * respiratory_rate).astype(int)
    pulse = (found.systolic - found.diastolic)[mine]
    whole = range(int(every * respiratory_rate))
    groups = [pulse[breath == i] for i in whole if np.sum(breath == i) >= max(_FEWEST // 3, 2)]
    if len(groups) < max(len(whole) // 2, 1):
        return None
    return float(np.median([200.0 * np.ptp(group) / (group.max() + group.min()) for group in groups]))
