"""One MIMIC stay's ventilator settings: each holds from shortly before its row until the row that changes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..patient.inputs import Inputs
from ._fates import one_value_each
from ._mimic_items import SETTINGS, STANDBY, VENTILATOR_MODE
from ._mimic_measured import View, from_chart, texts

if TYPE_CHECKING:
    from ..patient.ledger import Line

_PRESSURES = ("plateau_pressure", "peak_pressure")


def settings(chart: View, lead: float) -> tuple[Inputs, dict[str, np.ndarray], list[Line]]:
    """Return the settings, when each was charted, and what became of the rows.

    Parameters
    ----------
    chart : View
        The stay's.
    lead : float, min
        How long before its first row a new setting is taken to have been in force, though never as early as the row
        before. It is known at its row.

    Returns
    -------
    inputs : Inputs
    charted : dict of str to (time,) array
        When each setting was charted.
    lines : list of Line
    """
    parts, lines = {}, []
    for name, (first, second) in SETTINGS.items():
        times, values, fates = from_chart(chart, name, first)
        times, values, _, _ = one_value_each(times, values, np.zeros(times.size, np.int8), fates.known, fates)
        lines += fates.lines()
        if second is not None:
            others, measured, fates = from_chart(chart, name, second)
            fates.merge(np.isin(others, times), "a set value is charted at the same time")
            others, measured, _, _ = one_value_each(
                others, measured, np.zeros(others.size, np.int8), fates.known, fates
            )
            if name != "tidal_volume":  # a measured volume is an observation, and accounted for as one
                lines += fates.lines()
            order = np.argsort(np.append(times, others), kind="stable")
            times, values = np.append(times, others)[order], np.append(values, measured)[order]
        parts[name] = (times, values)
    return _held(parts, _standby(chart), lead), {name: times for name, (times, _) in parts.items()}, lines


def _standby(chart: View) -> np.ndarray:
    modes = chart.select(np.isin(chart.item, VENTILATOR_MODE))
    waiting = texts(modes.text).str.strip().str.lower().eq(STANDBY).to_numpy()
    return np.unique(modes.time[waiting & np.isfinite(modes.time)])


def _held(parts: dict[str, tuple[np.ndarray, np.ndarray]], standby: np.ndarray, lead: float) -> Inputs:
    rows = np.unique(np.concatenate([times for times, _ in parts.values()]))
    inputs = Inputs()
    for name, (times, values) in parts.items():
        if not times.size:
            continue
        place = np.searchsorted(rows, times)
        before = np.where(place > 0, rows[np.maximum(place - 1, 0)] + 1.0, -np.inf)
        starts = np.minimum(np.maximum(times - lead, before), times)
        ends = np.full(times.size, np.inf)
        if standby.size and name != "inspired_oxygen":
            # A ventilator on standby sets nothing: what it was set to ends there.
            following = np.append(standby, np.inf)
            ends = following[np.searchsorted(standby, times, side="right")]
        unit = SETTINGS[name][0].unit
        inputs = inputs | Inputs.infusions(name, starts, ends, values, unit, known=times)
    return inputs


def above_peep(found: dict[str, tuple], inputs: Inputs, charted: np.ndarray) -> dict[str, np.ndarray]:
    """Leave out plateau and peak pressures that are not above the PEEP charted with them, or below that in force.

    Parameters
    ----------
    found : dict
        Name to (times, values, unit, limits, known); changed here.
    inputs : Inputs
        With the settings.
    charted : (time,) min
        When PEEP was charted.

    Returns
    -------
    left_out : dict of str to (time,) array
        The times of what was left out, by variable.
    """
    left_out = {}
    for name in _PRESSURES:
        if name not in found or "peep" not in inputs:
            continue
        times, values, unit, limits, known = found[name]
        set_to = inputs["peep"].at(times)
        with np.errstate(invalid="ignore"):
            below = np.where(np.isin(times, charted), values <= set_to, values < set_to)
        left_out[name] = times[below]
        found[name] = (times[~below], values[~below], unit, limits[~below], known[~below])
    return left_out
