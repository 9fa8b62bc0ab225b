"""PEEP moved toward the least elastance: a research arm."""

from enum import IntEnum
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from ...bedside import Orders
from ...protocol import AbstractProtocol, setting


class MinimalElastance(AbstractProtocol):
    """A research arm, never a default: PEEP steps on while elastance falls and turns back where it rises.

    In several trials, minimizing driving pressure by PEEP gave equal or higher mortality (PMC6212354).

    References
    ----------
    .. [1] Kim KT et al. Protocol of the CURE trial. Trials 2020;21:130: PEEP at minimal model elastance, no results.
    """

    source = "in kind that of the CURE protocol; steps are settings of this library"
    gaps: ClassVar[tuple[str, ...]] = ("Steps, waits and what counts as a change are settings; CURE prints none here.",)
    reads = {"plateau_pressure": "cmH2O"}
    gives = {"peep": "cmH2O", "tidal_volume": "mL"}
    resolution = "30 min"

    step: float = setting(2.0, unit="cmH2O", about="of PEEP at once")
    least: float = setting(5.0, unit="cmH2O", about="smallest PEEP")
    most: float = setting(20.0, unit="cmH2O", about="largest PEEP")
    plateau: float = setting(30.0, unit="cmH2O", about="above which PEEP goes down")
    change: float = setting(0.03, about="relative change of elastance that counts")
    interval: float = setting(30.0, unit="min", about="while it searches")
    rest: float = setting(240.0, unit="min", about="after it found a least")

    class Rule(IntEnum):
        """The rules."""

        search = 0
        turn = 1
        rest = 2
        plateau = 3
        unmeasured = 4

    class Cap(IntEnum):
        """The limits."""

        none = 0
        least = 1
        most = 2

    class State(eqx.Module):
        """The elastance before the last step, and where that step went."""

        elastance: Array  # cmH2O/L, 0 before the first
        direction: Array  # +1 or -1
        turns: Array

    def start(self):  # noqa: D102
        return self.State(jnp.zeros(()), jnp.ones(()), jnp.zeros((), int))

    def decide(self, bedside):  # noqa: D102
        state, peep = bedside.state, bedside.runs("peep")
        pressure = bedside.seen("plateau_pressure").value
        elastance = 1000.0 * (pressure - peep) / bedside.runs("tidal_volume")
        known = elastance > 0.0
        worse = (state.elastance > 0) & (elastance > state.elastance * (1.0 + self.change))
        high = pressure > self.plateau
        resting = state.turns >= 2  # it stepped over the least from both sides
        direction = jnp.where(high, -1.0, jnp.where(worse, -state.direction, state.direction))
        wanted = jnp.where(known & (~resting | high), peep + direction * self.step, peep)
        rule = jnp.where(worse, self.Rule.turn, jnp.where(resting, self.Rule.rest, self.Rule.search))
        rule = jnp.where(known, jnp.where(high, self.Rule.plateau, rule), self.Rule.unmeasured)
        turns = jnp.where(resting, 0, state.turns + jnp.where(worse & known, 1, 0))
        below, above = wanted < self.least, wanted > self.most
        return Orders(
            {"peep": (jnp.clip(wanted, self.least, self.most), "cmH2O")},
            measure_in=jnp.where(resting & ~high, self.rest, self.interval),
            rule=rule,
            cap=jnp.where(below, self.Cap.least, jnp.where(above, self.Cap.most, self.Cap.none)),
            state=self.State(
                jnp.where(known & ~resting, elastance, 0.0),
                jnp.where(below, 1.0, jnp.where(above, -1.0, direction)),
                turns.astype(state.turns.dtype),
            ),
        )
