"""Lactate in shock, flagged: a sketch with wide priors, for which no published parameters were found."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array

from ...modeling.model import AbstractModel, covariate, parameter, quantity
from ...modeling.observation import Gaussian, Observation

_MEMORY = "prior or setting of this library, not published"
_CONTENT = 13.4  # mL/L of oxygen per g/dL of hemoglobin at full saturation


class Lactate(AbstractModel):
    """Balance of lactate: made at rest and where oxygen delivery falls short, cleared by liver and kidney.

    ====== ============================= ==========================================================================
    symbol field                         equation
    ====== ============================= ==========================================================================
    L      `State.lactate`               V w dL/dt = P_0 + g softplus((D_c - D) w / s) s - CL L
    D      oxygen delivery, mL/kg/min    cardiac_output 13.4 hemoglobin saturation / w
    ====== ============================= ==========================================================================

    **Flagged.** No septic model of lactate with numbers was found in the literature that was read: form and every
    number are settings with wide priors. In sepsis lactate also rises without a lack of oxygen (`resting_production`
    takes it up). Use it to say how unsure a target of lactate clearance is, not to recommend anything.
    """

    time_unit = "min"
    step = 5.0

    class State(eqx.Module):
        """What changes."""

        lactate: Array = quantity("mmol/L", "lactate in blood")

    class Input(eqx.Module):
        """What the circulation delivers; links to the output of that name of `Preload`."""

        cardiac_output: Array = quantity("L/min", "cardiac output; 5 where not given", default=5.0)

    class Output(eqx.Module):
        """What is measured; the noise is a setting."""

        lactate: Array = quantity(
            "mmol/L", "lactate in blood", noise=Observation(Gaussian(additive=0.1, relative=0.05))
        )

    initial_lactate: float = parameter(
        dist.LogNormal(math.log(3.0), 0.7), unit="mmol/L", source=_MEMORY, about="lactate at the origin"
    )
    resting_production: float = parameter(
        dist.LogNormal(math.log(0.9), 0.7), unit="mmol/min", source=_MEMORY, about="P_0: made whatever the delivery"
    )
    clearance: float = parameter(
        dist.LogNormal(math.log(0.6), 0.6), unit="L/min", source=_MEMORY, about="CL: 0.5 to 1 L/min in health"
    )
    critical_delivery: float = parameter(
        dist.LogNormal(math.log(6.0), 0.4), unit="mL/kg/min", source=_MEMORY, about="D_c: below it oxygen is short"
    )
    anaerobic_gain: float = parameter(
        dist.LogNormal(math.log(0.02), 0.8), unit="mmol/mL", source=_MEMORY, about="g: lactate per oxygen that is short"
    )
    volume: float = parameter(
        dist.LogNormal(math.log(0.5), 0.3), known=True, unit="L/kg", source=_MEMORY, about="V: where lactate spreads"
    )
    sharpness: float = parameter(
        dist.LogNormal(math.log(50.0), 0.3), known=True, unit="mL/min", source=_MEMORY, about="s: width of the bend"
    )
    hemoglobin: float = parameter(
        dist.LogNormal(math.log(10.0), 0.2), known=True, unit="g/dL", source=_MEMORY, about="hemoglobin"
    )
    saturation: float = parameter(
        dist.LogNormal(math.log(0.96), 0.02), known=True, unit="1", source=_MEMORY, about="arterial saturation"
    )
    weight: float = covariate("kg", value=70.0)

    def initial(self, inputs):
        """Start at the unknown lactate."""
        return self.State(lactate=jnp.asarray(self.initial_lactate))

    def vector_field(self, time, state, inputs):
        """Return the balance."""
        delivered = inputs.cardiac_output * _CONTENT * self.hemoglobin * self.saturation
        short = self.critical_delivery * self.weight - delivered
        made = self.resting_production + self.anaerobic_gain * self.sharpness * jax.nn.softplus(short / self.sharpness)
        return self.State(lactate=(made - self.clearance * state.lactate) / (self.volume * self.weight))

    def output(self, state, inputs):
        """Return lactate."""
        return self.Output(lactate=state.lactate)
