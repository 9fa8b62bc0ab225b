"""What is wanted, what must not happen, and what must not be exceeded: the nouns of a decision."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from ..forecasting.plan import plan
from ..inference.twin import Twin
from ..modeling.model import nearest
from ..patient.inputs import Inputs
from ..patient.require import number, require_count, require_kinds, require_within
from ..patient.units import convert, require_plausible

LOWEST_TARGET = 4.0  # mmol/L of glucose; below it a target is hypoglycemia by every published definition
MOST_OPTIONS = 2_000
_BAND = re.compile(r"\s*([-+]?[0-9.]+)\s*(?:to|–|-)\s*([-+]?[0-9.]+)\s*(\S.*?)\s*")
_SPAN = re.compile(r"\s*([-+]?[0-9.]+)\s*(?:to|–)\s*([-+]?[0-9.]+)\s*(\S.*?)\s+by\s+([0-9.]+)\s*")
_RATE = re.compile(r"\s*([-+]?[0-9.]+)\s*(\S.*?)\s*")


@dataclass(frozen=True)
class Goal:
    """Where an output should be, and how much being below or above costs.

    Parameters
    ----------
    output : str
    band : str
        ``"7.8 to 11.1 mmol/L"``. There is no default: guidelines differ.
    below, above : float
        Cost of an hour one unit below or above the band; with lows dearer than highs, `below` is the larger.
    """

    output: str
    band: str
    below: float = 1.0
    above: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a band that cannot be read or that no patient should be in."""
        low, high, unit = self.limits
        for name in ("below", "above"):
            require_within(f"Cost `{name}` of a goal", getattr(self, name), number(0.0), "1.0")
        require_plausible(self.output, np.array([low, high]), unit, labels=["Its lower end", "Its upper end"])
        if self.output == "glucose" and float(convert(low, unit, "mmol/L", variable="glucose")) < LOWEST_TARGET:
            raise ValueError(
                f"A target of glucose must not begin below {LOWEST_TARGET:g} mmol/L, but `band` = {self.band!r} does."
            )

    @property
    def limits(self) -> tuple[float, float, str]:
        """Lower and upper end of the band, and their unit."""
        found = _BAND.fullmatch(self.band) if isinstance(self.band, str) else None
        if found is None or not float(found[1]) < float(found[2]):
            raise ValueError(
                f"Argument `band` must read like '7.8 to 11.1 mmol/L', low before high, but is {self.band!r}."
            )
        return float(found[1]), float(found[2]), found[3]

    def cost(self, values: np.ndarray, times: np.ndarray, unit: str) -> np.ndarray:
        """Return the mean cost per hour of outputs (…, time) at equally spaced times, in `unit` of the output."""
        low, high, own = self.limits
        low, high = (float(convert(x, own, unit, variable=self.output)) for x in (low, high))
        away = self.below * np.maximum(low - values, 0.0) + self.above * np.maximum(values - high, 0.0)
        return away.mean(axis=-1)


@dataclass(frozen=True)
class Cap:
    """What an input must not exceed, whatever the forecast says.

    Parameters
    ----------
    most : str
        Largest rate or setting, ``"6 U/h"``.
    least : str, optional
        Smallest, for settings such as PEEP.
    step : str, optional
        Largest change from what runs now.
    source : str
        Where the cap comes from, shown where it binds.
    """

    most: str
    least: str | None = None
    step: str | None = None
    source: str = "cap of the caller"

    def __post_init__(self) -> None:
        """Refuse what cannot be read."""
        for name in ("most", "least", "step"):
            if getattr(self, name) is not None:
                sized(name, getattr(self, name))


def sized(name: str, text: Any) -> tuple[float, str]:
    """Return number and unit of a text such as ``"6 U/h"``.

    Raises
    ------
    ValueError
    """
    found = _RATE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"`{name}` must be a number with its unit, such as '6 U/h', but is {text!r}.")
    return float(found[1]), found[2]


@dataclass(frozen=True)
class Grid(Mapping[str, Mapping[str, str]]):
    """Every combination of the values named, each a plan from now on; made by `grid`."""

    steps: Mapping[str, tuple[str, ...]]

    def __iter__(self) -> Iterator[str]:
        """Go through the names of the candidates."""
        return iter(self._named())

    def __len__(self) -> int:
        """Return how many candidates there are."""
        return math.prod(len(values) for values in self.steps.values())

    def __getitem__(self, name: str) -> Mapping[str, str]:
        """Return what a candidate gives, by input."""
        return self._named()[name]

    def _named(self) -> dict[str, dict[str, str]]:
        found = {}
        for values in product(*self.steps.values()):
            given = dict(zip(self.steps, values, strict=True))
            found[", ".join(f"{name} {value}" for name, value in given.items())] = given
        return found


def grid(**spans: str | Sequence[str]) -> Grid:
    """Write candidates as combinations of rates and settings, each from now on.

    Parameters
    ----------
    **spans : str or sequence of str
        By input: ``"0 to 6 U/h by 0.5"``, or the values themselves, ``("5 cmH2O", "8 cmH2O")``.

    Returns
    -------
    Grid

    Raises
    ------
    ValueError
        If nothing is named, a span cannot be read, or there are more than 2,000 combinations.

    Examples
    --------
    >>> import twinprob as tp
    >>> list(tp.grid(insulin="0 to 2 U/h by 1"))
    ['insulin 0 U/h', 'insulin 1 U/h', 'insulin 2 U/h']
    """
    if not spans:
        raise ValueError("`grid` names no input: write e.g. `grid(insulin='0 to 6 U/h by 0.5')`.")
    found = Grid({name: _values(name, given) for name, given in spans.items()})
    require_count("number of combinations", len(found), 1, MOST_OPTIONS)
    return found


def _values(name: str, given: Any) -> tuple[str, ...]:
    if not isinstance(given, str):
        values = tuple(given)
        for value in values:
            sized(name, value)
        if not values:
            raise ValueError(f"The values of `{name}` are empty: name at least one, such as '2 U/h'.")
        return values
    found = _SPAN.fullmatch(given)
    if found is None:
        sized(name, given)
        return (given,)
    low, high, unit, step = float(found[1]), float(found[2]), found[3], float(found[4])
    if not (step > 0 and high >= low and (high - low) / step <= MOST_OPTIONS):
        raise ValueError(
            f"The span of `{name}` must go upward in steps above zero, at most {MOST_OPTIONS:,}, but is {given!r}."
        )
    count = math.floor((high - low) / step + 1e-9) + 1
    return tuple(f"{low + i * step:.12g} {unit}" for i in range(count))


@dataclass(frozen=True)
class Planned:
    """One candidate as it was given: its name, plan, and the cap that set it aside, if one did."""

    name: str
    inputs: Inputs
    capped: str = ""


def planned(twin: Twin, candidates: Any, caps: Mapping[str, Cap]) -> list[Planned]:
    """Return every candidate with its plan, those beyond a cap marked; the first is that nothing is changed.

    Raises
    ------
    TypeError
        If the candidates are no mapping.
    ValueError
        If there is none, a plan of the caller's own exceeds a cap, or one cannot be read.
    """
    require_kinds(candidates=(candidates, Mapping))
    if not len(candidates):
        raise ValueError("Argument `candidates` is empty: give `tp.grid(…)`, or a mapping from a name to its plan.")
    known = tuple(twin.model.quantities(twin.model.Input))
    for name in caps:
        if name not in known:
            raise ValueError(f"`caps` names `{name}`, which is no input of the model; {nearest(name, known)}")
    running = next((why for n, cap in caps.items() if (why := _runs_beyond(twin, n, cap))), "")
    found = [Planned("no change", Inputs(), running)]
    for name, given in candidates.items():
        inputs = given if isinstance(given, Inputs) else plan(twin, **given)
        capped = next((why for n, cap in caps.items() if (why := _beyond(twin, n, cap, inputs))), "")
        if capped and not isinstance(candidates, Grid):
            raise ValueError(f"Candidate `{name}` is beyond a cap: {capped} Change the plan, or the cap.")
        found.append(Planned(str(name), inputs, capped))
    return found


def _beyond(twin: Twin, name: str, cap: Cap, inputs: Inputs) -> str:
    """Say which cap a plan exceeds, if it does."""
    if name not in inputs:
        return ""
    course, unit, own = inputs[name], twin.model.quantities(twin.model.Input)[name].unit, _in_model(twin, name)
    rates = np.asarray(convert(course.rates, course.unit, unit, variable=name, weight=twin.record.weight), float)
    later = rates[~course.bolus & (course.ends > twin.now)]
    if later.size and later.max() > own(cap.most) * (1 + 1e-9):
        return f"{name} above {cap.most} ({cap.source})."
    if cap.least is not None and later.size and later.min() < own(cap.least) * (1 - 1e-9):
        return f"{name} below {cap.least} ({cap.source})."
    moved = np.abs(later - _running(twin, name))
    if cap.step is not None and later.size and moved.max() > own(cap.step) * (1 + 1e-9):
        return f"{name} changed by more than {cap.step} at once ({cap.source})."
    return ""


def _runs_beyond(twin: Twin, name: str, cap: Cap) -> str:
    """Say which cap is exceeded by what runs now, if one is."""
    now, own = _running(twin, name), _in_model(twin, name)
    if now > own(cap.most) * (1 + 1e-9):
        return f"{name} already runs above {cap.most} ({cap.source})."
    if cap.least is not None and now < own(cap.least) * (1 - 1e-9):
        return f"{name} already runs below {cap.least} ({cap.source})."
    return ""


def _running(twin: Twin, name: str) -> float:
    """Return what runs of an input now, boluses apart, in the model's unit."""
    if name not in twin.record.inputs:
        return 0.0
    course, unit = twin.record.inputs[name], twin.model.quantities(twin.model.Input)[name].unit
    level = course.at(twin.now) if course.setting else course.infusions().at(twin.now)
    return float(convert(level, course.unit, unit, variable=name, weight=twin.record.weight))


def _in_model(twin: Twin, name: str) -> Callable[[str], float]:
    """Return what reads a text such as "6 U/h" in the model's unit of an input."""
    unit = twin.model.quantities(twin.model.Input)[name].unit

    def own(text: str) -> float:
        size, given = sized(name, text)
        return float(convert(size, given, unit, variable=name, weight=twin.record.weight))

    return own
