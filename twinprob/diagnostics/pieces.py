"""Equations made of pieces: what each piece that a record lives on determines by itself."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dynamics.segments import minutes_per_unit
from .arithmetic import Real
from .expansion import Expansion, Experiment, exact_points
from .symmetry import NOTHING, null_space
from .taylor import Runner, part

_STEPS = 400  # of the rough course that only has to end on the right piece; setting
_FAILURES = (ZeroDivisionError, OverflowError, FloatingPointError, ValueError)


def pieces_at(experiment: Experiment, moments: Sequence[float], state: np.ndarray, inputs) -> list[dict[str, Any]]:
    """Return the answers to the comparisons of the equations at moments (min), each set of answers once.

    The model's own values are followed from the initial state by rough steps.
    """
    found: list[dict[str, Any]] = []
    now, unit = 0.0, minutes_per_unit(experiment.model)
    for moment in sorted(float(m) / unit for m in moments):
        count = max(1, _STEPS // max(len(moments), 1))
        for time in np.linspace(now, moment, count, endpoint=False) if moment > now else ():
            state = state + (moment - now) / count * _slope(experiment, state, inputs, time)[0]
        now = max(now, moment)
        if not np.all(np.isfinite(state)):
            break
        answers = {"field": _slope(experiment, state, inputs, now)[1], "first": []}
        runner = Runner(Real())
        runner.run(experiment.output, [_constant(v) for v in (*experiment.values, *state, *inputs)])
        answers["output"] = runner.answers
        if not any(same(answers, other) for other in found):
            found.append(answers)
    return found


def determined_on(experiment: Experiment, answers: dict[str, Any], chance) -> np.ndarray:
    """Return which unknowns (unknown,) one piece determines whatever the states at its beginning."""
    states = tuple(range(experiment.states))
    alone = dataclasses.replace(experiment, free=states, first=part(experiment.start, []))
    found: list[Expansion] = exact_points(alone, answers, chance)
    known = np.zeros(len(experiment.unknown), bool)
    if found:
        spaces = [null_space(f.point.rows, f.arithmetic) for f in found]
        moves = np.any([np.any(np.abs(s) > NOTHING, axis=0) for s in spaces], axis=0)
        known = ~moves[: len(known)]
    return known


def _slope(experiment: Experiment, state, inputs, time: float) -> tuple[np.ndarray, list[Any]]:
    runner = Runner(Real())
    try:
        slopes = runner.run(experiment.field, [_constant(v) for v in (*experiment.values, *state, *inputs, time)])
    except _FAILURES:
        return np.full(experiment.states, np.nan), []
    return np.array([x[0, 0] for x in slopes]), runner.answers


def _constant(value) -> np.ndarray:
    return np.full((1, 1), float(value))


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two sets of answers are those of one piece."""
    return all(
        len(one[name]) == len(other[name])
        and all(np.array_equal(a, b) for a, b in zip(one[name], other[name], strict=True))
        for name in ("field", "output")
    )
