"""What a caller gives is checked once, at the door: keys, nouns, times, settings and their ranges."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .units import minutes

LONGEST = 8760  # h, a year: no horizon or spacing is longer
MOST_NUMBERS = 2e8  # held at once by one answer: 1.6 GB
_SHORTEST = 1e-3  # s

# What to give where something else was given.
_SUCH_AS = {
    "AbstractModel": "a model such as `ICING()`",
    "Sampler": "a method such as `Laplace()` or `NUTS()`",
    "AbstractIntegrator": "an integrator, `FixedStep()` or `Adaptive()`",
    "AbstractSolver": "a solver of diffrax such as `diffrax.Tsit5()`",
    "AbstractNoise": "noise such as `Gaussian(additive=0.5)`",
    "AbstractProcess": "a process such as `RandomWalk(sd=0.2)`",
    "Candidate": 'a `Candidate` such as `Candidate("glucose soon", {"glucose": "+30 min"})`',
    "Distribution": "a distribution of numpyro such as `LogNormal(0.0, 1.0)`",
    "Filter": "settings of the filter, `Filter()`",
    "Forecast": "a `Forecast` as `forecast` returns",
    "Iterable": "several, such as a list",
    "Inputs": "`Inputs` such as `Inputs()` or `record.inputs`",
    "Grades": "`Grades` such as `Grades(determined=0.75)`",
    "Laplace": "a `Laplace` such as `Laplace()`",
    "Observation": "an `Observation` such as `Observation(Gaussian(additive=0.5))`",
    "Personal": "a `Population` as `fit_population` returns",
    "Record": "a `Record` as `Record.build` makes of measurements and inputs",
    "Repeats": "`Repeats` such as `Repeats(within=5.0, correlation=0.5)`",
    "Series": "a `Series` such as those of `record.observations`",
    "Twin": "a `Twin` as `fit` returns",
}


# ---- nouns -----------------------------------------------------------------------------------------------------------


def require_kind(argument: str, given: object, *kinds: Any) -> None:
    """Refuse what is no instance of the kinds asked for.

    Parameters
    ----------
    argument : str
        Its name, for the message.
    given : object
    *kinds : class or None
        One of which it must be an instance of; None among them where it may be left out.

    Raises
    ------
    TypeError
        A class given where its instance was meant is told from other mistakes.
    """
    classes = tuple(kind for kind in kinds if kind is not None)
    if (isinstance(given, classes) and not isinstance(given, type)) or (given is None and None in kinds):
        return
    wanted = " or ".join(_SUCH_AS.get(kind.__name__, f"a `{kind.__name__}`") for kind in classes)
    found = f"of type `{type(given).__name__}`"
    if isinstance(given, type):
        remedy = f": write `{given.__name__}()`" if issubclass(given, classes) else ""
        found = f"the class `{given.__name__}`{remedy}"
    raise TypeError(f"Argument `{argument}` must be {wanted}, but is {found}.")


def require_kinds(**arguments: tuple[Any, ...]) -> None:
    """Refuse arguments of other kinds than asked for.

    Parameters
    ----------
    **arguments : (given, kind, ...)
        By name, each as for `require_kind`.

    Raises
    ------
    TypeError
    """
    for argument, (given, *kinds) in arguments.items():
        require_kind(argument, given, *kinds)


def require_each(argument: str, given: Any, kind: type) -> None:
    """Refuse a mapping or a sequence that holds something else; None will do.

    Raises
    ------
    TypeError
    """
    if given is None:
        return
    if isinstance(given, str | type) or not hasattr(given, "__iter__"):
        require_kind(argument, given, kind)
        such = _SUCH_AS.get(kind.__name__, f"a `{kind.__name__}`")
        raise TypeError(
            f"Argument `{argument}` must hold several, each {such}, but is one alone: put it into a list, or a mapping "
            "from its name."
        )
    for place, value in given.items() if isinstance(given, Mapping) else enumerate(given):
        require_kind(f"{argument}[{place!r}]", value, kind)


def require_key(key: Any, argument: str = "key") -> None:
    """Refuse what is not one JAX random key.

    Raises
    ------
    TypeError
        If it is no key, a plain number for example.
    ValueError
        If it is an array of keys.
    """
    kind = getattr(key, "dtype", None)
    typed = kind is not None and jnp.issubdtype(kind, jax.dtypes.prng_key)
    raw = not typed and kind == np.uint32 and np.shape(key)[-1:] in ((2,), (4,))
    if not (typed or raw):
        raise TypeError(
            f"Argument `{argument}` must be a JAX random key, but is of type `{type(key).__name__}`: give "
            "`jax.random.key(0)`."
        )
    if np.ndim(key) != (1 if raw else 0):
        raise ValueError(
            f"Argument `{argument}` must be one JAX random key, but is an array of keys of shape {np.shape(key)}: give "
            f"one of them, such as `{argument}[0]`."
        )


# ---- times -----------------------------------------------------------------------------------------------------------


def require_times(times: Any, argument: str = "times", *, start: float | None = None) -> np.ndarray:
    """Return times as an array, (time,) min, or refuse them with the first offender named.

    Raises
    ------
    TypeError
        If they are no numbers.
    ValueError
        If there are none, or they are not finite, not strictly increasing or begin before `start` (min).
    """
    try:
        found = np.atleast_1d(np.asarray(times, float))
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"Argument `{argument}` must hold numbers, minutes in the record's time.") from None
    if found.ndim != 1 or found.size == 0 or not np.all(np.isfinite(found)):
        raise ValueError(
            f"Argument `{argument}` must hold at least one finite time in minutes, all in one dimension; drop empty "
            "and NaN times."
        )
    for i in np.flatnonzero(np.diff(found) <= 0)[:1]:
        raise ValueError(
            f"Argument `{argument}` must be strictly increasing, "
            f"but {argument}[{i + 1}] = {found[i + 1]} follows {argument}[{i}] = {found[i]}."
        )
    if start is not None and found[0] < start:
        raise ValueError(
            f"Argument `{argument}` begins at {found[0]} min, before the simulation's start at {start} min."
        )
    return found


def require_hours(hours: Any, argument: str = "hours") -> float:
    """Return a horizon in hours, or refuse one that is not above 0 and at most a year.

    Raises
    ------
    TypeError, ValueError
    """
    remedy = "a horizon in hours"
    if isinstance(hours, str):
        remedy = f"a number of hours, for example `{argument}={_hours(hours):g}`"
    require_within(f"Argument `{argument}`", hours, number(0, LONGEST, above=True), remedy)
    return float(hours)


def _hours(text: str) -> float:
    """Return what a text means in hours, or 4 where it means nothing."""
    try:
        return minutes(text) / 60.0
    except (TypeError, ValueError, OverflowError):
        return 4.0


def require_spacing(what: str, spacing: Any) -> float:
    """Return a spacing or a time scale in minutes, or refuse one shorter than a millisecond or longer than a year.

    Raises
    ------
    TypeError, ValueError
    """
    try:
        found = minutes(spacing)
    except TypeError as error:
        raise TypeError(f"{what} is not readable. {error}") from None
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{what} is not readable. {error}") from None
    if not _SHORTEST / 60.0 <= found <= 60.0 * LONGEST:
        raise ValueError(
            f"{what} must be from {_SHORTEST:g} s to {LONGEST:,} h, but is {found:g} min: give, for example, '1 h'."
        )
    return found


def require_room(what: str, numbers: float, remedy: str) -> None:
    """Refuse what would hold more numbers at once than memory takes.

    Parameters
    ----------
    what : str
        What would hold them, to begin the message with.
    numbers : float
        How many.
    remedy : str
        What to ask for instead.

    Raises
    ------
    ValueError
    """
    if not numbers <= MOST_NUMBERS:
        raise ValueError(
            f"{what} would hold {numbers:.3g} numbers at once, more than the {MOST_NUMBERS:.3g} allowed: ask for "
            f"{remedy}."
        )


# ---- numbers and settings --------------------------------------------------------------------------------------------


class Range(NamedTuple):
    """What a number may be; `above` and `below` leave out the bound itself."""

    low: float
    high: float
    whole: bool = False
    above: bool = False
    below: bool = False

    def holds(self, value: Any) -> bool:
        """Tell whether a number lies inside; NaN does not."""
        low = value > self.low if self.above else value >= self.low
        return bool(low and (value < self.high if self.below else value <= self.high))

    def __str__(self) -> str:
        """Say the range in words."""
        kind = "a whole number" if self.whole else "a number"
        low, high = (f"{bound:,}" if isinstance(bound, int) else f"{bound:g}" for bound in (self.low, self.high))
        low = f"above {low}" if self.above else f"of at least {low}"
        if self.high == math.inf:
            return f"{kind} {low}" + (" and finite" if self.below else "")
        return f"{kind} {low} and {'below' if self.below else 'at most'} {high}"


def whole(low: int, high: int) -> Range:
    """Return the whole numbers from `low` to `high`."""
    return Range(low, high, whole=True)


def number(low: float, high: float = math.inf, *, above: bool = False, below: bool = False) -> Range:
    """Return the finite numbers from `low` to `high`; `above` and `below` leave out the bound itself."""
    return Range(low, high, above=above, below=below or high == math.inf)


def require_within(what: str, value: Any, allowed: Range, remedy: str = "") -> None:
    """Refuse what is no number, or none of those allowed.

    Parameters
    ----------
    what : str
        What it is, to begin the message with.
    value : object
    allowed : Range
    remedy : str
        What to give instead.

    Raises
    ------
    TypeError
        If it is no number, or no whole one where that is asked for.
    ValueError
        If it lies outside.
    """
    kinds = (int, np.integer) if allowed.whole else (int, float, np.integer, np.floating)
    hint = f": give {remedy}" if remedy else ""
    if isinstance(value, bool | np.bool_) or not isinstance(value, kinds):
        found = f"{value!r}" if isinstance(value, float | np.floating) else f"of type `{type(value).__name__}`"
        raise TypeError(f"{what} must be {allowed}, but is {found}{hint}.")
    if not allowed.holds(value):
        try:
            found = f"{value:.6g}"
        except OverflowError:
            found = "far larger"
        raise ValueError(f"{what} must be {allowed}, but is {found}{hint}.")


def require_probability(argument: str, value: Any) -> None:
    """Refuse what is no probability strictly between 0 and 1.

    Raises
    ------
    TypeError, ValueError
    """
    require_within(f"Argument `{argument}`", value, number(0.0, 1.0, above=True, below=True), "0.9, for example")


def require_count(argument: str, value: Any, low: int, high: int) -> None:
    """Refuse what is no whole number from `low` to `high`.

    Raises
    ------
    TypeError, ValueError
    """
    require_within(f"Argument `{argument}`", value, whole(low, high))


def require_settings(owner: Any, **allowed: Range) -> None:
    """Refuse settings that are no number or outside their range.

    Parameters
    ----------
    owner : object
        Whose settings they are, a dataclass; its defaults serve as remedy.
    **allowed : Range
        By the name of the setting.

    Raises
    ------
    TypeError, ValueError
        As `require_within`.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(owner)}
    for name, span in allowed.items():
        usual = defaults[name] if defaults[name] is not None else dataclasses.MISSING
        remedy = (
            "one in this range" if usual is dataclasses.MISSING else f"the default, {usual:g}, or one in this range"
        )
        require_within(f"Setting `{name}` of `{type(owner).__name__}`", getattr(owner, name), span, remedy)


def require_sizes(owner: Any, **allowed: Range) -> None:
    """Refuse sizes outside their range where they are plain numbers.

    They may also be numpyro distributions, arrays with one value for each measurement, and, inside compiled code,
    values that are not known yet: these are not looked at.

    Raises
    ------
    TypeError, ValueError
        As `require_within`.
    """
    values = {name: getattr(owner, name) for name in allowed}
    plain = {n for n, value in values.items() if isinstance(value, np.generic) or not hasattr(value, "shape")}
    require_settings(owner, **{name: span for name, span in allowed.items() if name in plain})
