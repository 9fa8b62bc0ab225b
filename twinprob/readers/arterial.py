"""Arterial waveforms: beats found by SciPy's peak search, artefacts counted, and what each minute comes to."""

from __future__ import annotations

from itertools import pairwise
from os import PathLike
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.signal import butter, find_peaks, sosfiltfilt

from ..patient import units
from ..patient.ledger import Ledger
from ..patient.record import Record
from ._mimic_items import CIRCULATION
from ._sheet import open_samples
from .waveform import _check_clock, _column

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Beats", "find_beats", "read"]

# Settings of this library, not published.
_CUTOFF = 15.0  # 1/s; faster than any pulse, slower than the ringing of a line
_PROMINENT = 0.3  # of the usual pulse: a dicrotic wave is less
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
    times, pressures = np.asarray(times, float), np.asarray(pressures, float)
    step = float(np.median(np.diff(times))) * 60.0 if len(times) > 1 else np.inf
    if step > 0.05:
        raise ValueError("An arterial waveform needs at least 20 samples a second: check `rate`, or the clock's unit.")
    feet = _feet(pressures, step)
    if len(feet) < 2:
        raise ValueError(
            "No two beats are found in the arterial waveform: check that the column is an arterial pressure and not a "
            "venous or a damped one."
        )
    parts = [pressures[a:b] for a, b in pairwise(feet)]
    longest = 60.0 * np.array([np.max(np.diff(times[a : b + 1])) for a, b in pairwise(feet)])
    highest, lowest, mean = (np.array([of(part) for part in parts]) for of in (np.max, np.min, np.mean))
    found = Beats(times[feet[:-1]], times[feet[1:]], highest, lowest, mean, np.full(len(parts), "", object))
    return found._replace(fault=_faults(found, longest > _GAP * step))


def _feet(pressures: np.ndarray, step: float) -> np.ndarray:
    """Return where beats begin: the least pressure between two systolic peaks."""
    slow = pressures
    if 0.5 / step > 1.1 * _CUTOFF and len(pressures) > 30:
        slow = sosfiltfilt(butter(2, _CUTOFF, fs=1.0 / step, output="sos"), pressures)
    least = _PROMINENT * _usual_pulse(slow, step)
    peaks, _ = find_peaks(slow, distance=max(int(_SHORTEST / step), 1), prominence=least)
    near = max(int(_NEAR / step), 1)  # smoothing moves the foot a little
    feet = [a + int(np.argmin(slow[a:b])) for a, b in pairwise(peaks)]
    return np.array([max(f - near, 0) + int(np.argmin(pressures[max(f - near, 0) : f + near + 1])) for f in feet], int)


def read(
    table: str | PathLike[str] | pd.DataFrame,
    *,
    pressure: tuple[str, str],
    time: tuple[str, str] | None = None,
    rate: float | None = None,
    begin: float | str = 0.0,
    every: float | str = "1 min",
    respiratory_rate: float | None = None,
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
    respiratory_rate : float, 1/min, optional
        Of the ventilator; with it, and without a breath of the patient's own, pulse-pressure variation is computed.

    Returns
    -------
    record : Record
        Medians over the good beats of each window, at its end: `systolic_pressure`, `diastolic_pressure`,
        `mean_arterial_pressure`, `heart_rate`, and over its breaths `pulse_pressure_variation`. `record.skipped` counts
        samples without a number, beats that are artefacts, and windows with too few beats.

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
    found = find_beats(times[known], raw[known])
    for why in np.unique(found.fault[found.fault != ""]):
        lost[f"beat: {why}"] = found.begins[found.fault == why]
    span = (times[0], times[-1])
    return Record.build(
        _windows(found, span, units.minutes(every), respiratory_rate, lost), ledger=Ledger.of_reasons(lost)
    )


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
        "damped": found.systolic - found.diastolic < _DAMPED,
    }
    return np.select(list(faults.values()), list(faults), default="").astype(object)


def _windows(found: Beats, span: tuple[float, float], every: float, respiratory_rate: float | None, lost) -> dict:
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
        rows.append((end, *shown, np.median(1.0 / (found.ends - found.begins)[mine])))
        if respiratory_rate:
            variation = _variation(found, mine, start + window * every, every, respiratory_rate)
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
