"""Is trouble coming: risks of named events after every measurement, alarms under a stated policy, and what changed."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from ..display import number
from ..dynamics.precision import in_double_precision
from ..forecasting.alternatives import alternatives
from ..forecasting.risk import Event, Risk, counted
from ..forecasting.watch import WATCHED, Watch
from ..inference.methods import Filter
from ..inference.outcomes import outcomes_of
from ..inference.twin import Twin
from ..inference.update import update
from ..modeling.model import nearest
from ..patient.inputs import Inputs
from ..patient.record import Record
from ..patient.require import number as within
from ..patient.require import (
    require_hours,
    require_key,
    require_kind,
    require_kinds,
    require_probability,
    require_spacing,
    require_within,
)
from ..patient.units import minutes, span
from .change import Shift, shifted

HORIZONS = (0.25, 1.0, 2.0, 4.0, 8.0)  # h
_FEW, _LATE = 8, 2.0  # values under which data are few; gaps, of the usual, from which the last is old


@dataclass(frozen=True)
class Policy:
    """When an alarm sounds.

    Parameters
    ----------
    watch : Watch
        The event, and how long an alarm about it is silent.
    hours : float
        The horizon whose probability counts.
    threshold : float
        Probability from which an alarm sounds.
    urgent : float, optional
        Probability from which it sounds in the silence too.
    """

    watch: Watch
    hours: float = 4.0
    threshold: float = 0.5
    urgent: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no policy."""
        require_kind("watch", self.watch, Watch)
        require_hours(self.hours)
        require_probability("threshold", self.threshold)
        if self.urgent is not None:
            require_within("Policy(urgent)", self.urgent, within(self.threshold, 1.0), "None, or one in this range")


@dataclass(frozen=True)
class Alarm:
    """One alarm: which event, how probable within its horizon, and whether it sounded in a silence for being urgent."""

    name: str
    risk: Risk
    urgent: bool = False


@dataclass(frozen=True)
class Said:
    """What a monitor says after one piece of news.

    Attributes
    ----------
    time : float, min
    heard : mapping of str to (value,) arrays
        What was new, in the record's units.
    risks : mapping of str to tuple of Risk
        By event, one for each horizon, if all runs on as it does.
    alarms : tuple of Alarm
    shifts : tuple of Shift
        Outputs that no longer come as forecast.
    uncertain : tuple of str
        Why the risks may be wrong or wide.
    refit : str
        Why the whole record was fitted again; empty where it was not.
    refused : str
        Why the news was not taken in; empty where it was. Nothing else is said then.
    """

    time: float
    heard: Mapping[str, np.ndarray]
    risks: Mapping[str, tuple[Risk, ...]]
    alarms: tuple[Alarm, ...]
    shifts: tuple[Shift, ...]
    uncertain: tuple[str, ...]
    refit: str = ""
    refused: str = ""

    def __str__(self) -> str:
        """Say it in one line."""
        if self.refused:
            return f"{self.time / 60.0:.2f} h: not taken in: {self.refused}"
        news = ", ".join(f"{name} {number(float(values[-1]))}" for name, values in self.heard.items()) or "no value"
        sounded = {alarm.name for alarm in self.alarms}
        risks = "; ".join(
            f"{'ALARM ' if name in sounded else ''}{name} "
            + " ".join(f"{span(60 * one.hours)} {one.probability:.2f}" for one in found)
            for name, found in self.risks.items()
        )
        more = [str(shift) for shift in self.shifts] + list(self.uncertain)
        return f"{self.time / 60.0:.2f} h: {news} | {risks}" + (f" | {' '.join(more)}" if more else "")

    def to_json(self) -> dict[str, Any]:
        """Return it as numbers and text that JSON can hold."""

        def told(risk: Risk) -> dict[str, Any]:
            shown = {"hours": risk.hours, "probability": risk.probability, "mcse": risk.mcse, "draws": risk.draws}
            return {key: None if isinstance(x, float) and math.isnan(x) else x for key, x in shown.items()}

        return {
            "time_min": self.time,
            "heard": {name: [float(v) for v in values] for name, values in self.heard.items()},
            "risks": {name: [told(risk) for risk in found] for name, found in self.risks.items()},
            "alarms": [{"event": a.name, "urgent": a.urgent, **told(a.risk)} for a in self.alarms],
            "changes": [str(shift) for shift in self.shifts],
            "uncertain": list(self.uncertain),
            "refit": self.refit,
            "refused": self.refused,
            "notice": "Research software, not a medical device.",
        }


@dataclass(frozen=True)
class Watching:
    """Where a monitor stands: the twin of now, when each event last sounded and was last there, how many steps."""

    twin: Twin
    sounded: Mapping[str, float] = field(default_factory=dict)
    there: Mapping[str, float] = field(default_factory=dict)
    steps: int = 0


@dataclass(frozen=True)
class Monitor:
    """A policy for each event, ready to be stepped from one piece of news to the next.

    Parameters
    ----------
    policies : mapping of str to Policy
    key : jax PRNG key
        The number of steps is folded in.
    horizons : tuple of float, h
        In which risks are told, beside those of the policies.
    method : Filter, optional
        As for `update`.
    every : str
        Between the times ahead at which a limit may be crossed: as often as it is measured, where it is readings that
        count.
    """

    policies: Mapping[str, Policy]
    key: Any
    horizons: tuple[float, ...] = HORIZONS
    method: Filter | None = None
    every: str = "15 min"

    def __post_init__(self) -> None:
        """Refuse what cannot be watched."""
        require_key(self.key)
        require_spacing("every", self.every)
        if not self.policies:
            raise ValueError(f"Nothing is watched: name events, such as {', '.join(WATCHED)}.")
        for name, policy in self.policies.items():
            require_kind(f"policies[{name!r}]", policy, Policy)
        for hours in self.horizons:
            require_hours(hours)

    def begin(self, twin: Twin) -> Watching:
        """Return the state before the first news.

        Raises
        ------
        ValueError
            If an event is about something that the twin's model does not put out.
        """
        require_kinds(twin=(twin, Twin))
        outputs = twin.model.quantities(twin.model.Output)
        for name, policy in self.policies.items():
            about = policy.watch.read().output
            if about not in outputs:
                raise ValueError(
                    f"Event `{name}` is about `{about}`, no output of the model; {nearest(about, outputs)}"
                )
        return Watching(twin)

    def step(self, state: Watching, news: Record) -> tuple[Watching, Said]:
        """Take in what is new and say what it means.

        Parameters
        ----------
        state : Watching
        news : Record
            As for `update`: late, repeated and corrected values included.

        Returns
        -------
        state, said

        Raises
        ------
        ValueError
            As `update`; the state before stays good.
        """
        twin = update(state.twin, news, key=self.key, method=self.method)
        risks = self._risks(twin, jax.random.fold_in(self.key, state.steps))
        sounded, there, alarms = dict(state.sounded), dict(state.there), []
        for name, policy in self.policies.items():
            watch = policy.watch
            series = twin.record.observations.get(watch.read().output)
            bad = series.times[watch.bad(series)] if series is not None else np.zeros(0)
            if len(bad):
                there[name] = float(bad[-1])
            risk = next(one for one in risks[name] if one.hours == policy.hours)
            present = twin.now - there.get(name, -math.inf) <= minutes(watch.grace)
            if present or not risk.probability >= policy.threshold:
                continue
            silent = twin.now - sounded.get(name, -math.inf) < minutes(watch.silence)
            urgent = policy.urgent is not None and risk.probability >= policy.urgent
            if not silent or urgent:
                sounded[name] = twin.now
                alarms.append(Alarm(name, risk, silent))
        heard = {name: series.values for name, series in news.observations.items()}
        refit = twin.provenance["updates"][-1]["refit"] or ""
        shifts, loose = shifted(twin)
        said = Said(twin.now, heard, risks, tuple(alarms), shifts, (*self._uncertain(twin), *loose), refit)
        return Watching(twin, sounded, there, state.steps + 1), said

    @in_double_precision
    def _risks(self, twin: Twin, key) -> dict[str, tuple[Risk, ...]]:
        """Return the risk of each event within each horizon, all running on as it does."""
        wanted = sorted({*self.horizons, *(policy.hours for policy in self.policies.values())})
        step = minutes(self.every)
        ahead = np.unique([*np.arange(step, 60.0 * wanted[-1] + 1e-9, step), *(60.0 * h for h in wanted)])
        outputs = alternatives(twin, [Inputs()], twin.now + ahead, key=key).outputs
        units = {name: q.unit for name, q in twin.model.quantities(twin.model.Output).items()}
        found = {}
        for name, policy in self.policies.items():
            event = Event.read(policy.watch.event, units)
            values = outputs[event.output][0]
            found[name] = tuple(
                counted(event, values[:, ahead <= 60.0 * hours + 1e-9], twin.effective_draws, hours) for hours in wanted
            )
        return found

    def _uncertain(self, twin: Twin) -> list[str]:
        """Say why the risks may be wide or wrong."""
        lines, moving = [], ", ".join(twin.model.processes())
        for about in dict.fromkeys(policy.watch.read().output for policy in self.policies.values()):
            series = twin.record.observations.get(about)
            if series is None or not len(series.times):
                lines.append(f"{about} was never measured.")
                continue
            age = twin.now - float(series.times[-1])
            usual = float(np.median(np.diff(series.times))) if len(series.times) > 2 else math.inf
            if age > _LATE * usual:
                lines.append(f"The last {about} is {span(age)} old, one came every {span(usual)}.")
            if len(series.times) < _FEW:
                lines.append(f"Only {len(series.times)} values of {about}.")
        if moving and not len(outcomes_of(twin)):
            lines.append(f"{moving} may move, and no own forecast has been tried yet.")
        return lines


def monitor(
    twin: Twin,
    stream: Iterable[Record],
    *,
    watch: Mapping[str, Policy | Watch] | Iterable[str] | str,
    key,
    horizons: tuple[float, ...] = HORIZONS,
    method: Filter | None = None,
) -> Iterator[Said]:
    """Follow a patient: after every piece of news, how probable each event is, and whether an alarm sounds.

    Parameters
    ----------
    twin : Twin
    stream : iterable of Record
        News as `update` takes it, such as `readers.stream.follow` reads from files and pipes.
    watch : names of `WATCHED`, or mapping of str to Policy or Watch
        ``("hypotension",)``; a `Watch` alone alarms at a probability of .5 within 4 h.
    key : jax PRNG key
    horizons : tuple of float, h
    method : Filter, optional
        As for `update`.

    Yields
    ------
    Said

    Raises
    ------
    TypeError, ValueError
        Before anything is read, if an event is unknown or no output of the model. News that `update` refuses is said
        in `Said.refused` and ends nothing.

    Notes
    -----
    The probability is that of the true output crossing the limit "if all runs on as it does": without regard to what
    will be done. Research software, not a medical device.
    """
    names = [watch] if isinstance(watch, str) else watch
    if not isinstance(names, Mapping):
        for name in (names := list(names)):
            if name not in WATCHED:
                raise ValueError(f"Nothing called {name!r} is watched; {nearest(str(name), WATCHED)}")
        names = {name: WATCHED[name] for name in names}
    policies = {name: one if isinstance(one, Policy) else Policy(one) for name, one in names.items()}
    ready = Monitor(policies, key, tuple(horizons), method)
    return _following(ready, ready.begin(twin), stream)


def _following(ready: Monitor, state: Watching, stream: Iterable[Record]) -> Iterator[Said]:
    for news in stream:
        try:
            state, said = ready.step(state, news)
        except ValueError as error:  # one wrong message does not end the watch
            said = Said(state.twin.now, {}, {}, (), (), (), refused=str(error))
        yield said


__all__ = ["HORIZONS", "Alarm", "Monitor", "Policy", "Said", "Watching", "monitor"]
