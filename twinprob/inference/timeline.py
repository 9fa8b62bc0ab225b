"""The timeline of a fit: the segments of a record, and where its measurements lie among them."""

from collections.abc import Mapping

import numpy as np

from ..dynamics.segments import build, drives, minutes_per_unit
from ..modeling.model import AbstractModel
from ..patient.record import Record
from .data import Place

_CROWDED = 1000  # measurements; setting


def stop_of(model: AbstractModel, record: Record) -> float:
    """Return where a record ends, min: never where it begins."""
    return max(record.end, record.start + model.step * 1e-6)


def crowded(model: AbstractModel, record: Record, seen: Mapping[str, np.ndarray]) -> bool:
    """Whether measurements are so dense that a segment between any two would cost more than steps inside segments."""
    count = len(np.unique(np.concatenate([*seen.values(), np.zeros(0)])))
    if count < _CROWDED or any(declared.lag for declared in model.quantities(model.Input).values()):
        return False
    driven = drives(model, record.inputs, record.observations, weight=record.weight)
    changes = sum(len(times) for times, _, _ in driven.values())
    return count > 2 * (changes + (record.end - record.start) / (model.step * minutes_per_unit(model)))


def timeline(model: AbstractModel, record: Record, seen: Mapping[str, np.ndarray], times, inside: bool):
    """Return the segments of a record, and the place of each time seen by output: at a border, or `inside` one."""
    driven, stop = drives(model, record.inputs, record.observations, weight=record.weight), stop_of(model, record)
    unit = minutes_per_unit(model)
    marks = [np.arange(record.start, stop, model.step * unit)] if inside else [*seen.values()]
    every = np.unique(np.concatenate([*marks, np.asarray(times, float)]))
    segments, index = build(model, driven, record.start, stop, every, alike=True, delays=True)
    if not inside:
        return segments, {name: Place(index[np.searchsorted(every, own)]) for name, own in seen.items()}
    places = {}
    for name, own in seen.items():
        # Inputs act as they do just before a measurement: one at a border lies in the segment that ends there.
        place = np.maximum(np.searchsorted(segments.start, own / unit, side="left") - 1, 0)
        places[name] = Place(place.astype(np.int32), own / unit - segments.start[place])
    return segments, places
