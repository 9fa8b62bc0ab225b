"""One MIMIC stay's ventilator settings: each holds from shortly before its row until the row that changes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ..patient.inputs import Inputs
from ._fates import Fates, one_value_each
from ._mimic_items import SETTINGS, STANDBY, VENTILATOR_MODE
from ._mimic_measured import View, from_chart, texts

if TYPE_CHECKING:
    from ..patient.ledger import Line

Setting: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]  # times, values, known
_PRESSURES = ("plateau_pressure", "peak_pressure")


def settings(chart: View, lead: float, found: dict[str, tuple]) -> tuple[Inputs, dict[str, np.ndarray], list[Line]]:
    """Return the settings, when each was charted, and what became of the rows.

    Parameters
    ----------
    chart : View
        The stay's.
    lead : float, min
        How long before its first row a new setting is taken to have been in force, though never as early as the row
        before. It is known at its row.
    found : dict
        What was measured, as `Measured.read` returns it.

    Returns
    -------
    inputs : Inputs
    charted : dict of str to (time,) array
        When each setting was charted.
    lines : list of Line
    """
    parts: dict[str, Setting] = {}
    lines: list[Line] = []
    for name, (first, second) in SETTINGS.items():
        times, values, limits, fates = from_chart(chart, name, first, {})
        fates.aside(limits != 0, "a limit, no setting")
        items = chart.item[np.isin(chart.item, first.items)]
        parts[name] = set_once(times, values, np.array([first.items.index(item) for item in items.tolist()]), fates)
        lines += fates.lines()
        if second is None:
            continue
        times, values, limits, fates = from_chart(chart, name, second, {})
        fates.aside(limits != 0, "a limit, no setting")
        parts[name] = with_measured(parts[name], times, values, fates)
        if name != "tidal_volume":  # a measured volume is an observation, and accounted for as one
            lines += fates.lines()
    return held(parts, _standby(chart), lead, found), {name: part[0] for name, part in parts.items()}, lines


def set_once(times: np.ndarray, values: np.ndarray, ranks: np.ndarray, fates: Fates) -> Setting:
    """Return one value for each time a setting was charted at: times, values, known.

    Parameters
    ----------
    times, values, ranks : (row,)
        Of rows that differ at one time, those of the lowest rank count: the setting itself before what only shows it.
        If these differ, which of them was in force is not known: none counts, and the setting before holds on.
    fates : Fates
        Of these rows.

    Returns
    -------
    times, values, known : (time,)
    """
    left = fates.left
    moments, counts = np.unique(times[left], return_counts=True)
    for moment in moments[counts > 1]:
        here = np.flatnonzero(left & (times == moment))
        best = here[ranks[here] == ranks[here].min()]
        if np.unique(values[here]).size > 1:
            fates.merge(np.setdiff1d(here, best), "another item charts the setting itself at the same time")
        if np.unique(values[best]).size > 1:
            fates.aside(best, "two different settings at one time, the one before holds on")
    return _once(times, values, fates)


def _once(times: np.ndarray, values: np.ndarray, fates: Fates) -> Setting:
    found = one_value_each(times, values, np.zeros(times.size, np.int8), fates.known, fates)
    return found[0], found[1], np.fmax(found[3], found[0])


def with_measured(charted: Setting, times: np.ndarray, values: np.ndarray, fates: Fates) -> Setting:
    """Let what was measured, averaged, stand for a setting at times at which none is charted."""
    fates.merge(np.isin(times, charted[0]), "a set value is charted at the same time")
    measured = _once(times, values, fates)
    order = np.argsort(np.append(charted[0], measured[0]), kind="stable")
    first, second, third = (np.append(mine, theirs)[order] for mine, theirs in zip(charted, measured, strict=True))
    return first, second, third


def _standby(chart: View) -> np.ndarray:
    modes = chart.select(np.isin(chart.item, VENTILATOR_MODE))
    waiting = texts(modes.text).str.strip().str.lower().eq(STANDBY).to_numpy()
    return np.unique(modes.time[waiting & np.isfinite(modes.time)])


def held(parts: dict[str, Setting], standby: np.ndarray, lead: float, found: dict[str, tuple]) -> Inputs:
    """Let each setting hold from shortly before its row to the next row of its own, or to a standby.

    Parameters
    ----------
    parts : dict of str to (times, values, known)
    standby : (time,) min
    lead : float, min
    found : dict
        As for `settings`. A PEEP does not reach back over a pressure below it.

    Returns
    -------
    inputs : Inputs
    """
    rows = np.unique(np.concatenate([times for times, _, _ in parts.values()]))
    inputs = Inputs()
    for name, (times, values, known) in parts.items():
        if not times.size:
            continue
        place = np.searchsorted(rows, times)
        before = np.where(place > 0, rows[np.maximum(place - 1, 0)] + 1.0, -np.inf)
        starts = np.minimum(np.maximum(times - lead, before), times)
        if name == "peep":
            starts = _after_lower_pressures(starts, times, values, found)
        ends = np.full(times.size, np.inf)
        if standby.size and name != "inspired_oxygen":
            # A ventilator on standby sets nothing: what it was set to ends there.
            following = np.append(standby, np.inf)
            ends = following[np.searchsorted(standby, times, side="right")]
        inputs = inputs | Inputs.infusions(name, starts, ends, values, SETTINGS[name][0].unit, known=known)
    return inputs


def _after_lower_pressures(
    starts: np.ndarray, times: np.ndarray, values: np.ndarray, found: dict[str, tuple]
) -> np.ndarray:
    """Return starts that leave earlier pressures alone: whether one counts must not depend on what is charted later."""
    later = starts.copy()
    for name in _PRESSURES:
        if name not in found:
            continue
        moments, pressures = found[name][:2]
        for place in np.flatnonzero(starts < times):
            over = (moments >= starts[place]) & (moments < times[place]) & (pressures < values[place])
            if over.any():
                later[place] = max(later[place], min(float(moments[over].max()) + 1.0, times[place]))
    return later


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
