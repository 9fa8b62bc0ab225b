"""What could be measured next, and what is asked: the nouns that `next_measurement` ranks and answers."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..inference.twin import Twin
from ..modeling.model import nearest
from ..modeling.observation import Observation
from ..patient.frozen import Frozen
from ..patient.inputs import Inputs
from ..patient.record import Record
from ..patient.units import minutes

_INSTANT = 1e-3  # min; a forecast begins after the present


@dataclass(frozen=True)
class Candidate:
    """A measurement that could be made, and what would be done to the patient before it.

    Parameters
    ----------
    name : str
        How the ranking calls it.
    measure : mapping of str to time or sequence of times
        When each output would be measured: ``"now"``, ``"+30 min"`` from the twin's present, or a time of the record
        (min, or text such as ``"24 h"``).
    inputs : Inputs, optional
        What would be set, in the record's time: an input named here no longer runs on as it did, as in `forecast`
        (a PEEP step, another infusion rate).
    extra : Inputs, optional
        What would be given on top of what runs (a bolus of glucose, 250 mL of fluid).
    observations : mapping of str to Observation, optional
        How it would be measured, where not as the twin's outputs are (a laboratory in place of a bedside meter).
    """

    name: str
    measure: Mapping[str, Any]
    inputs: Inputs | None = None
    extra: Inputs | None = None
    observations: Mapping[str, Observation] = field(default_factory=Frozen)

    def __post_init__(self) -> None:
        """Refuse a candidate without a name or a measurement."""
        if not self.name.strip():
            raise ValueError('A candidate needs a name, such as "glucose in 30 min", to be found in the ranking.')
        if not self.measure:
            raise ValueError(f'Candidate `{self.name}` measures nothing: `measure={{"glucose": "+30 min"}}`.')
        object.__setattr__(self, "measure", Frozen(dict(self.measure)))
        object.__setattr__(self, "observations", Frozen(dict(self.observations)))

    def plan(self, record: Record, now: float) -> Inputs:
        """Return what is done from now on, as `forecast` takes it: the plan, and on top of it what is given extra."""
        plan, extra = self.inputs or Inputs(), self.extra or Inputs()
        courses = dict(plan.courses)
        if extra.names:
            going = record.inputs.then(plan, now).after(now).merge(extra, weight=record.weight)
            courses |= {name: going[name] for name in extra.names}
        return Inputs(courses)


@dataclass(frozen=True)
class Future:
    """A quantity of interest: a noise-free output at a time to come, under a plan.

    Parameters
    ----------
    variable : str
    at : float or str
        ``"+4 h"`` from the twin's present, or a time of the record.
    inputs : Inputs, optional
        The plan, as for `forecast`; everything runs on by default.
    """

    variable: str
    at: float | str
    inputs: Inputs | None = None


@dataclass(frozen=True)
class Threshold:
    """A decision whether a quantity is below a limit.

    Parameters
    ----------
    quantity : str or Future
        A parameter's name, or an output to come.
    limit : float
    unit : str
        Of the limit.
    missed, false_alarm : float
        Cost of taking a value below the limit to be above it, and of the reverse; with both one, the expected loss is
        the probability of a wrong decision.
    """

    quantity: str | Future
    limit: float
    unit: str
    missed: float = 1.0
    false_alarm: float = 1.0


@dataclass(frozen=True)
class Choice:
    """A decision which of several plans is best for this patient.

    Parameters
    ----------
    options : mapping of str to Inputs
        The plans, as for `forecast`; ``Inputs()`` lets everything run on.
    utility : function of outputs
        Maps the noise-free outputs, a mapping of str to (draw, time) in the model's units, to utilities (draw,).
    times : sequence of times
        At which the utility wants the outputs; as in `Candidate.measure`.
    """

    options: Mapping[str, Inputs]
    utility: Callable[[Mapping[str, np.ndarray]], np.ndarray]
    times: Sequence[float | str]


Question = str | Future | Threshold | Choice


def time_of(when: Any, now: float) -> float:
    """Return a time of the record in min from ``"now"``, ``"+30 min"``, or a time of the record."""
    if isinstance(when, str) and when.strip() == "now":
        return now + _INSTANT
    relative = isinstance(when, str) and when.strip().startswith("+")
    time = now + minutes(when.strip()[1:].strip()) if relative else minutes(when)
    return time + _INSTANT if time == now else time


def times_of(when: Any, now: float) -> np.ndarray:
    """Return one or several times of the record, (time,) min, in order."""
    several = [when] if isinstance(when, str) or np.ndim(when) == 0 else list(when)
    return np.unique([time_of(one, now) for one in several])


def asked_times(quantity: Question, now: float) -> np.ndarray:
    """Return the times to come that a question needs, or refuse those that are past."""
    asked = quantity.quantity if isinstance(quantity, Threshold) else quantity
    later = [asked.at] if isinstance(asked, Future) else asked.times if isinstance(asked, Choice) else []
    for when in later:
        if not now < time_of(when, now) < math.inf:
            raise ValueError(
                f"The quantity of interest lies at {when!r}, but must do so after the twin's present, {now:g} min; "
                'times from now are written as "+4 h".'
            )
    return times_of(later, now) if len(later) else np.zeros(0)


def check_candidates(twin: Twin, candidates: Sequence[Candidate]) -> None:
    """Refuse what cannot be ranked, with the candidate named."""
    if not len(candidates):
        raise ValueError('There are no candidates to rank: `[Candidate("glucose now", {"glucose": "now"}), ...]`.')
    names = [candidate.name for candidate in candidates]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"Two candidates are called `{name}`; give each a name of its own.")
    for candidate in candidates:
        for variable, when in candidate.measure.items():
            check_output(twin, variable, f"Candidate `{candidate.name}`")
            for time in times_of(when, twin.now):
                if not twin.now < time < math.inf:
                    raise ValueError(
                        f"Candidate `{candidate.name}` measures `{variable}` at {time:g} min, but must do so after the "
                        f'twin\'s present, {twin.now:g} min; times from now are written as "+30 min".'
                    )
        _check_inputs(twin, candidate)


def _check_inputs(twin: Twin, candidate: Candidate) -> None:
    known = tuple(twin.model.quantities(twin.model.Input))
    for plan in (candidate.inputs or Inputs(), candidate.extra or Inputs()):
        for variable, course in plan.courses.items():
            if variable not in known:
                raise ValueError(
                    f"Candidate `{candidate.name}` gives `{variable}`, which is no input of model "
                    f"`{type(twin.model).__name__}`; {nearest(variable, known)}"
                )
            for i in np.flatnonzero((course.starts > -math.inf) & (course.starts < twin.now)):
                raise ValueError(
                    f"Candidate `{candidate.name}` gives `{variable}` from {course.starts[i]:g} min, before the twin's "
                    f"present, {twin.now:g} min; what it does must begin then or later."
                )


def check_output(twin: Twin, variable: str, who: str) -> None:
    """Refuse a variable that is no output of the twin's model."""
    outputs = tuple(twin.model.quantities(twin.model.Output))
    if variable not in outputs:
        raise ValueError(
            f"{who} names `{variable}`, which is no output of model `{type(twin.model).__name__}`; "
            f"{nearest(variable, outputs)}"
        )
