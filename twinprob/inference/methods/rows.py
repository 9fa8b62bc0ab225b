"""A stretch of a record as rows, one for each segment, as filters take it."""

import numpy as np

from ...dynamics.segments import build, drives, knots, minutes_per_unit
from ...dynamics.simulate import Layout
from ...modeling.model import AbstractModel
from ...modeling.observation import Repeats
from ...patient.course import Course
from ...patient.inputs import Inputs
from ...patient.record import Record
from ...patient.units import convert
from .filter import Rows

_STRETCH = 10.0
_SAME_TIME = 1e-9


def rows_of(model: AbstractModel, record: Record, how, begin: float) -> tuple[Rows, Layout]:
    """Cut the record from `begin` to its end into rows of one number of steps, and place its measurements."""
    names, declared = tuple(how), model.quantities(model.Output)
    stop = max(record.end, begin)
    seen = {n: _since(record.observations[n], begin) for n in names if n in record.observations}
    times = np.unique(np.concatenate([s.times for s in seen.values()])) if seen else np.zeros(0)
    measured = {n: _around(record.observations[n], begin) for n in record.observations}
    driven = drives(
        model, Inputs({n: _running(c, begin) for n, c in record.inputs.courses.items()}), measured, weight=record.weight
    )
    tiny = model.step * minutes_per_unit(model) * 1e-6
    segments, index = build(model, driven, begin, max(stop, begin + tiny), times, origin=record.start)
    step = model.step * minutes_per_unit(model)
    substeps = int(np.clip(_STRETCH / step, 2, 24))
    count = int(np.sum(segments.length > 0))
    lengths = segments.length[:count] * minutes_per_unit(model)
    pieces = np.maximum(1, np.ceil(lengths / (step * substeps) - _SAME_TIME)).astype(int)
    source = np.repeat(np.arange(count), pieces)
    place = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    length = segments.length[source] / pieces[source]
    offset = place * length
    parts = [
        (segments.start[source] + offset)[:, None],
        length[:, None],
        segments.level[source] + segments.slope[source] * offset[:, None],
    ]
    timeline = np.concatenate(parts + ([segments.slope[source]] if segments.linear else []), axis=1)
    knot = segments.knot[source]
    earlier = [[knots(p, record.start, begin) - 1 for p in model.processes().values()]]
    kick = np.diff(np.concatenate([np.reshape(earlier, (1, -1)).astype(int), knot]), axis=0) > 0
    ends = np.cumsum(pieces)
    values, limits, present = (np.zeros((len(source), len(names)), t) for t in (float, np.int32, bool))
    widths = np.ones(values.shape)
    for i, name in enumerate(names):
        if name in seen:
            series = seen[name]
            _require_single(name, series.times)
            value = np.asarray(convert(series.values, series.unit, declared[name].unit, variable=name), float)
            at = ends[index[np.searchsorted(times, series.times)] - 1] - 1
            values[at, i], limits[at, i] = how[name].censored(value, series.limits)
            present[at, i] = True
            if how[name].repeats is not None:
                widths[at, i] = _widths(how[name].repeats, record.observations[name].times, begin)
    layout = Layout(segments.level.shape[1], segments.linear, substeps, model.unknowns())
    return Rows(timeline, kick, values, limits, present, widths), layout


def _require_single(name: str, times: np.ndarray) -> None:
    """Refuse replicates: a row has room for one value of an output."""
    for index in np.flatnonzero(np.diff(times) == 0):
        raise ValueError(
            f"`{name}` has several values at {times[index]:g} min, which a filter cannot take in: fit the whole record "
            "with them, `fit(model, record, window=math.inf, key=key)`."
        )


def _widths(repeats: Repeats, times, begin: float) -> np.ndarray:
    """Return the factors on the noise of the values after `begin`; those before it may be what they repeat."""
    return repeats.widths_in_turn(times)[times > begin]


def _since(series, begin: float):
    return series.select(series.times > begin)


def _around(series, begin: float):
    """Return a measured input's samples from the last one at or before `begin` on."""
    return series.select(np.arange(len(series.times)) >= np.searchsorted(series.times, begin, side="right") - 1)


def _running(course: Course, begin: float) -> Course:
    """Return the intervals that still matter after `begin`."""
    return course.keep(course.ends >= begin)
