"""The probability that a limit is crossed, with its Monte Carlo error."""

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..modeling.model import nearest
from ..patient.require import require_hours, require_kinds
from ..patient.units import convert, require_plausible, span
from .forecast import Forecast

_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_EVENT = re.compile(r"\s*(\w+)\s*(<=|>=|<|>)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,2})?)(?![\d.])\s*(.*?)\s*")


@dataclass(frozen=True)
class Risk:
    """Probability that a stated event happens within a horizon.

    Attributes
    ----------
    probability : float
    mcse : float, its Monte Carlo standard error
    event : str
    hours : float
    draws : int
        Those that could be solved; the others say neither that it happens nor that it does not.
    effective_draws : float
        Independent draws behind the probability.
    failed : int
        Draws that could not be solved.
    """

    probability: float
    mcse: float
    event: str
    hours: float
    draws: int
    effective_draws: float
    failed: int = 0

    def __str__(self) -> str:
        """Say the risk with its error."""
        failed = f", {self.failed} more could not be solved" if self.failed else ""
        said, draws = f"= {self.probability:.3f} ± {self.mcse:.3f}", f"{self.draws} draws"
        if self.probability in (0.0, 1.0):
            sign, bound = ("<", self.bound) if self.probability == 0.0 else (">", 1.0 - self.bound)
            said, draws = f"{sign} {bound:.2g}", f"95 % sure; {'none' if sign == '<' else 'all'} of {draws}"
        return f"P({self.event} within {span(60.0 * self.hours)}) {said} ({draws}{failed})"

    @property
    def bound(self) -> float:
        """How large the rarer of event and non-event may be where no draw shows it: an upper 95 % limit."""
        return 1.0 - 0.05 ** (1.0 / max(self.effective_draws, 1.0))


@dataclass(frozen=True)
class Event:
    """A crossing of a limit, read from text such as ``"glucose < 4 mmol/L"``.

    Attributes
    ----------
    text, output, comparison : str
    limit : float
        In the model's unit of the output.
    """

    text: str
    output: str
    comparison: str
    limit: float

    @classmethod
    def read(cls, text: str, units: Mapping[str, str]) -> "Event":
        """Read an event about one of the outputs of `units`.

        Raises
        ------
        ValueError
            If it cannot be read, names none of these outputs, lacks a unit or has a limit that no value could pass.
        """
        name, comparison, number, unit = parts(text)
        if name not in units:
            raise ValueError(f"The forecast has no variable `{name}`; {nearest(name, units)}")
        if not unit:
            raise ValueError(f"Event {text!r} has no unit; write e.g. `{name} {comparison} {number} {units[name]}`.")
        require_plausible(name, np.array([float(number)]), unit, labels=[f"The limit of event {text!r}"])
        return cls(text, name, comparison, float(convert(float(number), unit, units[name], variable=name)))

    @property
    def low(self) -> bool:
        """Whether it is low values that cross the limit."""
        return self.comparison.startswith("<")

    def happens(self, values: np.ndarray) -> np.ndarray:
        """Say of each draw whether it happens at any time; `values` (…, time) in the model's unit."""
        return np.any(_COMPARISONS[self.comparison](values, self.limit), axis=-1)


def parts(text: str) -> tuple[str, str, str, str]:
    """Return variable, comparison, number and unit of an event; the unit may be empty.

    Raises
    ------
    ValueError
        If it cannot be read.
    """
    found = _EVENT.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(
            f'Event {text!r} must read like "glucose < 4 mmol/L": variable, one of < <= > >=, number, unit.'
        )
    name, comparison, number, unit = found.groups()
    return name, comparison, number, unit


def risk(ahead: Forecast, event: str, *, hours: float | None = None) -> Risk:
    """Return the probability that the noise-free output crosses a limit at any forecast time.

    Parameters
    ----------
    ahead : Forecast
    event : str
        Variable, comparison, number and unit, e.g. ``"glucose < 4 mmol/L"``.
    hours : float, optional
        Horizon from now; the whole forecast by default.

    Returns
    -------
    Risk
        The Monte Carlo error is never zero: with no event among n effective draws it is that of one in n + 2, and the
        risk prints as below a limit. Where no draw could be solved, probability and error are NaN, which is below no
        limit.

    Raises
    ------
    TypeError
        If `ahead` is no `Forecast`, or the event no text.
    ValueError
        If the event cannot be read, names no forecast variable, lacks a unit or has a limit that no patient's value
        could pass, or the horizon exceeds the forecast or ends before its first time.
    """
    require_kinds(ahead=(ahead, Forecast), event=(event, str))
    outputs = ahead.group("predicted_outputs")
    happening = Event.read(event, {str(name): values.units for name, values in outputs.data_vars.items()})
    longest = (ahead.times[-1] - ahead.now) / 60
    hours = longest if hours is None else require_hours(hours)
    if hours > longest + 1e-9:
        raise ValueError(
            f"Argument `hours` = {hours:g} must lie within the forecast, which reaches {longest:g} h ahead."
        )
    inside = ahead.times <= ahead.now + 60 * hours + 1e-9
    if not inside.any():
        first = ahead.times[0] - ahead.now
        raise ValueError(
            f"No time of the forecast lies within {60 * hours:g} min, the first is {first:g} min ahead: forecast more "
            f"closely, e.g. `forecast(…, every='{60 * hours / 4:.2g} min')`."
        )
    return counted(happening, outputs[happening.output].values[..., inside], ahead.effective_draws, hours)


def counted(event: Event, values: np.ndarray, effective_draws: float, hours: float) -> Risk:
    """Count the draws in which an event happens.

    Parameters
    ----------
    event : Event
    values : (…, time) its output at every time within the horizon, in the model's unit; NaN where a draw failed
    effective_draws : float
        Independent draws that all of them, failed ones included, are worth.
    hours : float
        The horizon, for the sentence.
    """
    known = np.all(np.isfinite(values), axis=-1)
    solved, failed = int(known.sum()), int((~known).sum())
    if not solved:
        return Risk(math.nan, math.nan, event.text, hours, 0, 0.0, failed)
    happened = event.happens(values)[known]
    size = float(max(min(effective_draws * known.mean(), solved), 1.0))
    probability = float(happened.mean())
    shrunk = (probability * size + 1) / (size + 2)
    error = math.sqrt(shrunk * (1 - shrunk) / (size + 2))
    return Risk(probability, error, event.text, hours, solved, size, failed)
