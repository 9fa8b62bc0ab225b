"""Volume kinetics: from crystalloid, albumin, blood, bleeding and raised legs to the volume that fills the heart."""

import math

import equinox as eqx
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array

from ...modeling.model import AbstractModel, parameter, quantity

_MEMORY = "prior or setting of this library, not published"
# Typical k12 0.03-0.06, k21 0.01-0.03, k10 0.005-0.02 per minute are from memory; within these ranges the values are
# such that crystalloid expands plasma as in doi:10.1111/aas.13533 (abstract).
_HAHN = "prior or setting within remembered ranges, so that plasma expands as in doi:10.1111/aas.13533 (abstract)"


class VolumeKinetics(AbstractModel):
    """Where given volume stays: plasma and tissue, colloid that leaks, blood, and the reservoir of the legs.

    ====== ======================================== ================================================================
    symbol field                                    equation
    ====== ======================================== ================================================================
    v      `State.plasma`, crystalloid in plasma    dv/dt = crystalloid - k10 max(v, 0) - k12 v + k21 x
    x      `State.tissue`, fluid in tissue          dx/dt = k12 v - k21 x + k_e a
    a      `State.colloid`, held by albumin         da/dt = albumin - k_e a
    b      `State.blood`                            db/dt = blood - blood_loss
    l      `State.legs`, out of the raised legs     dl/dt = (leg_raise V_l - l) / tau_l
    s      `State.relaxation`, stress relaxation    ds/dt = (c (v + a + b + l) - s) / tau_s
    dV     `Output.volume_change`                   v + a + b + l - s
    ====== ======================================== ================================================================

    `volume_change` links to the input of that name of `models.cardiovascular.Preload`. Raising the legs moves volume
    and takes it back when they are lowered: nothing is added. Below zero `v` is what tissue still owes the plasma after
    a bleed. Rates of albumin are of 5 % albumin or a like colloid, of which a mL holds a mL.

    The default is a conscious person; `septic()` leaks faster and passes less urine. Its rate constants are settings:
    no source of septic kinetics was read but the escape of albumin.

    References
    ----------
    .. [1] Hahn RG. Understanding volume kinetics. Acta Anaesthesiol Scand 2020. doi:10.1111/aas.13533. The form of the
       equations is from memory.
    """

    time_unit = "min"
    step = 1.0

    class State(eqx.Module):
        """What changes."""

        plasma: Array = quantity("mL", "crystalloid in plasma")
        tissue: Array = quantity("mL", "fluid in tissue")
        colloid: Array = quantity("mL", "volume held by albumin")
        blood: Array = quantity("mL", "blood given less blood lost")
        legs: Array = quantity("mL", "blood moved out of raised legs")
        relaxation: Array = quantity("mL", "volume taken up by stress relaxation of the veins")

    class Input(eqx.Module):
        """What is given, lost and done."""

        crystalloid: Array = quantity("mL/min", "crystalloid")
        albumin: Array = quantity("mL/min", "5 % albumin or a like colloid")
        blood: Array = quantity("mL/min", "blood and blood products")
        blood_loss: Array = quantity("mL/min", "bleeding")
        leg_raise: Array = quantity("1", "legs raised: 1, flat: 0")

    class Output(eqx.Module):
        """What the circulation feels."""

        volume_change: Array = quantity("mL", "volume that fills the circulation, above that at the origin")
        blood_volume_change: Array = quantity("mL", "blood volume above that at the origin")

    distribution_rate: float = parameter(
        dist.LogNormal(math.log(0.03), 0.4), unit="1/min", source=_HAHN, about="k12: from plasma to tissue"
    )
    elimination_rate: float = parameter(
        dist.LogNormal(math.log(0.02), 0.5), unit="1/min", source=_HAHN, about="k10: with the urine"
    )
    return_rate: float = parameter(
        dist.LogNormal(math.log(0.01), 0.4), known=True, unit="1/min", source=_HAHN, about="k21: from tissue to plasma"
    )
    albumin_escape: float = parameter(
        dist.LogNormal(math.log(0.05 / 60.0), 0.3),
        known=True,
        unit="1/min",
        source=_MEMORY,
        about="k_e: escape of albumin, 5 % an hour",
    )
    leg_volume: float = parameter(
        dist.LogNormal(math.log(300.0), 0.3), known=True, unit="mL", source=_MEMORY, about="V_l: out of raised legs"
    )
    leg_time: float = parameter(
        dist.LogNormal(math.log(0.5), 0.3), known=True, unit="min", source=_MEMORY, about="tau_l: of emptying"
    )
    relaxed_share: float = parameter(
        dist.LogNormal(math.log(0.2), 0.4),
        known=True,
        unit="1",
        source=_MEMORY,
        about="c: share of a lasting volume that the veins give way to",
    )
    relaxation_time: float = parameter(
        dist.LogNormal(math.log(15.0), 0.4), known=True, unit="min", source=_MEMORY, about="tau_s of the veins"
    )

    @classmethod
    def septic(cls, **values):
        """Return a leaking patient with little urine; albumin escapes at 6.7 % an hour (Margarson 2002, in AnaSim)."""
        leaking = {
            "distribution_rate": 0.06,
            "elimination_rate": 0.005,
            "return_rate": 0.005,
            "albumin_escape": 0.067 / 60.0,
            "relaxed_share": 0.4,
        }
        return cls(**{**leaking, **values})

    def initial(self, inputs):
        """Start where every volume is counted from; legs that are raised stay so."""
        moved = self.leg_volume * inputs.leg_raise
        none = jnp.zeros_like(moved)
        return self.State(
            plasma=none, tissue=none, colloid=none, blood=none, legs=moved, relaxation=self.relaxed_share * moved
        )

    def vector_field(self, time, state, inputs):
        """Return the equations in the order of the class docstring."""
        v, x, a = state.plasma, state.tissue, state.colloid
        exchanged = self.distribution_rate * v - self.return_rate * x
        escaped = self.albumin_escape * a
        filling = v + a + state.blood + state.legs
        return self.State(
            plasma=inputs.crystalloid - self.elimination_rate * jnp.maximum(v, 0.0) - exchanged,
            tissue=exchanged + escaped,
            colloid=inputs.albumin - escaped,
            blood=inputs.blood - inputs.blood_loss,
            legs=(self.leg_volume * inputs.leg_raise - state.legs) / self.leg_time,
            relaxation=(self.relaxed_share * filling - state.relaxation) / self.relaxation_time,
        )

    def output(self, state, inputs):
        """Return what fills the circulation, and the blood volume alone."""
        inside = state.plasma + state.colloid + state.blood
        return self.Output(volume_change=inside + state.legs - state.relaxation, blood_volume_change=inside)
