"""The probability that a limit is crossed, with its Monte Carlo error."""

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..modeling.model import nearest
from ..patient.units import convert
from .forecast import Forecast

_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_EVENT = re.compile(r"\s*(\w+)\s*(<=|>=|<|>)\s*([-+0-9.eE]+)\s*(.*?)\s*")


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
        Those that could be solved.
    effective_draws : float
    failed : int
        Those that could not: what would have happened to them is not known.
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
        draws = f"{self.draws} draws" + (f", {self.failed} more could not be solved" if self.failed else "")
        return f"P({self.event} within {self.hours:g} h) = {self.probability:.3f} ± {self.mcse:.3f} ({draws})"


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
        The Monte Carlo error is never zero: with no event among n draws it is that of one in n + 2.

    Raises
    ------
    ValueError
        If the event cannot be read, names no forecast variable, lacks a unit, the horizon exceeds the forecast or
        holds none of its times, or no draw could be solved.
    """
    found = _EVENT.fullmatch(event)
    if found is None:
        raise ValueError(
            f'Event {event!r} must read like "glucose < 4 mmol/L": variable, one of < <= > >=, number, unit.'
        )
    name, comparison, number, unit = found.groups()
    outputs = ahead.group("predicted_outputs")
    if name not in outputs.data_vars:
        raise ValueError(f"The forecast has no variable `{name}`; {nearest(name, [str(n) for n in outputs.data_vars])}")
    if not unit:
        raise ValueError(
            f"Event {event!r} has no unit; write e.g. `{name} {comparison} {number} {outputs[name].units}`."
        )
    limit = float(convert(float(number), unit, outputs[name].units, variable=name))
    longest = (ahead.times[-1] - ahead.now) / 60
    hours = longest if hours is None else float(hours)
    if not 0 < hours <= longest + 1e-9:
        raise ValueError(f"Argument `hours` = {hours} must lie within the forecast, which reaches {longest:g} h ahead.")
    inside = ahead.times <= ahead.now + 60 * hours + 1e-9
    if not inside.any():
        first = ahead.times[0] - ahead.now
        raise ValueError(
            f"No time of the forecast lies within {60 * hours:g} min, the first is {first:g} min ahead: forecast more "
            f"closely, e.g. `forecast(…, every='{60 * hours / 4:.2g} min')`."
        )
    values = outputs[name].values[..., inside]
    known = np.all(np.isfinite(values), axis=-1)
    happened = np.any(_COMPARISONS[comparison](values, limit), axis=-1)[known]
    if not happened.size:
        raise ValueError("No draw of the forecast could be solved within the horizon, so nothing is known of the risk.")
    size = max(min(ahead.effective_draws, happened.size), 1.0)
    probability = float(happened.mean())
    shrunk = (probability * size + 1) / (size + 2)
    error = math.sqrt(shrunk * (1 - shrunk) / (size + 2))
    return Risk(probability, error, event, hours, int(happened.size), size, int(np.sum(~known)))
