"""Mean arterial pressure at the bedside: a level that drifts, vasopressors that saturate, fluids that leak."""

import math

import equinox as eqx
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array

from ...modeling.model import AbstractModel, parameter, quantity
from ...modeling.observation import Observation, StudentT
from ...modeling.process import OrnsteinUhlenbeck

_MEMORY = "prior or setting of this library, not published"
_OUALHA = "doi:10.1111/bcp.12412, Table 3"
# Rates that raise pressure like one of norepinephrine, settings from memory of published equivalence scores.
PHENYLEPHRINE, EPINEPHRINE, DOPAMINE, VASOPRESSIN = 0.1, 1.0, 0.01, 2.5


class VasopressorPressure(AbstractModel):
    """What can be learned where only mean arterial pressure, rates and volumes are charted.

    ====== ==================================== ===================================================================
    symbol field                                equation
    ====== ==================================== ===================================================================
    r      pressors, ug/kg/min                  norepinephrine + epinephrine + 0.1 phenylephrine + 0.01 dopamine
                                                + 2.5 vasopressin (U/min)
    u      `State.pressor`                      du/dt = k_e (r - u): plasma of norepinephrine over its clearance
    v      `State.plasma`                       dv/dt = volume given - k_10 v - k_12 v + k_21 x
    x      `State.tissue`                       dx/dt = k_12 v - k_21 x
    MAP    `Output.mean_arterial_pressure`      level + swing + greatest_rise u / (half_rate + u) + gain v / 1000
    ====== ==================================== ===================================================================

    `level` is the pressure without drugs and drifts over hours, `swing` over tens of minutes: what nobody charted. Both
    carry an unknown volatility, so that a restless patient gets wide forecasts. The drug effect has Oualha's form:
    12 mmHg is the published greatest rise of patients with four organ failures or more, 32 mmHg that of the others.

    Charted doses follow the pressure that they treat. This model forecasts under the treatment that is given; that its
    effect of a dose is the effect of *changing* the dose is an assumption, carried by the prior far more than by the
    data.
    """

    time_unit = "min"
    step = 5.0

    class State(eqx.Module):
        """What changes."""

        pressor: Array = quantity("ug/kg/min", "norepinephrine-equivalent rate that has reached its effect")
        plasma: Array = quantity("mL", "given volume still in the circulation")
        tissue: Array = quantity("mL", "given volume in tissue")

    class Input(eqx.Module):
        """What is given."""

        norepinephrine: Array = quantity("ug/kg/min", "norepinephrine")
        vasopressin: Array = quantity("U/min", "vasopressin")
        phenylephrine: Array = quantity("ug/kg/min", "phenylephrine")
        epinephrine: Array = quantity("ug/kg/min", "epinephrine")
        dopamine: Array = quantity("ug/kg/min", "dopamine")
        crystalloid: Array = quantity("mL/min", "crystalloid")
        albumin: Array = quantity("mL/min", "albumin or another colloid")
        blood: Array = quantity("mL/min", "blood and blood products")

    class Output(eqx.Module):
        """What is measured."""

        # A chart holds flushes and damped lines too: heavy tails, and each patient's own spread. Settings.
        mean_arterial_pressure: Array = quantity(
            "mmHg",
            "mean arterial pressure",
            noise=Observation(StudentT(additive=dist.LogNormal(math.log(5.0), 0.4), df=4.0)),
        )

    level: float = parameter(
        dist.LogNormal(math.log(65.0), 0.17),
        unit="mmHg",
        source=_MEMORY,
        about="pressure without drugs",
        varies=OrnsteinUhlenbeck(sd=dist.LogNormal(math.log(0.11), 0.5), timescale="12 h", every="1 h"),
    )
    swing: float = parameter(
        dist.Normal(0.0, 1.0),
        unit="mmHg",
        source=_MEMORY,
        about="what nobody charted: pain, sedation, position",
        varies=OrnsteinUhlenbeck(sd=dist.LogNormal(math.log(8.0), 0.5), timescale="90 min", every="15 min"),
    )
    greatest_rise: float = parameter(
        dist.LogNormal(math.log(12.0), 0.7),
        unit="mmHg",
        source=f"{_OUALHA}, four organ failures or more; spread: {_MEMORY}",
        about="rise of pressure at full effect",
    )
    half_rate: float = parameter(
        dist.LogNormal(math.log(0.156), 0.5),
        unit="ug/kg/min",
        source=f"{_OUALHA}: 4.11 ug/L times 6.6 L/h/kg^0.75, at 70 kg; spread: {_MEMORY}",
        about="rate of half the greatest rise",
    )
    volume_gain: float = parameter(
        dist.LogNormal(math.log(8.0), 0.7), unit="mmHg/L", source=_MEMORY, about="pressure per volume in circulation"
    )
    effect_rate: float = parameter(
        dist.LogNormal(math.log(math.log(2) / 3.5), 0.3),
        known=True,
        unit="1/min",
        source="prior or setting, within doi:10.1093/bja/aei259 (abstract): half-lives of 2 to 6.8 min",
        about="k_e",
    )
    distribution_rate: float = parameter(
        dist.LogNormal(math.log(0.06), 0.4), known=True, unit="1/min", source=_MEMORY, about="k_12, septic"
    )
    elimination_rate: float = parameter(
        dist.LogNormal(math.log(0.005), 0.4), known=True, unit="1/min", source=_MEMORY, about="k_10, septic"
    )
    return_rate: float = parameter(
        dist.LogNormal(math.log(0.005), 0.4), known=True, unit="1/min", source=_MEMORY, about="k_21, septic"
    )

    def initial(self, inputs):
        """Start with the drugs in steady state and no given volume on its way."""
        rate = equivalent(inputs)
        return self.State(pressor=rate, plasma=jnp.zeros_like(rate), tissue=jnp.zeros_like(rate))

    def vector_field(self, time, state, inputs):
        """Return the equations in the order of the class docstring."""
        v, x = state.plasma, state.tissue
        exchanged = self.distribution_rate * v - self.return_rate * x
        given = inputs.crystalloid + inputs.albumin + inputs.blood
        return self.State(
            pressor=self.effect_rate * (equivalent(inputs) - state.pressor),
            plasma=given - self.elimination_rate * v - exchanged,
            tissue=exchanged,
        )

    def rise(self, rate):
        """Return the rise of pressure (mmHg) at a lasting norepinephrine-equivalent rate (ug/kg/min)."""
        u = jnp.maximum(rate, 0.0)
        return self.greatest_rise * u / (self.half_rate + u)

    def output(self, state, inputs):
        """Return the mean pressure."""
        by_volume = self.volume_gain * state.plasma / 1000.0
        return self.Output(mean_arterial_pressure=self.level + self.swing + self.rise(state.pressor) + by_volume)


def equivalent(inputs):
    """Return the pressors as a rate of norepinephrine, ug/kg/min."""
    return (
        jnp.asarray(inputs.norepinephrine)
        + EPINEPHRINE * inputs.epinephrine
        + PHENYLEPHRINE * inputs.phenylephrine
        + DOPAMINE * inputs.dopamine
        + VASOPRESSIN * inputs.vasopressin
    )
