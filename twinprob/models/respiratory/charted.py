"""A lung known from its chart alone: one drifting elastance, PEEP that opens or stiffens it, air that is trapped."""

import math

import equinox as eqx
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array

from ...modeling.model import AbstractModel, parameter, quantity
from ...modeling.observation import Gaussian, Observation, StudentT
from ...modeling.process import OrnsteinUhlenbeck
from .mechanics import JOULE

_MEMORY = "prior or setting of this library, not published"
_REFERENCE = 8.0  # cmH2O, the PEEP at which elastance is quoted; a setting
_EXPIRATION = 2.0 / 3.0  # of a breath, at an I:E ratio of 1:2; a setting


class ChartedMechanics(AbstractModel):
    """Plateau and peak pressure under charted settings, an hour or a shift apart.

    ======= =============================== ============================================================================
    symbol  field                           equation
    ======= =============================== ============================================================================
    E       `elastance`                     of the lung used to a PEEP of 8 cmH2O; drifts
    x       `State.accustomed_peep`         dx/dt = (PEEP - x) / tau_x
    E_x     elastance now                   E_x = E exp(b (x - 8))
    T_e     time to expire                  T_e = 2/3 · 60 / f
    P_i     `Output.intrinsic_peep`         P_i = E_x V_T q / (1 - q), q = exp(-T_e / tau_e)
    P_plat  `Output.plateau_pressure`       P_plat = PEEP + P_i + E_x V_T
    V_A     `Output.alveolar_ventilation`   V_A = f (V_T - V_D)
    ======= =============================== ============================================================================

    A step of PEEP shows at once in the plateau, as PEEP; what it recruits (b < 0) or overdistends (b > 0) shows after
    minutes. The same breath at a higher rate is expired less, so that the plateau rises with the rate. At one PEEP and
    one rate, b and tau_e keep their priors; they say how uncertain a change of these settings is.

    The tidal volume is the set one: what a nurse reads off the screen for one breath scatters by a tenth, the lung does
    not. Plateau pressures are charted from single pauses, some of them in breathing patients, hence Student's t.

    Coupled to `GasExchange`, the alveolar ventilation of these settings drives the blood gases; see `couple`.

    The passive expiration of one compartment and intrinsic PEEP follow from the equation of motion; the form of the
    PEEP effect and every value are from memory.
    """

    time_unit = "min"
    step = 10.0

    class State(eqx.Module):
        """What changes slowly."""

        accustomed_peep: Array = quantity("cmH2O", "PEEP the lung has got used to")

    class Input(eqx.Module):
        """What the ventilator is set to."""

        peep: Array = quantity("cmH2O", "set PEEP")
        tidal_volume: Array = quantity("L", "tidal volume")
        respiratory_rate: Array = quantity("1/min", "respiratory rate")

    class Output(eqx.Module):
        """What is charted, and what follows from it; the sizes of the noises are settings."""

        plateau_pressure: Array = quantity(
            "cmH2O", "plateau pressure", noise=Observation(StudentT(relative=0.06, df=4.0))
        )
        peak_pressure: Array = quantity("cmH2O", "peak pressure", noise=Observation(StudentT(relative=0.08, df=4.0)))
        driving_pressure: Array = quantity("cmH2O", "driving pressure", noise=Observation(Gaussian(additive=1.5)))
        intrinsic_peep: Array = quantity("cmH2O", "intrinsic PEEP", noise=Observation(Gaussian(additive=1.0)))
        mechanical_power: Array = quantity("J/min", "mechanical power", noise=Observation(Gaussian(additive=1.5)))
        alveolar_ventilation: Array = quantity("L/min", "alveolar ventilation")

    elastance: float = parameter(
        dist.LogNormal(math.log(23.0), 0.45),
        unit="cmH2O/L",
        source=_MEMORY,
        about="E: elastance of lung and chest wall at a PEEP of 8 cmH2O",
        varies=OrnsteinUhlenbeck(sd=dist.LogNormal(math.log(0.2), 0.6), timescale="4 d", every="4 h"),
    )
    peep_effect: float = parameter(
        dist.Normal(-0.015, 0.02),
        unit="1/cmH2O",
        source=_MEMORY,
        about="b: relative change of elastance per cmH2O of PEEP",
    )
    expiratory_time: float = parameter(
        dist.LogNormal(math.log(0.9), 0.3), unit="s", source=_MEMORY, about="tau_e: time constant of expiration"
    )
    resistive_pressure: float = parameter(
        dist.LogNormal(math.log(5.0), 0.5), unit="cmH2O", source=_MEMORY, about="peak above plateau, at the usual flow"
    )
    dead_space: float = parameter(
        dist.LogNormal(math.log(0.2), 0.3),
        known=True,
        unit="L",
        source=_MEMORY,
        about="V_D: of apparatus, airways and alveoli; to be freed where blood gases are measured",
    )
    recruitment_time: float = parameter(
        dist.LogNormal(math.log(15.0), 0.4), known=True, unit="min", source=_MEMORY, about="tau_x"
    )

    def initial(self, inputs):
        """Start with a lung that is used to the PEEP it has."""
        return self.State(accustomed_peep=inputs.peep)

    def vector_field(self, time, state, inputs):
        """Return how fast the lung gets used to PEEP."""
        return self.State(accustomed_peep=(inputs.peep - state.accustomed_peep) / self.recruitment_time)

    def output(self, state, inputs):
        """Return the pressures of a passive breath of constant flow."""
        E = self.elastance * jnp.exp(self.peep_effect * (state.accustomed_peep - _REFERENCE))
        tidal = E * inputs.tidal_volume
        T_e = _EXPIRATION * 60.0 / jnp.maximum(inputs.respiratory_rate, 1.0)
        trapped = tidal / jnp.expm1(T_e / self.expiratory_time)
        plateau = inputs.peep + trapped + tidal
        inspired = inputs.peep + trapped + self.resistive_pressure + 0.5 * tidal
        return self.Output(
            plateau_pressure=plateau,
            peak_pressure=plateau + self.resistive_pressure,
            driving_pressure=plateau - inputs.peep,
            intrinsic_peep=trapped,
            mechanical_power=JOULE * inputs.respiratory_rate * inputs.tidal_volume * inspired,
            alveolar_ventilation=inputs.respiratory_rate * jnp.maximum(inputs.tidal_volume - self.dead_space, 0.02),
        )
