"""One patient's data: what was measured, what was done, and what is known up to which time."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import display
from . import units
from .course import Frozen, freeze, require_plausible_rates
from .inputs import Inputs
from .series import Covariate, Series, check_covariate, check_plateau, check_pulse, check_series

__all__ = ["Covariate", "Record", "Series"]

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Record:
    """One patient's data, labelled; built with `Record.build` or by a reader.

    Attributes
    ----------
    observations : mapping of str to Series
        Each with its own time axis.
    inputs : Inputs
        What was done.
    covariates : mapping of str to Covariate
        Fixed properties.
    start, end : float, min
        What is known begins and ends here; t = 0 is the record's origin (ICU admission).
    dropped : mapping of str to (row,) min
        Why rows were left out, with their times (NaN where a row had none); `skipped` counts them.
    """

    observations: Mapping[str, Series]
    inputs: Inputs = field(default_factory=Inputs)
    covariates: Mapping[str, Covariate] = field(default_factory=Frozen)
    start: float = 0.0
    end: float = math.nan
    dropped: Mapping[str, np.ndarray] = field(default_factory=Frozen)

    def __post_init__(self) -> None:
        for name in ("observations", "covariates"):
            object.__setattr__(self, name, Frozen(getattr(self, name)))
        object.__setattr__(
            self, "dropped", Frozen({why: freeze(times) for why, times in self.dropped.items() if np.size(times)})
        )
        if math.isnan(self.end):
            object.__setattr__(self, "end", max(self._finite_times(), default=self.start))

    def _finite_times(self) -> list[float]:
        observed = [float(series.times[-1]) for series in self.observations.values() if series.times.size]
        given = [time for course in self.inputs.courses.values() for time in (*course.starts, *course.ends)]
        return [float(time) for time in (*observed, *given) if math.isfinite(time)]

    @classmethod
    def build(
        cls,
        observations: Mapping[str, Any],
        inputs: Inputs | None = None,
        covariates: Mapping[str, Any] | None = None,
        *,
        start: float | str | None = None,
        end: float | str | None = None,
        own: Iterable[str] = (),
        dropped: Mapping[str, Any] | None = None,
    ) -> Record:
        """Check everything and build a record.

        Parameters
        ----------
        observations : mapping
            Name to `Series` or ``(times, values, unit)`` or ``(times, values, unit, limits)``; times in min or text
            such as "2 h", never going backwards. Rows whose value is NaN, None or infinite are left out and counted
            in `skipped`, as are exact repeats.
        inputs : Inputs, optional
            What was done; zero before an input's first start. Measurements before the first input are welcome:
            glucose is measured before insulin is started.
        covariates : mapping, optional
            Name to value or ``(value, unit)``; for example ``{"weight": (80, "kg"), "sex": "male"}``.
        start : float or str, min, optional
            The declared beginning; 0 by default, or the first measurement where that is earlier. Measurements before
            a start given here are refused.
        end : float or str, min, optional
            What is known is known up to here; by default the last time of anything in the record.
        own : iterable of str
            Names outside the vocabulary; nothing about them is checked but that they have a unit.
        dropped : mapping of str to times, optional
            What a reader left out already, and why.

        Returns
        -------
        record : Record
            Checked.

        Raises
        ------
        ValueError
            If nothing was measured; a name is unknown; a unit is missing, of another dimension, or makes values
            implausible; times go backwards, repeat with another value, or lie outside `start` and `end`; an input
            per kilogram has no weight; a plateau is below the PEEP set then, or a systolic pressure not above the
            diastolic one of the same time.
        """
        own, inputs = tuple(own), inputs or Inputs()
        reasons: dict[str, list[float]] = {why: list(np.atleast_1d(times)) for why, times in (dropped or {}).items()}
        series = {name: check_series(name, given, own, reasons) for name, given in observations.items()}
        series = {name: one for name, one in series.items() if one.times.size}
        if not series:
            lost = "; ".join(f"{why} ({len(times)})" for why, times in reasons.items() if times)
            raise ValueError(
                f"Empty record: no variable has a measured value{f' (skipped: {lost})' if lost else ''}. Give "
                f"at least one observation, or use Record.admission for a patient without any."
            )
        fixed = {name: check_covariate(name, given, own) for name, given in (covariates or {}).items()}
        _check_inputs(inputs, _weight(fixed), own)
        check_plateau(series, inputs)
        check_pulse(series, own)
        first = min(one.times[0] for one in series.values())
        begin = min(0.0, float(first)) if start is None else units.minutes(start)
        record = cls(
            series,
            inputs,
            fixed,
            begin,
            math.nan if end is None else units.minutes(end),
            {why: np.array(t) for why, t in reasons.items()},
        )
        _check_span(record, declared=start is not None)
        return record

    @classmethod
    def admission(
        cls,
        covariates: Mapping[str, Any] | None = None,
        inputs: Inputs | None = None,
        *,
        time: float | str = 0.0,
        own: Iterable[str] = (),
    ) -> Record:
        """Return the record of a patient of whom nothing has been measured yet.

        Parameters
        ----------
        covariates : mapping, optional
            As for `build`.
        inputs : Inputs, optional
            What is already running.
        time : float or str, min
            When this is known.
        own : tuple of str
            Names outside the vocabulary.

        Returns
        -------
        record : Record
            Without observations; `fit` turns it into a twin that is its prior.

        Raises
        ------
        ValueError
            As `build` for covariates and inputs.
        """
        fixed = {name: check_covariate(name, given, tuple(own)) for name, given in (covariates or {}).items()}
        _check_inputs(inputs or Inputs(), _weight(fixed), tuple(own))
        now = units.minutes(time)
        return cls({}, (inputs or Inputs()).until(now), fixed, min(0.0, now), now)

    @property
    def names(self) -> tuple[str, ...]:
        """The measured variables' names."""
        return tuple(self.observations)

    @property
    def weight(self) -> float | None:
        """Body weight in kg, or None where it is not known."""
        return _weight(self.covariates)

    @property
    def skipped(self) -> Mapping[str, int]:
        """How many rows were left out, by reason."""
        return Frozen({why: int(times.size) for why, times in self.dropped.items()})

    def until(self, time: float | str) -> Record:
        """Keep what was known at a time: the guard against using the future.

        Parameters
        ----------
        time : float or str, min
            Measurements at it are kept, later ones are not. Inputs as in `Course.until`: a running infusion runs on.

        Returns
        -------
        record : Record
            Nothing later than `time` exists in it, not even a count of rows left out.

        Raises
        ------
        ValueError
            If `time` is before the record starts.
        """
        time = units.minutes(time)
        if time < self.start:
            raise ValueError(
                f"Argument `time` must not be before the record starts at {self.start:g} min, but is {time:g} min."
            )
        return self._cut(-math.inf, time, self.inputs.until(time), self.start)

    def between(self, begin: float | str, end: float | str) -> Record:
        """Keep what became known after `begin` and until `end`; ``until(begin)`` shares no measurement with it.

        Parameters
        ----------
        begin, end : float or str, min
            Measurements with ``begin < time <= end`` are kept; inputs are clipped to the same span.

        Returns
        -------
        record : Record
            Starts at `begin`; may hold no measurement.

        Raises
        ------
        ValueError
            If `end` is not after `begin`, or is before the record starts.
        """
        begin, end = units.minutes(begin), units.minutes(end)
        if not end > begin:
            raise ValueError(f"Argument `end` must be after `begin`, but end = {end:g} min and begin = {begin:g} min.")
        if end < self.start:
            raise ValueError(
                f"Argument `end` must not be before the record starts at {self.start:g} min, but is {end:g} min."
            )
        cut = self._cut(begin, end, self.inputs.between(begin, end), max(begin, self.start))
        return replace(cut, end=max(cut.end, cut.start))

    def _cut(self, after: float, until: float, inputs: Inputs, start: float) -> Record:
        def inside(times: np.ndarray) -> np.ndarray:
            return (times > after) & (times <= until)

        series = {name: one.select(inside(one.times)) for name, one in self.observations.items()}
        series = {name: one for name, one in series.items() if one.times.size}
        dropped = {why: times[inside(times)] for why, times in self.dropped.items()}
        return Record(series, inputs, self.covariates, start, min(self.end, until), dropped)

    def with_observations(self, observations: Mapping[str, Any], *, own: Iterable[str] = ()) -> Record:
        """Replace or add measured variables.

        Parameters
        ----------
        observations : mapping
            As for `build`.
        own : iterable of str
            Names outside the vocabulary.

        Returns
        -------
        record : Record
            The other variables, inputs and covariates stay; `end` grows with later measurements.
        """
        reasons: dict[str, list[float]] = {why: list(times) for why, times in self.dropped.items()}
        added = {name: check_series(name, given, tuple(own), reasons) for name, given in observations.items()}
        series = {name: one for name, one in {**self.observations, **added}.items() if one.times.size}
        check_pulse(series, tuple(own))
        times = [float(edge) for one in series.values() for edge in (one.times[0], one.times[-1])]
        return Record(
            series, self.inputs, self.covariates, min([self.start, *times]), max([self.end, *times]),
            {why: np.array(found) for why, found in reasons.items()},
        )  # fmt: skip

    @property
    def data_hash(self) -> str:
        """SHA-256 of the content in hex digits, the same in every process; what was skipped does not change it."""
        digest = hashlib.sha256()
        _feed(digest, "span", "min", np.array([self.start, self.end]))
        for name, series in sorted(self.observations.items()):
            _feed(digest, f"observation {name}", series.unit, series.times, series.values, series.limits)
        for name, course in sorted(self.inputs.courses.items()):
            _feed(digest, f"input {name}", course.unit, course.starts, course.ends, course.rates, course.bolus)
        for name, covariate in sorted(self.covariates.items()):
            _feed(digest, f"covariate {name}", f"{covariate.value!r} {covariate.unit}")
        return digest.hexdigest()

    def __eq__(self, other: object) -> bool:
        return self.data_hash == other.data_hash if isinstance(other, Record) else NotImplemented

    def __hash__(self) -> int:
        return int(self.data_hash[:15], 16)

    def to_frame(self) -> pd.DataFrame:
        """Return the measurements as a tidy table, the form `read_tidy` takes.

        Returns
        -------
        frame : pandas.DataFrame
            Columns time (min), variable, value, unit, limit (0 measured, -1 below, +1 above a detection limit);
            sorted by time.
        """
        import pandas as pd

        parts = [
            pd.DataFrame(
                {"time": one.times, "variable": name, "value": one.values, "unit": one.unit, "limit": one.limits}
            )
            for name, one in self.observations.items()
        ]
        columns = ["time", "variable", "value", "unit", "limit"]
        frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
        return frame.sort_values("time", kind="stable", ignore_index=True)

    def __repr__(self) -> str:
        counts = ", ".join(f"{name} × {one.times.size}" for name, one in self.observations.items())
        given = ", ".join(self.inputs.names) or "none"
        return f"Record({counts or 'nothing measured'}; inputs: {given}; {self.start:g} to {self.end:g} min)"

    def _repr_html_(self) -> str:
        measured = [
            (name, one.times.size, float(np.median(one.values)), one.unit, float(one.times[0]), float(one.times[-1]))
            for name, one in self.observations.items()
        ]
        fixed = [(name, covariate.value, covariate.unit or "") for name, covariate in self.covariates.items()]
        left_out = [(why, count) for why, count in self.skipped.items()]
        return display.section(
            f"Record, {self.start:g} to {self.end:g} min",
            display.table("", ("measured", "values", "median", "unit", "from / min", "to / min"), measured),
            display.table(
                "", ("input", "intervals", "highest rate", "unit", "from / min", "to / min"), self.inputs.rows()
            )
            if self.inputs.names
            else "",
            display.table("", ("covariate", "value", "unit"), fixed) if fixed else "",
            display.table("", ("left out because", "rows"), left_out) if left_out else "",
        )


def _feed(digest: Any, label: str, unit: str, *arrays: np.ndarray) -> None:
    digest.update(f"{label}\0{unit}\0".encode())
    for array in arrays:
        # + 0.0 makes negative zero positive; the byte order is fixed so that machines agree.
        data = (np.asarray(array, float) + 0.0).astype("<f8").tobytes()
        digest.update(len(data).to_bytes(8, "little") + data)


def _weight(covariates: Mapping[str, Covariate]) -> float | None:
    weight = covariates.get("weight")
    return None if weight is None else float(units.convert(float(weight.value), weight.unit or "", "kg"))


def _check_inputs(inputs: Inputs, weight: float | None, own: tuple[str, ...]) -> None:
    for name, course in inputs.courses.items():
        units.known(name, own=own, kind="input")
        if units.per_weight(course.unit) and weight is None:
            raise ValueError(
                f"Input {name!r} in {course.unit} needs the patient's weight: give a covariate such as "
                f"weight=(80, 'kg')."
            )
        require_plausible_rates(name, course, weight=weight)


def _check_span(record: Record, *, declared: bool) -> None:
    for name, series in record.observations.items():
        checks: tuple[tuple[str, float, float, Callable[[float, float], bool]], ...] = (
            ("start", float(series.times[0]), record.start, lambda time, limit: declared and time < limit),
            ("end", float(series.times[-1]), record.end, lambda time, limit: time > limit),
        )
        for what, time, limit, outside in checks:
            if outside(time, limit):
                side = "before" if what == "start" else "after"
                raise ValueError(
                    f"{name} is measured at {time:g} min, {side} the declared {what} of the record at {limit:g} "
                    f"min. Move `{what}`, or cut the rows."
                )


def require_record(given: object, argument: str) -> None:
    """Refuse anything else where a record is asked for.

    Raises
    ------
    TypeError
    """
    if not isinstance(given, Record):
        raise TypeError(
            f"Argument `{argument}` must be a `Record`, but is a `{type(given).__name__}`: `Record.build` makes one of "
            "measurements and inputs, and checks them."
        )
