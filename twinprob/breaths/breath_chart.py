"""What a chart would show of a waveform: breaths summed up in the variables of the chart, beside those charted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..models.respiratory.breaths import Breath, Breaths
from ..patient import units
from ..patient.ledger import Ledger
from ..patient.record import Record
from .estimates import estimate

NAMES = ("plateau_pressure", "peak_pressure", "mean_airway_pressure", "expired_tidal_volume")
_UNITS = dict.fromkeys(NAMES[:3], "cmH2O") | {NAMES[3]: "L"}
_UNUSABLE = {"gap", "no expiration", "no inspiration"}  # such a breath has no plateau


def chart_breaths(
    record: Record, breaths: Breaths | Sequence[Breath], *, every: float | str = "10 min", muscle: bool = True
) -> Record:
    """Add what a chart would show of breaths to a record, so that one model may be fitted to both tiers of data.

    Breaths within `every` of the first of a window make one value, its median, at the time of their last: a hundred
    breaths of one lung are one reading of it, as what a model misses is the same in all of them. The plateau is the
    static pressure at the end of inspiration that `estimate` finds, with or without a pause.

    Parameters
    ----------
    record : Record
        With the charted tier; the waveform may be in it, and stays.
    breaths : Breaths or sequence of Breath
        Times count from the same origin.
    every : float or str, min
        Length of a window.
    muscle : bool
        Let the patient pull in breaths that carry the flag "effort", as `estimate` does.

    Returns
    -------
    record : Record
        With `plateau_pressure`, `peak_pressure`, `mean_airway_pressure` and `expired_tidal_volume` of the windows among
        those charted. Where a value was charted at the very time, it stays and the window's is left out. `skipped`
        counts breaths and windows that gave no value.

    Raises
    ------
    ValueError
        If there is no breath, or `every` is not above zero.
    """
    length = units.minutes(every)
    if length <= 0:
        raise ValueError(f"Argument `every` must be above zero, but is {length:g} min.")
    kept = list(breaths)
    if not kept:
        raise ValueError("Argument `breaths` holds no breath; `segment` says in `skipped` what it left out.")
    usable = [breath for breath in kept if not _UNUSABLE & set(breath.flags)]
    times, rows = _windows(usable, length, muscle)
    lost: dict[str, list[float]] = {}
    unusable = [breath.times[0] / 60.0 for breath in kept if _UNUSABLE & set(breath.flags)]
    lost.setdefault("breaths without a plateau: gap or one phase missing", []).extend(unusable)
    added = {}
    for name, values in zip(NAMES, rows.T, strict=True):
        unit = _UNITS[name]
        mine = record.observations.get(name)
        seen = np.zeros(0) if mine is None else mine.times
        charted = np.zeros(0) if mine is None else np.asarray(units.convert(mine.values, mine.unit, unit), float)
        new = np.isfinite(values) & ~np.isin(times, seen)
        lost.setdefault(f"{name}: window of breaths without a value of its own", []).extend(times[~new])
        order = np.argsort(np.append(seen, times[new]), kind="stable")
        added[name] = (np.append(seen, times[new])[order], np.append(charted, values[new])[order], unit)
    joined = record.with_observations({name: one for name, one in added.items() if one[0].size})
    return replace(joined, ledger=joined.ledger + Ledger.of_reasons(lost))


def _windows(breaths: Sequence[Breath], length: float, muscle: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the windows' times (window,) min and medians (window, variable); unflagged breaths where there are any."""
    begins = np.array([breath.times[0] / 60.0 for breath in breaths])
    times, rows = [], []
    first = 0
    while first < len(breaths):
        end = int(np.searchsorted(begins, begins[first] + length))
        inside = breaths[first:end]
        plain = [breath for breath in inside if not breath.flags] or inside
        rows.append(np.median([_summed(breath, muscle) for breath in plain], axis=0))
        times.append(float(inside[-1].times[-1]) / 60.0)
        first = end
    return np.array(times), np.array(rows).reshape(len(rows), len(NAMES))


def _summed(breath: Breath, muscle: bool) -> list[float]:
    """Return plateau, peak and mean pressure and tidal volume of one breath; no plateau of a lung below zero."""
    fit = estimate(breath, muscle=muscle and "effort" in breath.flags)
    plateau = fit.mean[3] + fit.elastance * breath.tidal_volume if fit.elastance > 0 else np.nan
    mean = float(np.trapezoid(breath.pressures, breath.times)) / (breath.times[-1] - breath.times[0])
    return [float(plateau), float(breath.pressures.max()), mean, breath.tidal_volume]
