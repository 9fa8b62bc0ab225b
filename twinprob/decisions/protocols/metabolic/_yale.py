"""The machine that both Yale tables drive: start, step, hold, stop, restart."""

from enum import IntEnum
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from ...bedside import Bolus, Orders
from ...protocol import AbstractProtocol

IDLE, RUNNING, HELD, STOPPED, WAITING = range(5)
RATES = (3.0, 6.5, 10.0, 15.0, 20.0, 25.0)  # U/h, from which each larger step applies
_LOW, _VERY_LOW, _SAFE = 75.0, 50.0, 90.0  # mg/dL


class Next(NamedTuple):
    """One row of the machine: what runs, what is remembered, and when to look again."""

    rule: Any
    rate: Any  # U/h from now on
    mode: Any
    memory: Any  # U/h to return to
    minutes: Any
    bolus: Any = 0.0  # U
    dextrose: Any = 0.0  # g


class AbstractYale(AbstractProtocol):
    """A rate changed by glucose and by how fast it changes, in multiples of a step that grows with the rate.

    `TABLE` holds for each band of glucose the least change (mg/dL per hour, whole numbers) for +2, +1, 0 and -1 steps;
    a faster fall holds the infusion and takes two steps off. `STEPS` are the steps for rates from `RATES` on.
    """

    reads = {"glucose": "mg/dL"}
    gives = {"insulin": "U/h", "parenteral_glucose": "g/h"}
    TABLE: ClassVar[tuple[tuple[float, float, float, float], ...]] = ()
    STEPS: ClassVar[tuple[float, ...]] = ()

    lower: eqx.AbstractVar[float]
    upper: eqx.AbstractVar[float]
    start_divisor: eqx.AbstractVar[float]
    start_bolus_above: eqx.AbstractVar[float]
    check_every: eqx.AbstractVar[float]
    restart_at: eqx.AbstractVar[float]
    restart_wait: eqx.AbstractVar[float]
    restart_share: eqx.AbstractVar[float]
    restart_share_after_low: eqx.AbstractVar[float]

    class Rule(IntEnum):
        """The rules of the sheet."""

        wait = 0
        start = 1
        up_two = 2
        up_one = 3
        keep = 4
        down_one = 5
        hold = 6
        resume = 7
        stop = 8
        stay_stopped = 9
        restart = 10
        restart_soon = 11

    class State(eqx.Module):
        """What the sheet makes the nurse remember."""

        mode: Array  # IDLE … WAITING
        rate: Array  # U/h, before the infusion was stopped, or after the hold
        low: Array  # whether glucose was below 75 mg/dL since
        steady: Array  # results in target in a row

    def start(self):
        zero = jnp.zeros((), int)
        return self.State(mode=zero, rate=jnp.zeros(()), low=jnp.zeros((), bool), steady=zero)

    def edges(self):
        """Return where each band of the table begins, mg/dL; below the first the infusion stops."""
        raise NotImplementedError

    def steps(self, glucose, change):
        """Return +2, +1, 0 or -1 steps, or -2 for the hold, for whole mg/dL and whole mg/dL per hour."""
        band = jnp.searchsorted(jnp.asarray(self.edges(), float), glucose, side="right") - 1
        least = jnp.asarray(self.TABLE)[jnp.maximum(band, 0)]
        return 2 - jnp.sum(change < least)

    def size(self, rate):
        """Return one step at a rate, U/h."""
        return jnp.asarray(self.STEPS)[jnp.searchsorted(jnp.asarray(RATES), rate, side="right")]

    def decide(self, bedside):
        state, seen, running = bedside.state, bedside.seen("glucose"), bedside.runs("insulin")
        glucose, change = jnp.round(seen.value), jnp.round(jnp.nan_to_num(seen.change_per_hour))
        steady = jnp.where((glucose >= self.lower) & (glucose <= self.upper), state.steady + 1, 0)
        low, stopped = glucose < _LOW, state.mode == STOPPED
        chosen = choose(
            (glucose < self.edges()[0], self._below(glucose, state, running)),
            (state.mode == IDLE, self._begin(glucose)),
            (stopped & (glucose >= self.restart_at) & (self.restart_wait > 0), self._soon(state)),
            (stopped & (glucose < self.restart_at), self._stay(glucose, state)),
            (stopped | (state.mode == WAITING), self._again(state)),
            (state.mode == HELD, Next(self.Rule.resume, state.rate, RUNNING, state.rate, 60.0)),
            default=self._step(glucose, change, running, steady),
        )
        away = (chosen.mode == STOPPED) | (chosen.mode == WAITING)
        return Orders(
            {"insulin": (chosen.rate, "U/h")},
            measure_in=chosen.minutes,
            rule=chosen.rule,
            boluses={
                "insulin": Bolus(chosen.bolus, "U", 5.0),
                "parenteral_glucose": Bolus(chosen.dextrose, "g", 5.0),
            },
            state=self.State(
                mode=chosen.mode.astype(state.mode.dtype),
                rate=jnp.asarray(chosen.memory, state.rate.dtype),
                low=away & (low | (state.low & ((state.mode == STOPPED) | (state.mode == WAITING)))),
                steady=steady.astype(state.steady.dtype),
            ),
        )

    def _below(self, glucose, state, running):
        before = (state.mode == STOPPED) | (state.mode == WAITING) | (state.mode == HELD)
        memory = jnp.where(before, state.rate, running)
        mode = jnp.where(state.mode == IDLE, IDLE, STOPPED)
        rule = jnp.where(state.mode == STOPPED, self.Rule.stay_stopped, self.Rule.stop)
        rule = jnp.where(state.mode == IDLE, self.Rule.wait, rule)
        minutes = jnp.where(glucose < _SAFE, self.check_every, 60.0)
        return Next(rule, 0.0, mode, memory, minutes, 0.0, self._rescue(glucose))

    def _begin(self, glucose):
        rate = rounded(glucose / self.start_divisor)
        bolus = jnp.where(glucose > self.start_bolus_above, rate, 0.0)
        needed = glucose > self.upper
        go = Next(self.Rule.start, rate, RUNNING, rate, 60.0, bolus)
        return choose((needed, go), default=Next(self.Rule.wait, 0.0, IDLE, 0.0, 60.0))

    def _stay(self, glucose, state):
        minutes = jnp.where(glucose < _SAFE, self.check_every, 60.0)
        return Next(self.Rule.stay_stopped, 0.0, STOPPED, state.rate, minutes, 0.0, self._rescue(glucose))

    def _soon(self, state):
        return Next(self.Rule.restart_soon, 0.0, WAITING, state.rate, self.restart_wait)

    def _again(self, state):
        share = jnp.where(state.low, self.restart_share_after_low, self.restart_share)
        rate = rounded(share * state.rate)
        return Next(self.Rule.restart, rate, RUNNING, rate, 60.0)

    def _step(self, glucose, change, running, steady):
        steps, size = self.steps(glucose, change), self.size(running)
        rate = jnp.maximum(running + steps * size, 0.0)
        rule = jnp.asarray([self.Rule.hold, self.Rule.down_one, self.Rule.keep, self.Rule.up_one, self.Rule.up_two])
        hold = Next(self.Rule.hold, 0.0, HELD, rate, 30.0)
        minutes = jnp.where((steady >= 3) & (steps == 0), 120.0, 60.0)
        return choose((steps == -2, hold), default=Next(rule[steps + 2], rate, RUNNING, rate, minutes))

    def _rescue(self, glucose):
        return jnp.where(glucose < _VERY_LOW, 25.0, jnp.where(glucose < _LOW, 12.5, 0.0))


def rounded(rate):
    """Return a rate to the half unit per hour, as the sheets print them."""
    return jnp.round(2.0 * rate) / 2.0


def choose(*cases, default):
    """Return the first value whose condition holds, field by field."""
    found = jax.tree.map(jnp.asarray, default)
    for condition, value in reversed(cases):
        found = jax.tree.map(lambda yes, no, c=condition: jnp.where(c, yes, no), value, found)
    return found
