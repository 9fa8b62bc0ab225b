"""The ARDSNet card: a state machine over a list of FiO2 and PEEP, with rules for tidal volume, plateau and pH."""

from enum import IntEnum
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from ...bedside import Orders
from ...protocol import AbstractProtocol
from ._weight import KNOWS, predicted_weight

CARD = "NHLBI ARDSNet card, two independent prints that agree (web pages, check before quoting)"
PAGE = "web page, check before quoting"
FASTEST, SLOWEST = 35.0, 6.0  # 1/min
READS = {
    "pulse_saturation": "%",
    "arterial_oxygen": "mmHg",
    "arterial_pH": "1",
    "arterial_carbon_dioxide": "mmHg",
    "plateau_pressure": "cmH2O",
}
GIVES = {"inspired_oxygen": "1", "peep": "cmH2O", "tidal_volume": "mL", "respiratory_rate": "1/min"}
GAPS = (
    "The lists are printed as suggestions; interval and number of steps are not printed.",
    "More volume for breath stacking or dyssynchrony is left out: no bedside of ours charts it.",
    "Where a blood gas is there, PaO2 decides, else SpO2.",
    "The volume is lowered from 8 to 6 mL/kg at every second hour, the longest that is allowed.",
    "How much the rate changes at once is not printed.",
    "Bicarbonate below pH 7.15 is allowed by the card and not ordered here.",
)


class AbstractARDSNet(AbstractProtocol):
    """One step up the list below the oxygenation goal, one down above it; volume and rate by plateau and pH.

    The same FiO2 has several PEEPs in the list, so the place in the list is carried, never found again.
    """

    reads = READS
    gives = GIVES
    knows = KNOWS
    source = CARD
    resolution = "30 min"
    LIST: ClassVar[tuple[tuple[float, float], ...]] = ()

    interval: eqx.AbstractVar[float]
    steps: eqx.AbstractVar[int]
    rate_step: eqx.AbstractVar[float]

    class Rule(IntEnum):
        """The rule for tidal volume and rate that spoke; the place in the list moves beside it."""

        start = 0
        keep = 1
        toward_six = 2
        plateau_high = 3
        plateau_low = 4
        acidosis_rate = 5
        acidosis_volume = 6
        alkalosis_rate = 7

    class Cap(IntEnum):
        """The limits."""

        none = 0
        top_of_list = 1
        bottom_of_list = 2
        volume_floor = 3
        fastest = 4

    class State(eqx.Module):
        """Place in the list, tidal volume per kilogram of predicted weight, when it was last lowered."""

        place: Array
        volume: Array  # mL/kg
        lowered: Array  # min
        started: Array

    def start(self):
        return self.State(jnp.zeros((), int), jnp.asarray(8.0), jnp.zeros(()), jnp.zeros((), bool))

    def pairs(self):
        """Return FiO2 and PEEP (cmH2O) of each place, (place, 2)."""
        return jnp.asarray(self.LIST)

    def move(self, oxygen, saturation):
        """Return +1 below the goal of PaO2 55–80 mmHg (or SpO2 88–95 %), -1 above it, 0 inside or unknown."""
        low = jnp.where(jnp.isnan(oxygen), saturation < 88.0, oxygen < 55.0)
        high = jnp.where(jnp.isnan(oxygen), saturation > 95.0, oxygen > 80.0)
        return jnp.where(low, 1, jnp.where(high, -1, 0))

    def volume_and_rate(self, volume, rate, plateau, pH, carbon_dioxide, due):
        """Return tidal volume (mL/kg), rate (1/min), the rule and the cap, from what is set and measured."""
        Rule, Cap = self.Rule, self.Cap
        severe, acid, alkaline = pH < 7.15, (pH >= 7.15) & (pH < 7.30) & ~(carbon_dioxide < 25.0), pH > 7.45
        fast = rate >= FASTEST
        grown = jnp.minimum(volume + 1.0, 8.0)
        cases = (
            (severe & fast, grown, rate, Rule.acidosis_volume, Cap.fastest),
            (severe, volume, FASTEST, Rule.acidosis_rate, Cap.none),
            ((plateau > 30.0) & (volume > 4.0), jnp.maximum(volume - 1.0, 4.0), rate, Rule.plateau_high, Cap.none),
            (plateau > 30.0, volume, rate, Rule.keep, Cap.volume_floor),
            (due & (volume > 6.0), jnp.maximum(volume - 1.0, 6.0), rate, Rule.toward_six, Cap.none),
            ((plateau < 25.0) & (volume < 6.0), jnp.minimum(volume + 1.0, 6.0), rate, Rule.plateau_low, Cap.none),
            (acid, volume, jnp.minimum(rate + self.rate_step, FASTEST), Rule.acidosis_rate, jnp.where(fast, 4, 0)),
            (alkaline, volume, jnp.maximum(rate - self.rate_step, SLOWEST), Rule.alkalosis_rate, Cap.none),
        )
        found: tuple = (volume, rate, jnp.asarray(Rule.keep), jnp.asarray(Cap.none))
        for condition, *values in reversed(cases):
            found = tuple(jnp.where(condition, new, old) for new, old in zip(values, found, strict=True))
        return found

    def decide(self, bedside):
        state, pbw = bedside.state, predicted_weight(bedside)
        value = {name: bedside.seen(name).value for name in self.reads}
        pairs, last = self.pairs(), len(self.LIST) - 1
        at_first = jnp.minimum(jnp.sum(pairs[:, 0] < bedside.runs("inspired_oxygen") - 1e-6), last)
        place = jnp.where(state.started, state.place, at_first)
        wanted = place + self.steps * self.move(value["arterial_oxygen"], value["pulse_saturation"])
        place = jnp.clip(wanted, 0, last).astype(state.place.dtype)
        rate = bedside.runs("respiratory_rate")
        volume, rate, rule, cap = self.volume_and_rate(
            state.volume,
            rate,
            value["plateau_pressure"],
            value["arterial_pH"],
            value["arterial_carbon_dioxide"],
            bedside.clock - state.lowered >= 120.0 - 1e-6,
        )
        # At the start minute ventilation is kept: rate times volume as they ran.
        matched = bedside.runs("respiratory_rate") * bedside.runs("tidal_volume") / (8.0 * pbw)
        rate = jnp.where(state.started, rate, jnp.clip(jnp.round(matched), SLOWEST, FASTEST))
        volume = jnp.where(state.started, volume, 8.0)
        lowered = jnp.where(state.started & (volume >= state.volume), state.lowered, bedside.clock)
        end = jnp.where(wanted > last, self.Cap.top_of_list, jnp.where(wanted < 0, self.Cap.bottom_of_list, cap))
        return Orders(
            {
                "inspired_oxygen": (pairs[place, 0], "1"),
                "peep": (pairs[place, 1], "cmH2O"),
                "tidal_volume": (volume * pbw, "mL"),
                "respiratory_rate": (rate, "1/min"),
            },
            measure_in=self.interval,
            rule=jnp.where(state.started, rule, self.Rule.start),
            cap=end,
            state=self.State(place, volume, lowered, jnp.ones_like(state.started)),
        )
