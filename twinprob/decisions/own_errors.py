"""A twin that lately erred is taken at its own errors: what it forecasts for each plan is widened and shifted."""

from collections.abc import Mapping, Sequence

from ..forecasting.alternatives import Alternatives
from ..forecasting.recalibration import Recalibration, State, changes, transported
from ..inference.outcomes import outcomes_of
from ..inference.twin import Twin

ENOUGH, SURE = 8, 0.9  # own forecasts, and probability that they were too narrow or to one side; settings


def states(twin: Twin, outputs: Sequence[str], recalibration: Recalibration | None) -> dict[str, State]:
    """Return the states of the outputs whose forecasts are to be moved.

    With a recalibration learned on others these are all outputs that it or the twin's own forecasts know. Without one,
    those of which at least eight own forecasts say, 90 % sure, that they were too narrow or lay to one side: a twin
    that was right so far is left as it is.
    """
    own, found = outcomes_of(twin), {}
    settings = Recalibration() if recalibration is None else recalibration
    for name in outputs:
        mine = own.of(name)
        if not len(mine) and name not in settings.taught:
            continue
        changed = changes(twin.model, twin.record.inputs, mine.times - mine.ahead, mine.times)
        state = settings.state(name, mine, changed)
        wider, upward = state.evidence
        told = len(mine) >= ENOUGH and (wider >= SURE or not 1.0 - SURE < upward < SURE)
        if recalibration is not None or told:
            found[name] = state
    return found


def moved(
    looked: Mapping[str, Alternatives], states: Mapping[str, State], now: float, changing: Mapping[str, bool]
) -> dict[str, Alternatives]:
    """Return forecasts of plans with their levels moved; `changing` says of each plan whether treatment changes."""
    if not states:
        return dict(looked)
    moves, found = {}, {}
    for plan, ahead in looked.items():
        outputs = dict(ahead.outputs)
        for name in states.keys() & outputs.keys():
            values = outputs[name].copy()
            for i, time in enumerate(ahead.times):
                hours = float(time - now) / 60.0
                widening, shift = states[name].taught.of([hours], [changing[plan]])
                key = (name, float(widening[0]), float(shift[0]))
                if key not in moves:
                    moves[key] = states[name].at(hours, changing[plan])
                values[..., i] = transported(values[..., i], moves[key])
            outputs[name] = values
        found[plan] = Alternatives(ahead.times, outputs, ahead.solved)
    return found


def sentences(states: Mapping[str, State], hours: float) -> list[str]:
    """Say what was done, one sentence an output."""
    lines = []
    for name, state in states.items():
        factor, shift = state.said(hours, changed=True)
        others = f" and {state.taught.patients} other patients" if state.taught.patients else ""
        lines.append(
            f"Forecasts of {name} are taken at the errors of {state.count} own forecasts{others}: 90 % interval × "
            f"{factor:.2f}, median moved by {shift:+.2f} standard deviations."
        )
    return lines
