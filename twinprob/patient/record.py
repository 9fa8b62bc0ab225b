"""One patient's data: what was measured, what was done, and what is known up to which time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from . import record_checks as checks
from . import tables, units, wall_clock
from .frozen import Frozen
from .inputs import Inputs
from .ledger import Ledger
from .series import Covariate, Series, check_all, check_covariate, check_plateau, check_pulse, check_series

__all__ = ["Covariate", "Record", "Series"]

if TYPE_CHECKING:
    import datetime

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
        What is known begins and ends here; t = 0 is the record's origin (ICU admission). The end is the present: when
        something was last known, a measurement or a change that happened, never the planned end of an infusion.
    ledger : Ledger
        What became of every row of the source; `skipped` counts those that were not used as they are.
    person : str
        A token that is the same for all stays of one person; empty where that is not known. Never shown.
    notes : tuple of str
        What the caller chose to assume, and what a model cannot use, in words; twins repeat them.
    origin : datetime or None
        The moment of t = 0, where it is known; it changes no number. Times may then be written as moments.
    """

    observations: Mapping[str, Series]
    inputs: Inputs = field(default_factory=Inputs)
    covariates: Mapping[str, Covariate] = field(default_factory=Frozen)
    start: float = 0.0
    end: float = math.nan
    ledger: Ledger = field(default_factory=Ledger)
    person: str = ""
    notes: tuple[str, ...] = ()
    origin: datetime.datetime | None = None

    def __post_init__(self) -> None:
        for name in ("observations", "covariates"):
            object.__setattr__(self, name, Frozen(getattr(self, name)))
        if math.isnan(self.end):
            object.__setattr__(self, "end", max(self._finite_times(), default=self.start))

    def _finite_times(self) -> list[float]:
        known = [s.known for s in self.observations.values()] + [c.known for c in self.inputs.courses.values()]
        return [float(time) for times in known for time in times if math.isfinite(time)]

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
        trusted: Iterable[str] = (),
        replicates: Iterable[str] = (),
        longest: float | str = "400 d",
        ledger: Ledger | None = None,
        person: str = "",
        origin: datetime.datetime | str | None = None,
    ) -> Record:
        """Check everything and build a record.

        Parameters
        ----------
        observations : mapping
            Name to `Series` or ``(times, values, unit)``, and where wanted ``limits`` and ``known`` after them; times
            in min or text such as "2 h", never going backwards. Rows whose value is NaN, None or infinite are left
            out and counted in `skipped`, as are exact repeats.
        inputs : Inputs, optional
            What was done. What is given to the patient is zero before its first start, a setting unknown before its
            first row. Measurements before the first input are welcome.
        covariates : mapping, optional
            Name to value or ``(value, unit)``; for example ``{"weight": (80, "kg"), "sex": "male"}``.
        start : float or str, min, optional
            The declared beginning. By default 0, or the first measurement, dose or infusion where that is earlier, so
            that what was given before is felt (of what began a week before, infusions count as always given and doses
            are set aside). Measurements before a start given here are refused; doses before it are set aside, and
            infusions begun before it are taken as in steady state: `skipped` counts both.
        end : float or str, min, optional
            What is known is known up to here; by default when anything in the record was last known.
        own : iterable of str
            Names outside the vocabulary; nothing about them is checked but that they have a unit.
        trusted : iterable of str
            Names whose declared unit is right although the values would fit another one better.
        replicates : iterable of str
            Names of which several values at one time are several measurements (wells, readers), each with an error of
            its own. Of others, a time that stands twice is a row charted twice, or a mistake where the values differ.
        longest : float or str, min
            The span beyond which times are taken for a mistake.
        ledger : Ledger, optional
            What a reader did with its rows.
        person : str
            A token of the person, where stays of one person must be known as such.
        origin : datetime or str, optional
            The moment of t = 0, such as "2020-03-12T08:00+01:00".

        Returns
        -------
        record : Record

        Raises
        ------
        ValueError
            If nothing was measured; a name is unknown; a unit is missing, of another dimension, or makes values
            implausible, or fits another unit better; times go backwards, repeat with another value, lie outside
            `start` and `end` or further apart than `longest`; an input per kilogram has no weight; a plateau is below
            the PEEP set then, or a systolic pressure not above the diastolic one of the same time.
        """
        own, inputs, ledger = tuple(own), inputs or Inputs(), ledger or Ledger()
        reasons: dict[str, list[float]] = {}
        series = check_all(observations, own, reasons, sure := {*own, *trusted}, tuple(replicates))
        if not series:
            lost = "; ".join(
                f"{line.why} ({line.count})" for line in ledger + Ledger.of_reasons(reasons) if line.fate != "used"
            )
            raise ValueError(
                f"Empty record: no variable has a measured value{f' (skipped: {lost})' if lost else ''}. Give "
                f"at least one observation, or use Record.admission for a patient without any."
            )
        fixed = {name: check_covariate(name, given, own) for name, given in (covariates or {}).items()}
        checks.check_inputs(inputs, checks.weight_of(fixed), own)
        checks.check_units(fixed, inputs, sure)
        check_plateau(series, inputs)
        check_pulse(series, own)
        first = min(float(one.times[0]) for one in series.values())
        begin = checks.begun(inputs, min(0.0, first)) if start is None else units.minutes(start)
        inputs = checks.from_start(inputs, begin, reasons, declared=start is not None)
        last = math.nan if end is None else units.minutes(end)
        record = cls(series, inputs, fixed, begin, last, ledger + Ledger.of_reasons(reasons), person)
        record = record if origin is None else replace(record, origin=wall_clock.moment(origin, "Argument `origin`"))
        checks.check_span(series, record.start, record.end, declared=start is not None)
        checks.check_length(record.start, record.end, units.minutes(longest))
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
        """Return the record of a patient of whom nothing has been measured.

        Parameters
        ----------
        covariates : mapping, optional
            As for `build`.
        inputs : Inputs, optional
            What is already running.
        time : float or str, min
        own : tuple of str
            Names outside the vocabulary.

        Returns
        -------
        record : Record
            `fit` turns it into a twin that is its prior.

        Raises
        ------
        ValueError
            As `build` for covariates and inputs.
        """
        own = tuple(own)
        fixed = {name: check_covariate(name, given, own) for name, given in (covariates or {}).items()}
        checks.check_inputs(inputs or Inputs(), checks.weight_of(fixed), own)
        now = units.minutes(time)
        given = (inputs or Inputs()).until(now)
        return cls({}, given, fixed, checks.begun(given, min(0.0, now)), now)

    @property
    def names(self) -> tuple[str, ...]:
        """The measured variables' names."""
        return tuple(self.observations)

    @property
    def weight(self) -> float | None:
        """Body weight in kg, or None where it is not known."""
        return checks.weight_of(self.covariates)

    @property
    def skipped(self) -> Mapping[str, int]:
        """How many rows were set aside or merged with others, by variable and reason."""
        found: dict[str, int] = {}
        for line in self.ledger:
            if line.fate != "used":
                found[line.why] = found.get(line.why, 0) + line.count
        return Frozen(found)

    def clock(self, time: float | str) -> datetime.datetime | None:
        """Return the moment of a time (min or text) in the origin's zone, None where the origin is not known."""
        return None if self.origin is None else wall_clock.at(self.origin, units.minutes(time))

    def known_from(self, *names: str) -> float:
        """Return from when on all these settings are known, so that a model driven by them can be simulated.

        Parameters
        ----------
        *names : str
            Inputs; what is no setting, or not in the record, does not count.

        Returns
        -------
        time : float, min
        """
        settings = [c for n, c in self.inputs.courses.items() if n in names and c.setting and c.starts.size]
        return max([self.start, *(float(course.starts.min()) for course in settings)])

    def since(self, time: float | str, why: str = "before the record's new start") -> Record:
        """Begin the record later: earlier measurements are set aside, inputs keep their history.

        Parameters
        ----------
        time : float or str, min
        why : str
            The reason, for the ledger.

        Returns
        -------
        record : Record
        """
        time = wall_clock.minutes_of(time, self.origin)
        ledger = self.ledger
        for name, one in self.observations.items():
            ledger = ledger.noted(name, why, one.times[one.times < time])
        series = {name: one.select(one.times >= time) for name, one in self.observations.items()}
        series = {name: one for name, one in series.items() if one.times.size}
        return replace(self, observations=series, start=time, end=max(self.end, time), ledger=ledger)

    def assuming(self, **values: Any) -> Record:
        """Assume what settings were while they were not charted; the record and its twins say so.

        Parameters
        ----------
        **values : "first", "last" or (float, str)
            For each setting: its first value carried back, its last one carried on where it ended without another (a
            ventilator on standby), or what it was before the first.

        Returns
        -------
        record : Record
            `notes` names them.

        Raises
        ------
        ValueError
            If an input is no setting, or "first" or "last" is asked of one that was never charted.

        Examples
        --------
        >>> record.assuming(inspired_oxygen="first", peep=(5, "cmH2O"))  # doctest: +SKIP
        """
        inputs = self.inputs
        said: list[str] = []
        for name, value in values.items():
            given, words = checks.assumed(name, value, inputs)
            inputs, said = Inputs({**inputs.courses, name: given}), [*said, words]
        return replace(self, inputs=inputs, notes=(*self.notes, *said))

    def until(self, time: float | str) -> Record:
        """Keep what was known at a time: the guard against using the future.

        Parameters
        ----------
        time : float or str, min
            Measurements known at it are kept, those known later are not. Inputs as in `Course.until`: a running
            infusion runs on.

        Returns
        -------
        record : Record
            Nothing later than `time` exists in it, not even a count of rows left out.

        Raises
        ------
        ValueError
            If `time` is before the record starts.
        """
        time = wall_clock.minutes_of(time, self.origin)
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
            Measurements known with ``begin < known <= end`` are kept; inputs are clipped, but for rows charted late.

        Returns
        -------
        record : Record
            Starts at `begin`; may hold no measurement.

        Raises
        ------
        ValueError
            If `end` is not after `begin`, or is before the record starts.
        """
        begin, end = wall_clock.minutes_of(begin, self.origin), wall_clock.minutes_of(end, self.origin)
        if not end > begin:
            raise ValueError(f"Argument `end` must be after `begin`, but end = {end:g} min and begin = {begin:g} min.")
        if end < self.start:
            raise ValueError(
                f"Argument `end` must not be before the record starts at {self.start:g} min, but is {end:g} min."
            )
        cut = self._cut(begin, end, self.inputs.between(begin, end), max(begin, self.start))
        return replace(cut, end=max(cut.end, cut.start))

    def _cut(self, after: float, until: float, inputs: Inputs, start: float) -> Record:
        series = {
            name: one.select((one.known > after) & (one.known <= until)) for name, one in self.observations.items()
        }
        series = {name: one for name, one in series.items() if one.times.size}
        fixed = {name: one.between(after, until) for name, one in self.covariates.items()}
        cut = replace(self, observations=series, inputs=inputs, covariates=fixed, start=start, end=min(self.end, until))
        return replace(cut, ledger=self.ledger.until(until, after))

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
        reasons: dict[str, list[float]] = {}
        added = {name: check_series(name, given, tuple(own), reasons) for name, given in observations.items()}
        series = {name: one for name, one in {**self.observations, **added}.items() if one.times.size}
        check_pulse(series, tuple(own))
        begin = min([self.start, *(float(one.times[0]) for one in series.values())])
        end = max([self.end, *(float(one.known.max()) for one in series.values())])
        return replace(self, observations=series, start=begin, end=end, ledger=self.ledger + Ledger.of_reasons(reasons))

    @property
    def data_hash(self) -> str:
        """SHA-256 of the content in hex digits, the same in every process; what was skipped does not change it."""
        return checks.content_hash(self.observations, self.inputs, self.covariates, (self.start, self.end))

    def __eq__(self, other: object) -> bool:
        return self.data_hash == other.data_hash if isinstance(other, Record) else NotImplemented

    def __hash__(self) -> int:
        return int(self.data_hash[:15], 16)

    def to_frame(self) -> pd.DataFrame:
        """Return the measurements as a tidy table, the form `read_tidy` takes, sorted by time.

        Returns
        -------
        frame : pandas.DataFrame
            Columns time (min), variable, value, unit, limit (-1 below, +1 above a detection limit), known (min).
        """
        return tables.measurements(self)

    def __repr__(self) -> str:
        """Say in five lines what was measured and done, over which time, of whom, and what became of the rows."""
        return tables.lines(self)

    def _repr_html_(self) -> str:
        return tables.page(self)
