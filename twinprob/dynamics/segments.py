"""The timeline of one patient cut where anything changes: the only loop of the library runs over these segments."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

import equinox as eqx
import numpy as np

from ..patient.inputs import Inputs
from ..patient.record import Series
from ..patient.units import convert

_SAME_TIME = 1e-9
_NEVER = 1e12  # where no change is: finite, so that its derivatives are
_SUBSTEPS = (2, 4, 6, 12, 24)
_USUAL, _OTHER = 6, (2, 24)
_CHEAPER = 1.5
_MOST_SEGMENTS = 1_000_000


Drive: TypeAlias = tuple[np.ndarray, np.ndarray, bool]  # change times (min), values from each on, whether linear


class Segments(eqx.Module):
    """A patient's timeline in a model's units; between two borders every coefficient is constant.

    Attributes
    ----------
    start, length : (segment,) the model's time unit; padding (`padded`) has length zero
    level, slope : (segment, input) the inputs at the start of each segment, and their rate of change
    knot : (segment, varying) int, which knot of each varying parameter acts
    before : (input,) the inputs just before the first segment
    substeps : int, fixed integration steps per segment
    linear : bool, whether any input runs linearly within segments
    edges, jumps, delayed : (edge,) when an input that acts later changes, by how much, and which it is (int); None
        where no input has a lag. Levels hold such an input as it was before every change.
    """

    start: np.ndarray
    length: np.ndarray
    level: np.ndarray
    slope: np.ndarray
    knot: np.ndarray
    before: np.ndarray
    substeps: int = eqx.field(static=True)
    linear: bool = eqx.field(static=True)
    edges: np.ndarray | None = None
    jumps: np.ndarray | None = None
    delayed: np.ndarray | None = None


def bucket(count: int, smallest: int = 8) -> int:
    """Round a length up to one of few sizes, so that longer records seldom need a new compilation.

    Examples
    --------
    >>> [bucket(n) for n in (1, 9, 25, 49, 97)]
    [8, 10, 28, 56, 112]
    """
    size = smallest
    while size * 2 < count:
        size *= 2
    return next(size + part * size // 4 for part in range(5) if size + part * size // 4 >= count)


def doubled(count: int, smallest: int) -> int:
    """Return the least of `smallest`, twice that, four times that, … that is no less than `count`."""
    return smallest << max(0, math.ceil(math.log2(max(count, 1) / smallest)))


def scale(*sizes: tuple[int, int]) -> float:
    """Return the least of 1/4, 1, 2, 4, 8, … that times every `unit` covers its `count`, for sizes (count, unit).

    One number decides every length of a program, so that records of many lengths share few programs. Compiling one
    takes as long as a hundred runs of it, and a run of what is padded to twice its length a half longer (measured).

    Examples
    --------
    >>> [scale((n, 64)) for n in (16, 17, 65, 129)]
    [0.25, 1.0, 2.0, 4.0]
    """
    found = 0.25
    while any(count > found * unit for count, unit in sizes):
        found = max(1.0, 2.0 * found)
    return found


def knots(process, start: float, stop: float) -> int:
    """Return how many knots a process needs to cover start to stop (min)."""
    return max(1, math.ceil((stop - start) / process.interval - _SAME_TIME))


def build(
    model,
    drives: Mapping[str, Drive],
    start: float,
    stop: float,
    times: np.ndarray,
    *,
    origin: float | None = None,
    alike: bool = False,
    delays: bool = False,
) -> tuple[Segments, np.ndarray]:
    """Cut start…stop (min) into segments and locate report times among their borders.

    Parameters
    ----------
    model : AbstractModel
    drives : mapping from each of the model's inputs to `Course`-like steps or a measured `Series`, see `drive`
    start, stop : float, min
    times : (time,) min, each within start…stop
    origin : float, min
        Where the knots of varying parameters are counted from; `start` by default.
    alike : bool
        Whether timelines shall have the same number of steps in a segment, unless another is far cheaper: they can
        then share a program.
    delays : bool
        Whether the caller lets inputs act later than they are given (`delays.delayed`).

    Returns
    -------
    segments : Segments, in the model's time unit
    index : (time,) int, border index of each report time: 0 is the start

    Raises
    ------
    ValueError
        If the timeline is too long, an input is unknown somewhere, or one has a lag and the caller knows none.
    """
    drives, late = _parted(model, drives, stop, delays)
    origin = start if origin is None else origin
    processes = model.processes()
    unit = minutes_per_unit(model)
    _check_size(start, stop, origin, model.step * unit, [process.interval for process in processes.values()])
    marks = [np.asarray([start, stop]), np.asarray(times, float)]
    # Where a signal becomes unknown it does so beside a sample, which is the border.
    marks += [at[np.isfinite(values)] if linear else at for at, values, linear in drives.values()]
    for process in processes.values():
        marks.append(origin + process.interval * np.arange(math.ceil((stop - origin) / process.interval)))
    borders = _distinct(np.concatenate(marks), start, stop)
    borders, substeps = _split(borders, model.step * unit, alike)
    index = np.searchsorted(borders, np.asarray(times, float) - _SAME_TIME)
    begins, ends = borders[:-1], borders[1:]
    middle = 0.5 * (begins + ends)
    level = (
        np.stack([_value(d, begins, middle) for d in drives.values()], axis=-1)
        if drives
        else np.zeros((len(begins), 0))
    )
    slope = (
        np.stack([_slope(d, middle) for d in drives.values()], axis=-1) * unit if drives else np.zeros((len(begins), 0))
    )
    _require_known(drives, begins, ends, level + slope)
    knot = (
        np.stack([np.floor((middle - origin) / p.interval).astype(np.int32) for p in processes.values()], axis=-1)
        if processes
        else np.zeros((len(begins), 0), np.int32)
    )
    before = np.asarray([_before(d, start) for d in drives.values()])
    before = np.where(np.isnan(before), level[0], before)  # a setting first charted at the start
    segments = Segments(
        start=begins / unit,
        length=(ends - begins) / unit,
        level=level,
        slope=slope,
        knot=knot,
        before=before,
        substeps=substeps,
        linear=any(linear for _, _, linear in drives.values()),
        **late,
    )
    return segments, index.astype(np.int32)


def _parted(model, drives: Mapping[str, Drive], stop: float, delays: bool):
    """Part inputs that act later into what they were before every change, and their changes."""
    lags = {name: q.lag for name, q in model.quantities(model.Input).items() if q.lag}
    if not lags:
        return drives, {}
    if not delays:
        raise ValueError(
            f"Input `{next(iter(lags))}` of model `{type(model).__name__}` acts after a lag, which `simulate`, `fit` "
            "and `forecast` can follow, and nothing else yet: fit the whole record again in place of an update."
        )
    kept, edges, jumps, which = dict(drives), [], [], []
    for place, name in enumerate(drives):
        if name in lags:
            times, values, _ = drives[name]
            kept[name] = (times[:1], values[:1], False)
            soon = times[1:] <= stop
            edges.append(times[1:][soon])
            jumps.append(np.diff(values)[soon])
            which.append(np.full(int(soon.sum()), place))
    unit, count = minutes_per_unit(model), sum(map(len, edges))
    pad = (0, doubled(count, 4) - count)  # few numbers of changes, so that programs are shared
    return kept, {
        "edges": np.pad(np.concatenate(edges) / unit, pad, constant_values=_NEVER),
        "jumps": np.pad(np.concatenate(jumps), pad),
        "delayed": np.pad(np.concatenate(which).astype(np.int32), pad),
    }


def padded(segments: Segments, size: int) -> Segments:
    """Return so many segments: the last ones have length zero, and nothing happens in them."""
    pad = (0, size - len(segments.start))
    return replace(
        segments,
        start=np.pad(segments.start, pad, mode="edge"),
        length=np.pad(segments.length, pad),
        level=np.pad(segments.level, (pad, (0, 0)), mode="edge"),
        slope=np.pad(segments.slope, (pad, (0, 0))),
        knot=np.pad(segments.knot, (pad, (0, 0)), mode="edge"),
    )


def _check_size(start: float, stop: float, origin: float, step: float, intervals) -> None:
    """Refuse a timeline whose steps and knots alone would fill the memory; all in minutes."""
    count = (stop - start) / (step * max(_SUBSTEPS)) + sum((stop - origin) / interval for interval in intervals)
    if not count <= _MOST_SEGMENTS:
        raise ValueError(
            f"A timeline from {start:.4g} to {stop:.4g} min would need {count:.3g} segments, more than the "
            f"{_MOST_SEGMENTS:,} allowed: ask for a shorter span, or put the knots of what varies further apart."
        )


def minutes_per_unit(model) -> float:
    """Return the length of the model's time unit in minutes."""
    return float(convert(1.0, model.time_unit, "min"))


def drives(model, inputs: Inputs, measured: Mapping[str, Series], *, weight: float | None = None):
    """Collect what drives a model: each input's change times (min), values and whether it runs linearly.

    Returns
    -------
    dict from input name to (times, values in the model's unit, linear); an input nobody gave has its declared default.

    Raises
    ------
    ValueError
        If a measured input (one the model declares `measured=True`) is absent, or a unit cannot be converted.
    """
    collected = {}
    for name, declared in model.quantities(model.Input).items():
        if declared.measured:
            if name not in measured:
                raise ValueError(
                    f"Model `{type(model).__name__}` is driven by measured `{name}` ({declared.unit}), which the "
                    "record does not hold; add it as an observation. The record holds: "
                    f"{', '.join(measured) or 'nothing'}."
                )
            series = measured[name]
            values = convert(series.values, series.unit, declared.unit, variable=name, weight=weight)
            collected[name] = (*_gapped(series.times, np.asarray(values, float), declared.longest_gap), True)
        elif name in inputs:
            course = dataclasses.replace(inputs[name], setting=declared.setting)
            times, values = course.steps()
            times, values = np.append(-np.inf, times), np.append(course.at(-np.inf), values)
            values = convert(values, course.unit, declared.unit, variable=name, weight=weight)
            collected[name] = (times, np.where(np.isnan(values), _absent(declared), values), False)
        else:
            collected[name] = (np.full(1, -np.inf), np.full(1, _absent(declared)), False)
    return collected


def _gapped(times: np.ndarray, values: np.ndarray, longest: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Return a signal that is NaN between samples further apart than `longest` (min), and so long before and after."""
    if longest is None or not times.size:
        return times, values
    longest *= 1.0 + 1e-9  # a rounded time is no gap
    wide = np.flatnonzero(np.diff(times) > longest)
    edges = np.array([times[0] - longest, times[-1] + longest])
    inside = [np.nextafter(times[wide], np.inf), np.nextafter(times[wide + 1], -np.inf)]
    outside = [np.nextafter(edges, [-np.inf, np.inf])]
    every = np.concatenate([times, edges, *inside, *outside])
    held = np.concatenate([values, values[[0, -1]], np.full(every.size - times.size - 2, np.nan)])
    order = np.argsort(every, kind="stable")
    return every[order], held[order]


def _absent(declared) -> float:
    """Return what an input is where it was not charted: a setting without a default is unknown."""
    return np.nan if declared.default is None else float(declared.default)


def _require_known(drives: Mapping[str, Drive], begins: np.ndarray, ends: np.ndarray, level: np.ndarray) -> None:
    for place, name in enumerate(drives):
        unknown = np.flatnonzero(np.isnan(level[:, place]))
        if not unknown.size:
            continue
        times, values, linear = drives[name]
        following = np.append(np.flatnonzero(np.diff(unknown) > 1), unknown.size - 1)[0]
        first, last = begins[unknown[0]], ends[unknown[following]]
        if linear:
            raise ValueError(
                f"Measured `{name}` is unknown from {first:g} to {last:g} min: its samples there are further apart "
                "than the model believes a line between them, or there are none. Give samples in between, or keep the "
                "part of the record that has them (`record.since`, `record.until`)."
            )
        never = np.isnan(values).all()
        before = not never and first <= times[np.flatnonzero(~np.isnan(values))[0]]
        remedy = "(value, unit)" if never else repr("first" if before else "last")
        raise ValueError(
            f"Setting `{name}` is unknown from {first:g} to {last:g} min"
            f"{', it was never charted' if never else ''}: an uncharted setting is not zero. Give it "
            f"(`Inputs.settings`), begin later (`record.since`), or say what to assume, e.g. "
            f"`record.assuming({name}={remedy})`."
        )


def _value(drive, begins, middle):
    times, values, linear = drive
    if linear:
        return np.interp(begins, times, values)
    return values[np.searchsorted(times, middle, side="right") - 1]


def _slope(drive, middle):
    times, values, linear = drive
    if not linear or len(times) < 2:
        return np.zeros(len(middle))
    position = np.searchsorted(times, middle, side="right") - 1
    slopes = np.append(np.diff(values) / np.diff(times), 0.0 * values[-1])  # unknown after what is unknown
    return np.where(position >= 0, slopes[np.maximum(position, 0)], 0.0)


def _before(drive, start):
    times, values, linear = drive
    if linear:
        return float(np.interp(start, times, values))
    return float(values[np.searchsorted(times, start, side="left") - 1])


def _distinct(marks, start, stop):
    marks = np.sort(marks[(marks >= start - _SAME_TIME) & (marks <= stop + _SAME_TIME)])
    return marks[np.append(True, np.diff(marks) > _SAME_TIME)]


def _split(borders, step, alike: bool):
    """Split long segments, choosing how many steps a segment may hold so that the scan over all of them is cheap."""
    lengths = np.diff(borders)

    def pieces(substeps):
        return np.maximum(1, np.ceil(lengths / (step * substeps) - _SAME_TIME)).astype(int)

    def cost(substeps):
        # A segment costs about as much as three of the steps inside it (measured on a CPU, densities and gradients).
        count = int(pieces(substeps).sum())
        return (count if alike else bucket(count, 16)) * (3 + substeps)

    substeps = min(_OTHER if alike else _SUBSTEPS, key=cost)
    if alike and _CHEAPER * cost(substeps) > cost(_USUAL):
        substeps = _USUAL
    parts = [np.linspace(a, b, n + 1)[:-1] for a, b, n in zip(borders[:-1], borders[1:], pieces(substeps), strict=True)]
    return np.concatenate([*parts, borders[-1:]]), substeps
