"""Fluid by rule: 30 mL/kg in shock, then FACTT-Lite once it is over."""

from enum import IntEnum
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from ...bedside import Bolus, Orders
from ...protocol import AbstractProtocol, setting

_FACTT = "PMC4675623 table 1"
_SSC = "SSC 2021"
NOTHING, BOLUS, FUROSEMIDE = range(3)
# Action and hours to the next look, by CVP (< 4, 4-8, > 8 mmHg) and urine (< 0.5, from 0.5 mL/kg/h).
TABLE = (((BOLUS, 1.0), (NOTHING, 4.0)), ((BOLUS, 1.0), (FUROSEMIDE, 4.0)), ((FUROSEMIDE, 1.0), (FUROSEMIDE, 4.0)))


class FluidByRule(AbstractProtocol):
    """In shock 30 mL/kg; with pressure from 60 mmHg and 12 h off vasopressors, the table of FACTT-Lite.

    ============== ============================ ==========================
    CVP mmHg       urine < 0.5 mL/kg/h          urine from 0.5
    ============== ============================ ==========================
    > 8            furosemide, again in 1 h     furosemide, again in 4 h
    4–8            fluid bolus, 1 h             furosemide, 4 h
    < 4            fluid bolus, 1 h             nothing, 4 h
    ============== ============================ ==========================

    References
    ----------
    .. [1] Grissom CK et al. Fluid management with a simplified conservative protocol for ARDS. Crit Care Med
       2015;43:288-295.
    """

    source = f"{_FACTT}; 30 mL/kg: {_SSC}"
    gaps: ClassVar[tuple[str, ...]] = (
        "PAOP, red cells and albumin as alternatives are left out.",
        "Renal failure, in which no furosemide is given, is a setting: no bedside of ours charts it.",
        "In shock 'bolus and vasopressor' is asked for: the first 30 mL/kg in boluses, the vasopressor by others.",
        "Furosemide begins with 20 mg ('or the last effective dose') and is doubled up to 160 mg, 620 mg a day.",
    )
    reads = {"mean_arterial_pressure": "mmHg", "central_venous_pressure": "mmHg", "urine_output": "mL/h"}
    gives = {"crystalloid": "mL/min", "furosemide": "mg/min", "norepinephrine": "ug/kg/min"}
    knows = {"weight": "kg"}
    resolution = "15 min"

    shock_below: float = setting(60.0, unit="mmHg", about="pressure that is shock", source=_FACTT)
    first: float = setting(30.0, unit="mL/kg", about="in shock, in all", source=_SSC)
    bolus: float = setting(15.0, unit="mL/kg", about="a bolus, rounded to 250 mL", source=_FACTT)
    bolus_minutes: float = setting(30.0, unit="min", about="in which a bolus runs", static=True)
    free_for: float = setting(12.0, unit="h", about="off vasopressors, and since a bolus for furosemide", source=_FACTT)
    furosemide: float = setting(20.0, unit="mg", about="first dose", source=_FACTT)
    furosemide_most: float = setting(160.0, unit="mg", about="largest dose", source=_FACTT)
    furosemide_day: float = setting(620.0, unit="mg", about="largest in a day", source=_FACTT)
    renal_failure: bool = setting(False, about="no furosemide", source=_FACTT, static=True)

    class Rule(IntEnum):
        """The rules."""

        nothing = 0
        bolus = 1
        furosemide = 2
        shock = 3
        too_soon = 4

    class Cap(IntEnum):
        """The limits."""

        none = 0
        first_volume = 1
        no_furosemide = 2

    class State(eqx.Module):
        """Volume given in shock, when a bolus and a vasopressor last ran, and furosemide."""

        given: Array  # mL
        pressor: Array  # min, when one last ran
        bolus: Array  # min
        dose: Array  # mg, the last
        day: Array  # mg, since the day began
        day_began: Array  # min

    def start(self):  # noqa: D102
        never = jnp.asarray(-1e6)
        zero = jnp.zeros(())
        return self.State(zero, never, never, zero, zero, zero)

    def row(self, venous, urine_per_kilogram):
        """Return what the table says (0 nothing, 1 bolus, 2 furosemide) and the hours to the next look."""
        band = jnp.where(venous > 8.0, 2, jnp.where(venous < 4.0, 0, 1))
        found = jnp.asarray(TABLE)[band, jnp.where(urine_per_kilogram < 0.5, 0, 1)]
        return found[0].astype(int), found[1]

    def decide(self, bedside):  # noqa: D102
        state, clock, weight = bedside.state, bedside.clock, bedside.covariate("weight")
        pressure = bedside.seen("mean_arterial_pressure").value
        pressor = jnp.where(bedside.runs("norepinephrine") > 0.0, clock, state.pressor)
        free = clock - pressor >= 60.0 * self.free_for
        shock = pressure < self.shock_below
        volume = 250.0 * jnp.round(self.bolus * weight / 250.0)
        action, hours = self.row(
            bedside.seen("central_venous_pressure").value, bedside.seen("urine_output").value / weight
        )
        left = self.first * weight - state.given
        rested = (clock - state.bolus >= 60.0 * self.free_for) & (not self.renal_failure)
        day, began = self._day(state, clock)
        dose = jnp.clip(2.0 * state.dose, self.furosemide, self.furosemide_most)
        dose = jnp.minimum(dose, self.furosemide_day - day)
        in_shock = jnp.where(shock & (left > 0.0), jnp.minimum(volume, left), 0.0)
        by_table = ~shock & free
        fluid = jnp.where(by_table & (action == BOLUS), volume, in_shock)
        drug = jnp.where(by_table & (action == FUROSEMIDE) & rested, jnp.maximum(dose, 0.0), 0.0)
        rule = jnp.where(by_table, action, jnp.where(shock, self.Rule.shock, self.Rule.too_soon))
        cap = jnp.where(by_table & (action == FUROSEMIDE) & (drug <= 0.0), self.Cap.no_furosemide, self.Cap.none)
        return Orders(
            {},
            measure_in=jnp.where(by_table, 60.0 * hours, jnp.where(shock, 30.0, 60.0)),
            rule=rule,
            cap=jnp.where(shock & (left <= 0.0), self.Cap.first_volume, cap),
            state=self.State(
                state.given + in_shock,
                pressor,
                jnp.where(fluid > 0.0, clock, state.bolus),
                jnp.where(drug > 0.0, drug, state.dose),
                day + drug,
                began,
            ),
            boluses={
                "crystalloid": Bolus(fluid, "mL", self.bolus_minutes),
                "furosemide": Bolus(drug, "mg", 5.0),
            },
        )

    def _day(self, state, clock):
        new = clock - state.day_began >= 1440.0
        return jnp.where(new, 0.0, state.day), jnp.where(new, clock, state.day_began)
