"""What the page says, as values, each from the verb of its name: page and program agree to the last digit."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import jax
import numpy as np

from ...decisions.goal import Cap, Goal, grid
from ...decisions.recommend import recommend
from ...decisions.recommendation import Recommendation
from ...design.candidate import Candidate, Future
from ...design.next_measurement import next_measurement
from ...design.ranking import Ranking
from ...diagnostics.diagnose import diagnose
from ...diagnostics.finding import REFUSE
from ...diagnostics.identify import identify
from ...display import number
from ...forecasting.forecast import Forecast, forecast
from ...forecasting.plan import plan
from ...forecasting.risk import Risk, risk
from ...forecasting.watch import WATCHED
from ...inference.twin import Twin
from ...patient.require import require_hours
from ...patient.units import span
from .treatments import Treatment

OLDEST = 360.0  # min; an older last measurement grays the page: a setting
DOTS = 50
LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
_SETTLED = "+4 h"  # when the output is asked for that a next measurement is to narrow
_OPTIONS = 5  # of each treatment, side by side


@dataclass(frozen=True)
class Asked:
    """What a reader asks: treatments that are changed, a horizon, a key.

    Attributes
    ----------
    given : mapping of str to float
        By treatment, in the slider's unit; those that are not named run on as they are.
    hours : float
    key : int
    """

    given: Mapping[str, float] = field(default_factory=dict)
    hours: float = 4.0
    key: int = 0

    @classmethod
    def read(cls, query: Mapping[str, str], offered: tuple[Treatment, ...]) -> "Asked":
        """Read the fields of a form.

        Raises
        ------
        ValueError
            Naming the field, if a value is no number, or beyond the range of its slider.
        """
        given = {}
        for one in offered:
            text = query.get(one.name, "").strip()
            if not text:
                continue
            size = _number(one.words, text)
            if not one.least - 1e-9 <= size <= one.most + 1e-9:
                within = f"{number(one.least)} to {number(one.most)} {one.unit}"
                raise ValueError(f"{one.words} must be from {within} ({one.cap}), but is {text[:20]}.")
            if math.isnan(one.now) or abs(size - one.now) > 1e-9 * max(1.0, abs(one.now)):
                given[one.name] = size
        hours = require_hours(_number("The horizon", query.get("hours", "4")))
        if hours > 48.0:
            raise ValueError(f"The horizon must be at most 48 h, but is {hours:g} h.")
        return cls(given, hours, int(_number("The key", query.get("key", "0"))))

    def plan(self, twin: Twin, offered: tuple[Treatment, ...]) -> Any:
        """Return the plan as `forecast` takes it."""
        units = {one.name: one.unit for one in offered}
        return plan(twin, **{name: f"{size:.12g} {units[name]}" for name, size in self.given.items()})


def _number(what: str, text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise ValueError(f"{what} must be a number, but is {text[:20]!r}.")
    return found


@dataclass(frozen=True)
class Answer:
    """A forecast with its risks.

    Attributes
    ----------
    asked : Asked
    ahead : Forecast
    risks : tuple of Risk
    """

    asked: Asked
    ahead: Forecast
    risks: tuple[Risk, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers: what was asked, quantiles of every output by time, and the risks."""
        outputs = self.ahead.group("predicted_outputs").data_vars
        return {
            "asked": {"given": dict(self.asked.given), "hours": self.asked.hours, "key": self.asked.key},
            "now": self.ahead.now,
            "times": self.ahead.times.tolist(),
            "levels": list(LEVELS),
            "outputs": {
                str(name): {
                    "unit": values.attrs.get("units", ""),
                    "quantiles": _plain(self.ahead.quantiles(str(name), LEVELS, measured=False)),
                    "measured": _plain(self.ahead.quantiles(str(name), LEVELS)),
                }
                for name, values in outputs.items()
            },
            "risks": [
                {"event": r.event, "probability": _plain(r.probability), "mcse": _plain(r.mcse), "said": str(r),
                 "of_50": of_fifty(r), "draws": r.draws, "failed": r.failed}
                for r in self.risks
            ],
            "notes": list(self.ahead.notes),
            "solves_failed": self.ahead.solves_failed,
        }  # fmt: skip


def _plain(values: Any) -> Any:
    """Return numbers as JSON can hold them: what is unknown is null."""
    found = np.asarray(values, float)
    known = found.astype(object)
    known[~np.isfinite(found)] = None
    return known.tolist()


def of_fifty(one: Risk) -> int | None:
    """Return a risk as so many of fifty patients, None where it is not known."""
    return None if not math.isfinite(one.probability) else round(DOTS * one.probability)


def frequency(one: Risk) -> str:
    """Say a risk as a natural frequency; one that no draw showed as a limit, never as zero."""
    if not math.isfinite(one.probability):
        return "not known: no draw could be solved"
    if one.probability == 0.0:
        return f"fewer than 1 in {max(2, math.floor(1.0 / one.bound))} patients like this one"
    if one.probability == 1.0:
        return f"all but fewer than 1 in {max(2, math.floor(1.0 / one.bound))} patients like this one"
    if (count := of_fifty(one)) in (0, 50):
        rarer = min(one.probability, 1.0 - one.probability)
        return f"{'' if count == 0 else 'all but '}about 1 in {float(f'{1.0 / rarer:.1g}'):.0f} patients like this one"
    return f"{count} of 50 patients like this one"


def events(twin: Twin) -> tuple[str, ...]:
    """Return the watched events that the twin's model can speak of."""
    outputs = twin.model.quantities(twin.model.Output)
    return tuple(one.event for one in WATCHED.values() if one.read().output in outputs)


def answer(twin: Twin, asked: Asked, offered: tuple[Treatment, ...]) -> Answer:
    """Forecast under what is asked, and count the risks of the watched events.

    Parameters
    ----------
    twin : Twin
    asked : Asked
    offered : tuple of Treatment
    """
    ahead = forecast(twin, inputs=asked.plan(twin, offered), hours=asked.hours, key=jax.random.key(asked.key))
    return Answer(asked, ahead, tuple(risk(ahead, event) for event in events(twin)))


@dataclass(frozen=True)
class Standing:
    """Whether the page may be used, and why not.

    Attributes
    ----------
    verdict, headline : str
    findings : tuple of (subject, verdict, evidence, action)
    gray : tuple of str
        Reasons for which the page is grayed; empty where there is none.
    """

    verdict: str
    headline: str
    findings: tuple[tuple[str, str, str, str], ...]
    gray: tuple[str, ...]


@lru_cache(maxsize=8)
def _standing(twin: "_Same") -> Standing:
    found = diagnose(twin.twin)
    gray = [f"The diagnosis says: {found.headline}"] if found.verdict == REFUSE else []
    gray += _stale(twin.twin)
    rows = tuple((f.subject, f.verdict, f.evidence, f.action) for f in found.findings)
    return Standing(found.verdict, found.headline, rows, tuple(gray))


def _stale(twin: Twin) -> list[str]:
    """Return why a twin's measurements are too old to speak of now."""
    outputs = [name for name in twin.model.quantities(twin.model.Output) if name in twin.record.observations]
    if not outputs:
        return ["Nothing was measured: what is shown is what is believed of any patient."]
    ages = {name: twin.now - float(twin.record.observations[name].times[-1]) for name in outputs}
    name = min(ages, key=lambda one: ages[one])
    return [] if ages[name] <= OLDEST else [f"The last measurement, of {name}, is {span(ages[name])} old."]


class _Same:
    """A twin as a key of a cache: itself, and no other that looks like it."""

    def __init__(self, twin: Twin):
        self.twin = twin

    def __hash__(self) -> int:
        return id(self.twin)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.twin is self.twin


def standing(twin: Twin) -> Standing:
    """Return how far the twin can be trusted, and whether the page is grayed; found once for a twin."""
    return _standing(_Same(twin))


@lru_cache(maxsize=8)
def _unsure(twin: _Same) -> tuple[tuple[str, str, str, str], ...]:
    found = identify(twin.twin, key=jax.random.key(0))
    return tuple((r.subject, str(r.verdict), r.evidence, r.remedy) for r in (*found.predictions, *found.parameters))


def unsure(twin: Twin) -> tuple[tuple[str, str, str, str], ...]:
    """Return subject, verdict, evidence and remedy of every prediction and parameter: why the twin is not sure."""
    return _unsure(_Same(twin))


@lru_cache(maxsize=8)
def _narrowing(twin: _Same) -> Ranking | None:
    model, record = twin.twin.model, twin.twin.record
    names = [name for name in model.quantities(model.Output) if name in record.observations]
    tried = [
        Candidate(f"{name} {words}", {name: when})
        for name in names[:3]
        for words, when in (("now", "now"), ("in 30 min", "+30 min"), ("in 1 h", "+60 min"))
    ]
    if not tried:
        return None
    return next_measurement(twin.twin, tried, quantity=Future(names[0], _SETTLED), key=jax.random.key(0), nested=0)


def narrowing(twin: Twin) -> Ranking | None:
    """Return how much each of a few measurements is expected to narrow the first measured output in four hours.

    None where nothing was measured.
    """
    return _narrowing(_Same(twin))


def compared(
    twin: Twin, offered: tuple[Treatment, ...], name: str, goal: str, limits: Mapping[str, float], asked: Asked
) -> Recommendation:
    """Compare a few values of one treatment under a goal and limits that the reader states.

    Parameters
    ----------
    twin : Twin
    offered : tuple of Treatment
    name : str
        The treatment.
    goal : str
        Output and band: ``"glucose 7.8 to 11.1 mmol/L"``.
    limits : mapping of event to probability
    asked : Asked
        For horizon and key.

    Raises
    ------
    ValueError
        If there is no such treatment, or goal or limits cannot be read.
    """
    chosen = next((one for one in offered if one.name == name), None)
    if chosen is None:
        raise ValueError(f"There is no treatment `{name[:40]}` on this page.")
    output, _, band = goal.strip().partition(" ")
    steps = np.linspace(chosen.least, chosen.most, _OPTIONS)
    plans = grid(**{name: tuple(f"{size:.6g} {chosen.unit}" for size in steps)})
    cap = {name: Cap(f"{chosen.most:.12g} {chosen.unit}", f"{chosen.least:.12g} {chosen.unit}", source=chosen.cap)}
    return recommend(
        twin, plans, goal=Goal(output, band), limits=limits, caps=cap, hours=asked.hours, key=jax.random.key(asked.key)
    )
