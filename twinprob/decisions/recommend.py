"""Which of several plans serves a goal within stated risks, or the reason why none is recommended."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..design.candidate import Candidate, Choice, check_output
from ..design.next_measurement import next_measurement
from ..dynamics.precision import in_double_precision
from ..forecasting.alternatives import Alternatives, alternatives
from ..forecasting.recalibration import Recalibration
from ..forecasting.risk import Event, counted
from ..inference.twin import Twin
from ..patient.require import (
    number,
    require_hours,
    require_key,
    require_kinds,
    require_probability,
    require_spacing,
    require_within,
)
from .abstention import (
    FAILED,
    NOTHING,
    RESTS_ON_OTHERS,
    Reason,
    charted,
    diagnosed,
    effects,
    outside,
    potassium,
    stale,
    undetermined,
)
from .goal import Cap, Goal, Planned, planned
from .own_errors import moved, sentences, states
from .recommendation import MEASURE_FIRST, NO_CHANGE, Option, Recommendation

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
_EVERY = 10.0  # min between the times at which a limit may be crossed
_FIRST_DRAWS, _CLEARLY = 500, 4.0  # draws of the first look, and Monte Carlo errors that end it
_TAIL = 20.0  # effective draws expected beyond a limit at its stated risk, with fewer of which the twin abstains
_MOST_FAILED = 0.005
_COMPARED = 12  # options among which a measurement may decide


@in_double_precision
def recommend(
    twin: Twin,
    candidates: Mapping[str, Any],
    *,
    goal: Goal,
    limits: Mapping[str, float],
    key,
    hours: float = 4.0,
    caps: Mapping[str, Cap] | None = None,
    oldest: str = "4 h",
    published: bool = False,
    measure: Candidate | None = None,
    waiting: float = 0.0,
    recalibration: Recalibration | None = None,
) -> Recommendation:
    """Rank plans by expected cost among those whose risks stay within limits, or say why not.

    Caps come first, then the limits, then the goal: a plan may be as good as it likes, beyond a limit it is not
    offered. "no change" and "measure first" are always among the options.

    Parameters
    ----------
    twin : Twin
    candidates : Grid or mapping of str to plan
        ``tp.grid(insulin="0 to 6 U/h by 0.5")``, or by name `Inputs` as `forecast` takes them or keywords of `plan`,
        ``{"less": {"insulin": "1 U/h"}}``.
    goal : Goal
        No default: targets differ between guidelines.
    limits : mapping of event to probability
        ``{"glucose < 4.4 mmol/L": 0.05}``: how probable it may be that the true output, not a meter's reading, crosses
        the limit at any time within the horizon. A plan is within it if probability plus two Monte Carlo errors is.
    key : jax PRNG key
        One for all plans: they meet the same chances.
    hours : float
        The horizon.
    caps : mapping of str to Cap, optional
        By input. A grid's plans beyond one are set aside and the cap is named; a plan of the caller's own is refused.
    oldest : str
        Age of the last measurement of the goal's output from which the twin abstains.
    published : bool
        Whether to decide where the effect of the treatment rests on published or prior knowledge alone. Every option
        then says so.
    measure : Candidate, optional
        What could be measured first; by default the goal's output, now.
    waiting : float
        What waiting for it costs, in the goal's cost per hour: "measure first" comes first where the measurement is
        expected to save more.
    recalibration : Recalibration, optional
        What other patients taught, from `learn_recalibration`: forecasts are moved as it and the twin's own past
        forecasts ask. Without it they are moved where at least eight own forecasts say, 90 % sure, that the twin was
        too narrow or to one side; the caveats say what was done. Learned on measured values and applied to the outputs
        behind them.

    Returns
    -------
    Recommendation

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If there is no candidate or no limit, one names an unknown output or input, or a plan of the caller's own lies
        before the present or beyond a cap.

    Notes
    -----
    Nothing here is medical advice: research software.
    """
    require_key(key)
    require_kinds(twin=(twin, Twin), goal=(goal, Goal), limits=(limits, Mapping), published=(published, bool))
    require_kinds(measure=(measure, Candidate, None), caps=(caps, Mapping, None))
    require_kinds(recalibration=(recalibration, Recalibration, None))
    hours, age = require_hours(hours), require_spacing("Argument `oldest`", oldest)
    require_within("Argument `waiting`", waiting, number(0.0), "the cost of waiting, 0.1 for example")
    check_output(twin, goal.output, "The goal")
    events = _events(twin, limits)
    plans = planned(twin, candidates, caps or {})
    first = Candidate(f"{goal.output} now", {goal.output: "now"}) if measure is None else measure
    tried = [one for one in plans if not one.capped]
    times = twin.now + np.minimum(_EVERY * np.arange(1, math.ceil(6.0 * hours - 1e-9) + 1), 60.0 * hours)
    given = tuple(dict.fromkeys(name for one in plans for name in one.inputs.names))
    reasons = [*diagnosed(twin), *stale(twin, goal.output, age), *outside(twin), *charted(twin, given)]
    low_potassium, caveats = potassium(twin, given)
    reasons += low_potassium
    done = effects(twin, [one.inputs for one in tried if one.name != NO_CHANGE], goal.output, float(times[-1]), key)
    if published:
        caveats += [reason.evidence for reason in undetermined(done)]
    else:
        reasons += undetermined(done)
    erred = states(twin, list(dict.fromkeys([goal.output, *(e.output for e, _ in events)])), recalibration)
    caveats += sentences(erred, hours)
    changing = {one.name: bool(len(one.inputs.names)) for one in tried}
    looked = moved(_looked(twin, tried, times, events, goal, key), erred, twin.now, changing)
    options = [_option(twin, one, looked.get(one.name), events, goal, hours) for one in plans]
    if published and undetermined(done):
        options = [dataclasses.replace(o, why=f"{o.why} {RESTS_ON_OTHERS}".strip()) if o.risks else o for o in options]
    reasons += _unsolved(options) + _none_within(options, events)
    saved = _saved(twin, first, options, times, goal, key) if waiting and not reasons else math.nan
    options = _ranked(options, looked, goal, twin) if not reasons else options
    if measure_first := bool(saved > waiting):
        options = [dataclasses.replace(o, rank=None if o.rank is None else o.rank + 1) for o in options]
    waited = _waited(first, saved, waiting, measure_first)
    return Recommendation(
        tuple(sorted([*options, waited], key=lambda o: math.inf if o.rank is None else o.rank)),
        tuple(reasons), tuple(caveats), goal, tuple(limits.items()), hours, tuple(done), times - twin.now,
        twin.draws, twin.effective_draws,
    )  # fmt: skip


def _events(twin: Twin, limits: Mapping[str, float]) -> list[tuple[Event, float]]:
    if not limits:
        raise ValueError(
            'Argument `limits` is empty: say what must not happen and how probable it may be, {"glucose < 4.4 mmol/L": '
            "0.05}."
        )
    units = {name: q.unit for name, q in twin.model.quantities(twin.model.Output).items()}
    found = []
    for text, most in limits.items():
        require_probability(f"limits[{text!r}]", most)
        found.append((Event.read(text, units), float(most)))
    return found


# ---- forecasts -------------------------------------------------------------------------------------------------------


def _looked(twin: Twin, plans: Sequence[Planned], times, events, goal: Goal, key) -> dict[str, Alternatives]:
    """Return the outputs under each plan: of few draws where these show already that it is beyond a limit."""
    if not plans:
        return {}
    few = min(_FIRST_DRAWS, twin.draws)
    names = tuple(dict.fromkeys([goal.output, *(event.output for event, _ in events)]))
    found = _each(alternatives(twin, [p.inputs for p in plans], times, key=key, draws=few), plans, names)
    if few == twin.draws:
        return found
    share = twin.effective_draws * few / twin.draws
    close = [
        plan
        for plan in plans
        if plan.name == NO_CHANGE
        or all(
            (r := counted(event, found[plan.name].outputs[event.output][0], share, 1.0)).probability - _CLEARLY * r.mcse
            <= most
            for event, most in events
        )
    ]
    return found | _each(alternatives(twin, [p.inputs for p in close], times, key=key), close, names)


def _each(found: Alternatives, plans: Sequence[Planned], names: Sequence[str]) -> dict[str, Alternatives]:
    """Return the outputs that are asked for, plan by plan."""
    return {
        plan.name: Alternatives(
            found.times, {name: found.outputs[name][i : i + 1] for name in names}, found.solved[i : i + 1]
        )
        for i, plan in enumerate(plans)
    }


def _option(twin: Twin, plan: Planned, looked: Alternatives | None, events, goal: Goal, hours: float) -> Option:
    """Return what a plan does: its risks, its tails and its cost, and whether it is within caps and limits."""
    if looked is None:
        return Option(plan.name, plan.inputs, False, plan.capped)
    draws = looked.solved.shape[1]
    worth = twin.effective_draws * draws / twin.draws
    risks, tails, why = [], [], []
    for event, most in events:
        values = looked.outputs[event.output][0]
        one = counted(event, values, worth, hours)
        risks.append(one)
        tails.append(_tail(event, values, most))
        if not one.probability + 2.0 * one.mcse <= most:
            why.append(f"{event.text}: {one.probability:.3f} ± {one.mcse:.3f}, more than {most:g} may be.")
    unit = twin.model.quantities(twin.model.Output)[goal.output].unit
    costs = goal.cost(looked.outputs[goal.output][0], looked.times, unit)
    known = costs[np.isfinite(costs)]
    cost, mcse = (
        (float(known.mean()), float(known.std() / math.sqrt(max(worth, 1.0)))) if len(known) else (math.nan,) * 2
    )
    fans = {
        name: np.nanquantile(values[0], LEVELS, axis=0)
        if len(known)
        else np.full((len(LEVELS), len(looked.times)), np.nan)
        for name, values in looked.outputs.items()
    }
    failed = int((~looked.solved).sum())
    return Option(
        plan.name,
        plan.inputs,
        not why,
        " ".join(why),
        tuple(risks),
        tuple(tails),
        cost,
        mcse,
        None,
        draws,
        failed,
        fans,
    )


def _tail(event: Event, values: np.ndarray, share: float) -> float:
    """Return the mean of the worst `share` of the draws' worst values: how deep it goes where it goes wrong."""
    worst = np.sort(values.min(axis=-1) if event.low else -values.max(axis=-1))
    worst = worst[np.isfinite(worst)]
    if not len(worst):
        return math.nan
    mean = float(worst[: max(1, math.ceil(share * len(worst)))].mean())
    return mean if event.low else -mean


# ---- judgment --------------------------------------------------------------------------------------------------------


def _unsolved(options: Sequence[Option]) -> list[Reason]:
    worst = max(options, key=lambda o: o.failed / max(o.draws, 1))
    if worst.failed <= _MOST_FAILED * worst.draws:
        return []
    said = f"{worst.failed} of {worst.draws} under `{worst.name}`."
    return [Reason(FAILED, said, "Check the plans and the twin's diagnosis.")]


def _none_within(options: Sequence[Option], events) -> list[Reason]:
    """Return a reason where no plan is within the limits, or the draws are too few to tell."""
    if not any(option.risks for option in options):
        return [Reason(NOTHING, "every one is beyond a cap.", "Offer other plans, or other caps.")]
    scarce = [most for _, most in events if max(o.worth(most) for o in options) < _TAIL]
    if scarce:
        said = f"fewer than {_TAIL:g} effective draws lie beyond a limit of {min(scarce):g}."
        return [Reason(NOTHING, said, "Fit with more draws, or state a larger risk.")]
    if any(option.feasible for option in options):
        return []
    least = min((o for o in options if o.risks), key=lambda o: max(r.probability for r in o.risks))
    return [
        Reason(NOTHING, f"the least risky, `{least.name}`, has {least.why}", "Offer other plans, or measure first.")
    ]


def _ranked(options: Sequence[Option], looked: Mapping[str, Alternatives], goal: Goal, twin: Twin) -> list[Option]:
    """Rank the feasible by expected cost; those that cannot be told from the best of a rank share it."""
    unit = twin.model.quantities(twin.model.Output)[goal.output].unit
    within = sorted((o for o in options if o.feasible), key=lambda o: (o.cost, o.name))
    costs = {o.name: goal.cost(looked[o.name].outputs[goal.output][0], looked[o.name].times, unit) for o in within}
    ranks, rank, head = {}, 0, None
    for place, option in enumerate(within, 1):
        if head is not None:
            apart = costs[option.name] - costs[head]
            apart = apart[np.isfinite(apart)]
            error = apart.std() / math.sqrt(max(twin.effective_draws, 1.0))
        if head is None or apart.mean() > 2.0 * error:
            rank, head = place, option.name
        ranks[option.name] = rank
    return [dataclasses.replace(o, rank=ranks.get(o.name)) for o in options]


def _saved(twin: Twin, first: Candidate, options: Sequence[Option], times, goal: Goal, key) -> float:
    """Return how much cost the measurement is expected to save by choosing among the best plans after it."""
    within = sorted((o for o in options if o.feasible), key=lambda o: o.cost)[:_COMPARED]
    if len(within) < 2:
        return 0.0
    unit = twin.model.quantities(twin.model.Output)[goal.output].unit

    def utility(outputs):
        return -goal.cost(outputs[goal.output], times, unit)

    question = Choice({o.name: o.inputs for o in within if o.inputs is not None}, utility, list(times))
    ranking = next_measurement(twin, [first], quantity=question, key=key, nested=0)
    return float(ranking.now - ranking.frame["expected"].iloc[0])


def _waited(first: Candidate, saved: float, waiting: float, best: bool) -> Option:
    """Return the option to measure before deciding."""
    if math.isnan(saved):
        why = f"Measure {first.name} first; what it would save is told where `waiting`, its cost, is stated."
    else:
        why = f"Measuring {first.name} is expected to save {max(saved, 0.0):.2g} per hour; waiting costs {waiting:g}."
    return Option(MEASURE_FIRST, None, True, why, rank=1 if best else None)
