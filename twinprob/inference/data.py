"""The measurements of one patient as a joint density takes them: in the model's units, padded to one length."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import numpy as np

from ..modeling.correlated import NEVER
from ..modeling.model import AbstractModel
from ..modeling.observation import Observation
from ..patient.record import Record
from ..patient.series import Series
from ..patient.units import convert


@dataclass(frozen=True)
class Place:
    """Where measurements lie among the segments: at borders, or so long after a segment's start; see `Data`."""

    index: np.ndarray
    after: np.ndarray | None = None

    def padded(self, length: int) -> "Place":
        """Return the last place repeated up to a length."""
        return Place(to_length(self.index, length), None if self.after is None else to_length(self.after, length))


class Data(eqx.Module):
    """The measurements of one output in the model's unit, padded.

    Attributes
    ----------
    values : (time,) in the output's unit
    limits : (time,) int, -1 below, 0 measured, +1 above
    present : (time,) bool, False for padding
    index : (time,) int, segment border of each measurement, or where `after` is given the segment it lies in
    after : (time,) time since that segment's start, in the model's unit, or None
    widths : (time,) factors on the noise of values that repeat others, or None
    gaps : (time,) min since the value before, where the error lasts, or None
    limited : bool, whether values with an error that lasts may lie beyond a limit
    """

    values: np.ndarray
    limits: np.ndarray
    present: np.ndarray
    index: np.ndarray
    widths: np.ndarray | None = None
    gaps: np.ndarray | None = None
    after: np.ndarray | None = None
    limited: bool = eqx.field(static=True, default=False)


def require_noise(model: AbstractModel, how: Mapping[str, Observation | None]) -> None:
    """Refuse outputs that were measured, though nothing says how.

    Raises
    ------
    ValueError
        Naming the first of them, with the remedy.
    """
    for name, observation in how.items():
        if observation is None:
            raise ValueError(
                f"Output `{name}` of model `{type(model).__name__}` is declared without noise, but the record holds "
                f'measurements of it: say how they err, e.g. `observations={{"{name}": Observation(Gaussian('
                f"additive=…))}}` in {model.quantities(model.Output)[name].unit or 'its unit'}, or leave them out of "
                "the record."
            )


def data_of(series: Series, name: str, unit: str, observation: Observation, place: "Place", length: int) -> Data:
    """Return the measurements of one output, and where they lie among the segments."""
    values = np.asarray(convert(series.values, series.unit, unit, variable=name), float)
    values, limits = observation.censored(values, series.limits)
    pad = length - len(values)
    widths = None if observation.repeats is None else observation.repeats.widths(series.times)
    gaps = None if observation.drift is None else np.diff(series.times, prepend=series.times[:1] - NEVER)
    ends = bool(np.any(limits != 0)) or bool(np.isfinite([observation.lower, observation.upper]).any())
    return Data(
        values=to_length(values, length),
        limits=np.pad(limits, (0, pad)),
        present=np.pad(np.ones(len(values), bool), (0, pad)),
        index=to_length(place.index, length),
        after=None if place.after is None else to_length(place.after, length),
        widths=None if widths is None else to_length(widths, length),
        gaps=None if gaps is None else np.pad(gaps, (0, pad)),
        limited=gaps is not None and ends,
    )


def with_covariates(model: AbstractModel, record: Record) -> AbstractModel:
    """Return the model with the covariates it declares taken from the record."""
    values: dict[str, Any] = {}
    for name, declared in model.covariates().items():
        if name in record.covariates:
            given = record.covariates[name]
            values[name] = float(convert(given.value, given.unit or "", declared.unit, variable=name))
    return dataclasses.replace(model, **values) if values else model


def panels_of(data: Mapping[str, Data]) -> tuple[tuple[str, ...], ...]:
    """Group outputs that are measured at the same times, such as a blood gas."""
    panels: dict[tuple[bytes, bytes], list[str]] = {}
    for name, measured in data.items():
        after = b"" if measured.after is None else measured.after.tobytes()
        panels.setdefault((measured.index.tobytes(), after), []).append(name)
    return tuple(tuple(names) for names in panels.values())


def to_length(values: np.ndarray, length: int) -> np.ndarray:
    """Repeat the last value up to a length."""
    return np.pad(values, (0, length - len(values)), mode="edge")
