"""A Leuven-type sliding scale of insulin."""

from enum import IntEnum
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from ...bedside import Bolus, Orders
from ...protocol import MEMORY, AbstractProtocol, setting
from ._yale import choose

_COPY = "copy of a supplement whose origin is unverified"
_STARTS = ((111.0, 1.0), (126.0, 1.5), (200.0, 2.0))  # mg/dL, U/h
_CHANGES = ((110.0, 0.0), (111.0, 0.25), (131.0, 0.5), (151.0, 1.0), (181.0, 1.5), (250.0, 2.0))  # mg/dL, U/h


class Leuven(AbstractProtocol):
    """Start at 1, 1.5 or 2 U/h, then change the rate by glucose alone.

    ============ ============ ============ ============ ============ ============ ===========
    mg/dL        80–110       111–130      131–150      151–180      181–249      from 250
    ============ ============ ============ ============ ============ ============ ===========
    change U/h   0            +0.1…0.4     +0.5         +1           +1.5         +2
    ============ ============ ============ ============ ============ ============ ===========

    A fall by more than half halves the rate.

    References
    ----------
    .. [1] Van den Berghe G et al. Intensive insulin therapy in critically ill patients. N Engl J Med 2001;345:1359-67.
    """

    source = _COPY
    gaps: ClassVar[tuple[str, ...]] = (
        "200 mg/dL is uncovered among the starts: 2 U/h; 250 is uncovered among the changes: +2 U/h.",
        "110 mg/dL is covered twice: it holds.",
        "'0.1 to 0.4' is a choice of the nurse: 0.25 U/h by default.",
        "The text is cut at a fall of more than half; halving is from memory.",
        "Below 80 mg/dL nothing is printed: halved from 60, stopped below, 10 g of glucose below 40 (from memory).",
        "Intervals are not printed: 2 h, and 4 h after three results from 80 to 110 (from memory).",
    )
    reads = {"glucose": "mg/dL"}
    gives = {"insulin": "U/h", "parenteral_glucose": "g/h"}

    small: float = setting(0.25, unit="U/h", about="the change printed as 0.1 to 0.4", source=_COPY)
    halve_below: float = setting(80.0, unit="mg/dL", about="below which the rate is halved", source=MEMORY)
    stop_below: float = setting(60.0, unit="mg/dL", about="below which it is stopped", source=MEMORY)
    rescue_below: float = setting(40.0, unit="mg/dL", about="below which 10 g of glucose are given", source=MEMORY)
    interval: float = setting(120.0, unit="min", about="between measurements", source=MEMORY)
    steady_interval: float = setting(240.0, unit="min", about="after three results in target", source=MEMORY)

    class Rule(IntEnum):
        """The rules of the scale."""

        wait = 0
        start = 1
        scale = 2
        fell_by_half = 3
        halve = 4
        stop = 5

    class State(eqx.Module):
        """What is remembered."""

        started: Array
        steady: Array  # results in target in a row

    def start(self):  # noqa: D102
        return self.State(started=jnp.zeros((), bool), steady=jnp.zeros((), int))

    def first(self, glucose):
        """Return the first rate, U/h."""
        return _step(_STARTS, glucose, 0.0)

    def change(self, glucose):
        """Return the change of the rate from 80 mg/dL on, U/h."""
        change = _step(_CHANGES, glucose, 0.0)
        return jnp.where(change == _CHANGES[1][1], self.small, change)

    def decide(self, bedside):  # noqa: D102
        state, seen, running = bedside.state, bedside.seen("glucose"), bedside.runs("insulin")
        glucose = jnp.round(seen.value)
        first = self.first(glucose)
        halved = seen.value < 0.5 * seen.values[1]
        rate, rule = choose(
            (glucose < self.stop_below, (0.0, self.Rule.stop)),
            (state.started & (glucose < self.halve_below), (0.5 * running, self.Rule.halve)),
            (state.started & halved, (0.5 * running, self.Rule.fell_by_half)),
            (state.started, (running + self.change(glucose), self.Rule.scale)),
            default=(first, jnp.where(first > 0, self.Rule.start, self.Rule.wait)),
        )
        steady = jnp.where((glucose >= 80) & (glucose <= 110), state.steady + 1, 0)
        return Orders(
            {"insulin": (rate, "U/h")},
            measure_in=jnp.where(
                glucose < self.stop_below, 60.0, jnp.where(steady >= 3, self.steady_interval, self.interval)
            ),
            rule=rule,
            state=self.State(started=state.started | (first > 0), steady=steady.astype(state.steady.dtype)),
            boluses={"parenteral_glucose": Bolus(jnp.where(glucose < self.rescue_below, 10.0, 0.0), "g", 5.0)},
        )


def _step(table, glucose, below):
    """Return the value of the last row that begins at or below `glucose`."""
    begins, values = (jnp.asarray(column) for column in zip(*table, strict=True))
    place = jnp.searchsorted(begins, glucose, side="right") - 1
    return jnp.where(place < 0, below, values[jnp.maximum(place, 0)])
