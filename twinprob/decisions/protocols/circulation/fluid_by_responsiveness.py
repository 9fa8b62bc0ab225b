"""Fluid only to those whose stroke volume rises when the legs are raised; a vasopressor to the others."""

from enum import IntEnum
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from ...bedside import Bolus, Orders
from ...protocol import AbstractProtocol, setting

_PAGE = "a protocolized rule of one unit (web page, check before quoting)"
REST, RAISED = range(2)


class FluidByResponsiveness(AbstractProtocol):
    """Low pressure: raise the legs; stroke volume up by 10 %: 500 mL and again; else a step of norepinephrine.

    References
    ----------
    .. [1] Monnet X, Marik P, Teboul JL. Passive leg raising for predicting fluid responsiveness: a systematic review
       and meta-analysis. Intensive Care Med 2016;42:1935-1947: a rise of cardiac output by 10 +- 2 %.
    """

    source = _PAGE
    gaps: ClassVar[tuple[str, ...]] = (
        "500 mL is printed, 250 mL is as common: a setting.",
        "How long the legs stay up, and the step of the vasopressor, are settings.",
    )
    reads = {"mean_arterial_pressure": "mmHg", "stroke_volume": "mL"}
    gives = {"leg_raise": "1", "crystalloid": "mL/min", "norepinephrine": "ug/kg/min"}
    knows = {"weight": "kg"}
    resolution = "1 min"

    goal: float = setting(65.0, unit="mmHg", about="mean pressure that is enough")
    rise: float = setting(0.10, about="of stroke volume that counts", source="Monnet 2016 (abstract)")
    raised: float = setting(3.0, unit="min", about="legs up before the second look")
    volume: float = setting(500.0, unit="mL", about="crystalloid to a responder", source=_PAGE)
    bolus_minutes: float = setting(15.0, unit="min", about="in which it runs", static=True)
    most: float = setting(60.0, unit="mL/kg", about="crystalloid in all")
    step: float = setting(0.05, unit="ug/kg/min", about="of norepinephrine to a non-responder")
    again: float = setting(30.0, unit="min", about="to the next look after treatment")
    watch: float = setting(60.0, unit="min", about="between looks while pressure is enough")

    class Rule(IntEnum):
        """The rules."""

        enough = 0
        raise_legs = 1
        responder = 2
        non_responder = 3

    class Cap(IntEnum):
        """The limits."""

        none = 0
        most = 1

    class State(eqx.Module):
        """Whether the legs are up, stroke volume before, and volume given."""

        phase: Array
        before: Array  # mL
        given: Array  # mL

    def start(self):  # noqa: D102
        return self.State(jnp.zeros((), int), jnp.zeros(()), jnp.zeros(()))

    def decide(self, bedside):  # noqa: D102
        state, Rule = bedside.state, self.Rule
        low = bedside.seen("mean_arterial_pressure").value < self.goal
        stroke, pressor = bedside.seen("stroke_volume").value, bedside.runs("norepinephrine")
        raised = state.phase == RAISED
        responds = raised & (stroke >= (1.0 + self.rise) * state.before)
        full = state.given + self.volume > self.most * bedside.covariate("weight")
        fluid = jnp.where(responds & ~full, self.volume, 0.0)
        begin = ~raised & low
        pressor = pressor + jnp.where(raised & (~responds | full), self.step, 0.0)
        verdict = jnp.where(responds, Rule.responder, Rule.non_responder)
        return Orders(
            {
                "leg_raise": (jnp.where(begin, 1.0, 0.0), "1"),
                "norepinephrine": (pressor, "ug/kg/min"),
            },
            measure_in=jnp.where(begin, self.raised, jnp.where(raised, self.again, self.watch)),
            rule=jnp.where(raised, verdict, jnp.where(low, Rule.raise_legs, Rule.enough)),
            cap=jnp.where(responds & full, self.Cap.most, self.Cap.none),
            state=self.State(
                jnp.where(begin, RAISED, REST).astype(state.phase.dtype),
                jnp.where(begin, stroke, 0.0),
                state.given + fluid,
            ),
            boluses={"crystalloid": Bolus(fluid, "mL", self.bolus_minutes)},
        )
