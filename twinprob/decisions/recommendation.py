"""Ranked plans with their risks, or an abstention with its reasons: a value that other tools can read."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ..display import number, paragraph, section, table
from ..forecasting.risk import Risk
from ..patient.inputs import Inputs
from ..patient.units import span
from .abstention import Effect, Reason
from .goal import Goal

NO_CHANGE, MEASURE_FIRST = "no change", "measure first"
NOTICE = "Research software, not a medical device."
_DOTS = 50


@dataclass(frozen=True)
class Option:
    """One plan and what it would do.

    Attributes
    ----------
    name : str
    inputs : Inputs or None
        As `forecast` takes it; None for "measure first".
    feasible : bool
        Whether it is within caps and limits.
    why : str
        The cap or limit that it is beyond; of "measure first", what measuring is worth.
    risks : tuple of Risk, in the order of the limits
    tails : tuple of float
        For each limit, the mean of the worst share of draws that the limit allows, of their worst values: how deep it
        goes where it goes wrong; in the model's unit.
    cost, cost_mcse : float
        Expected cost per hour by the goal, and its Monte Carlo error.
    rank : int or None
        Shared by those that cannot be told apart; None where it is not offered.
    draws, failed : int
        Draws looked at, and those of them that could not be solved.
    fans : mapping of str to (level, time)
        Quantiles .05, .25, .5, .75, .95 of the noise-free outputs: of the same draws that the risks are from.
    """

    name: str
    inputs: Inputs | None
    feasible: bool
    why: str = ""
    risks: tuple[Risk, ...] = ()
    tails: tuple[float, ...] = ()
    cost: float = math.nan
    cost_mcse: float = math.nan
    rank: int | None = None
    draws: int = 0
    failed: int = 0
    fans: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    def worth(self, share: float) -> float:
        """Return how many effective draws would lie beyond a limit of this probability."""
        return share * min((risk.effective_draws for risk in self.risks), default=0.0)


@dataclass(frozen=True, repr=False)
class Recommendation:
    """Plans in the order of what they are expected to cost, each with its risks; or the reasons why none is offered.

    Attributes
    ----------
    options : tuple of Option
        Those that are offered by rank, then the others.
    reasons : tuple of Reason
        Why the twin abstains; empty where it recommends.
    caveats : tuple of str
        What must be known beside every option.
    goal : Goal
    limits : tuple of (event, probability)
    hours : float
    effects : tuple of Effect
        What each treatment does to the goal's output, and whether this patient's data say so.
    times : (time,) min from the present, of the options' fans
    draws : int
    effective_draws : float
    """

    options: tuple[Option, ...]
    reasons: tuple[Reason, ...]
    caveats: tuple[str, ...]
    goal: Goal
    limits: tuple[tuple[str, float], ...]
    hours: float
    effects: tuple[Effect, ...]
    times: np.ndarray
    draws: int
    effective_draws: float

    @property
    def abstains(self) -> bool:
        """Whether nothing is recommended."""
        return bool(self.reasons)

    @property
    def best(self) -> tuple[Option, ...]:
        """The options that share the first rank; none where the twin abstains."""
        return tuple(option for option in self.options if option.rank == 1)

    def __getitem__(self, name: str) -> Option:
        """Return one option by its name."""
        for option in self.options:
            if option.name == name:
                return option
        raise KeyError(f"There is no option `{name}`; there are: {', '.join(o.name for o in self.options)}.")

    @property
    def capped(self) -> dict[str, int]:
        """How many candidates each cap set aside."""
        found: dict[str, int] = {}
        for option in self.options:
            if option.inputs is not None and not option.risks:
                found[option.why] = found.get(option.why, 0) + 1
        return found

    @property
    def bound(self) -> dict[str, int]:
        """How many candidates each limit holds back."""
        found = {event: 0 for event, _ in self.limits}
        for option in self.options:
            for risk, (event, most) in zip(option.risks, self.limits, strict=False):
                found[event] += not risk.probability + 2.0 * risk.mcse <= most
        return found

    def to_frame(self) -> pd.DataFrame:
        """Return one row per option.

        Returns
        -------
        frame : pandas.DataFrame
            Columns option, rank, feasible, why, cost, cost_mcse, draws, failed, and for each limit its probability,
            mcse, the stated limit and the tail mean, under ``<event>``, ``<event> mcse``, ``<event> limit`` and
            ``<event> tail``.
        """
        return pd.DataFrame([self._row(option) for option in self.options])

    def _row(self, option: Option) -> dict[str, Any]:
        told = ("rank", "feasible", "why", "cost", "cost_mcse", "draws", "failed")
        row: dict[str, Any] = {"option": option.name, **{name: getattr(option, name) for name in told}}
        for risk, tail, (event, most) in zip(option.risks, option.tails, self.limits, strict=False):
            row |= {event: risk.probability, f"{event} mcse": risk.mcse, f"{event} limit": most, f"{event} tail": tail}
        return row

    def __str__(self) -> str:
        """Say it in words: reasons or options, never one answer alone."""
        lines = [self.headline]
        lines += [f"  {reason}" for reason in self.reasons]
        shown = [o for o in self.options if o.rank is not None]
        shown += [o for o in self.options if o.rank is None and o.name in (NO_CHANGE, MEASURE_FIRST)]
        for option in shown:
            place = f"{option.rank}. " if option.rank is not None else "-  "
            risks = "; ".join(str(risk) for risk in option.risks)
            cost = f", cost {option.cost:.3g} ± {option.cost_mcse:.2g} per hour" if option.risks else ""
            lines.append(f"  {place}{option.name}{cost}{': ' + risks if risks else ''} {option.why}".rstrip())
        lines += [f"  {count} candidates beyond the cap: {why}" for why, count in self.capped.items()]
        lines += [
            f"  {count} candidates held back by the limit: {event}" for event, count in self.bound.items() if count
        ]
        lines += [f"  {effect}" for effect in self.effects]
        lines += [f"  Note: {caveat}" for caveat in self.caveats]
        return "\n".join([*lines, f"  {self.draws} draws worth {self.effective_draws:.0f}. {NOTICE}"])

    __repr__ = __str__

    @property
    def headline(self) -> str:
        """One sentence: that it abstains and the first reason, or what serves the goal best within the limits."""
        allowed = ", ".join(f"P({event}) ≤ {most:g}" for event, most in self.limits)
        if self.abstains:
            return f"No recommendation: {self.reasons[0].what}."
        names = " or ".join(option.name for option in self.best)
        return f"For {self.goal.output} {self.goal.band} over {span(60.0 * self.hours)} with {allowed}: {names}."

    def _repr_html_(self) -> str:
        rows = []
        for option in self.options:
            told = [f"{dots(risk.probability)} {risk}" for risk in option.risks] or [""] * len(self.limits)
            rank = "" if option.rank is None else str(option.rank)
            rows.append((rank, option.name, *told, number(option.cost) if option.risks else "", option.why))
        header = (
            "rank",
            "option",
            *(event for event, _ in self.limits),
            "cost per hour",
            "why not, or what it is worth",
        )
        words = [str(reason) for reason in self.reasons] + [str(effect) for effect in self.effects] + list(self.caveats)
        return section(self.headline, *map(paragraph, words), table("", header, rows), paragraph(NOTICE))


def dots(probability: float) -> str:
    """Draw a probability as filled ones of 50 dots, in words that a reader of text can count."""
    if not math.isfinite(probability):
        return ""
    filled = min(_DOTS, max(0, round(_DOTS * probability)))
    return "●" * filled + "○" * (_DOTS - filled)
