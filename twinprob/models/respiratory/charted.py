"""A lung known from its chart alone: one drifting elastance, PEEP that opens or stiffens it, air that is trapped."""

import math
from collections.abc import Mapping
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array

from ...modeling.correlated import Correlated
from ...modeling.model import AbstractModel, parameter, quantity
from ...modeling.observation import Gaussian, Observation, StudentT
from ...modeling.process import OrnsteinUhlenbeck
from .mechanics import JOULE

_MEMORY = "prior or setting of this library, not published"
_REFERENCE = 8.0  # cmH2O, the PEEP at which elastance is quoted; a setting
_BREATH = 0.5  # L, the breath at which elastance is quoted; a setting
_EXPIRATION = 2.0 / 3.0  # of a breath, at an I:E ratio of 1:2; a setting


class ChartedMechanics(AbstractModel):
    """Plateau and peak pressure under charted settings, an hour or a shift apart.

    ======= =============================== ============================================================================
    symbol  field                           equation
    ======= =============================== ============================================================================
    E       `elastance`                     of the lung used to a PEEP of 8 cmH2O, at a breath of 0.5 L; drifts
    x       `State.accustomed_peep`         dx/dt = (PEEP - x) / tau_x
    E_x     elastance now                   E_x = E exp(b (x - 8))
    T_e     time to expire                  T_e = 2/3 · 60 / f
    V       volume that arrives             V = 0.5 L (V_T / 0.5 L)^g
    P_i     `Output.intrinsic_peep`         P_i = E_x V q / (1 - q), q = exp(-T_e / tau_e)
    P_plat  `Output.plateau_pressure`       P_plat = PEEP + P_i + E_x V
    R_p     `resistive_pressure`            of tube, secretions and flow
    P_peak  `Output.peak_pressure`          P_peak = P_plat + R_p
    V_A     `Output.alveolar_ventilation`   V_A = f (V_T - V_D)
    ======= =============================== ============================================================================

    A step of PEEP shows at once in the plateau, as PEEP; what it recruits (b < 0) or overdistends (b > 0) shows after
    minutes. The same breath at a higher rate is expired less, so that the plateau rises with the rate. At one PEEP and
    one rate, b and tau_e keep their priors; they say how uncertain a change of these settings is.

    The tidal volume is the set one: what a nurse reads off the screen for one breath scatters by a tenth, the lung does
    not. Even so a charted change of volume is known only within its error: g is the share of it that arrives, which
    is 1 for a passive breath under volume control and less in charts, where volumes follow modes, patients and
    scribes: in the charts of two databases about a half arrives, a setting chosen with both in view. Where a plan sets
    the volume of a passive patient, `fix(volume_response=1.0)`.

    Plateau pressures are charted from single pauses, some of them in breathing patients, hence Student's t; and what is
    wrong with one is wrong with its neighbors (a fifth of all repeat the one before), hence an error that lasts. What
    resistance adds to a peak moves within hours by itself: it is the lasting error of peaks, wide enough that a charted
    peak says little of the plateau.

    Coupled to `GasExchange`, the alveolar ventilation of these settings drives the blood gases; see `couple`.

    The passive expiration of one compartment and intrinsic PEEP follow from the equation of motion; the form of the
    PEEP effect and every value are from memory.
    """

    time_unit = "min"
    step = 10.0

    as_charted: ClassVar[Mapping[str, str]] = {"tidal_volume": "volume_response"}

    class State(eqx.Module):
        """What changes slowly."""

        accustomed_peep: Array = quantity("cmH2O", "PEEP the lung has got used to")

    class Input(eqx.Module):
        """What the ventilator is set to."""

        peep: Array = quantity("cmH2O", "set PEEP")
        tidal_volume: Array = quantity("L", "tidal volume")
        respiratory_rate: Array = quantity("1/min", "respiratory rate")

    class Output(eqx.Module):
        """What is charted, and what follows from it; sizes and durations of errors are settings."""

        plateau_pressure: Array = quantity(
            "cmH2O",
            "plateau pressure",
            noise=Observation(
                StudentT(additive=dist.LogNormal(math.log(1.15), 0.7), df=4.0),
                drift=Correlated(sd=1.0, timescale=480.0),
            ),
        )
        peak_pressure: Array = quantity(
            "cmH2O",
            "peak pressure",
            noise=Observation(
                StudentT(additive=dist.LogNormal(math.log(3.0), 0.4), df=4.0),
                drift=Correlated(sd=4.0, timescale=720.0),
            ),
        )
        driving_pressure: Array = quantity("cmH2O", "driving pressure", noise=Observation(Gaussian(additive=1.5)))
        intrinsic_peep: Array = quantity("cmH2O", "intrinsic PEEP", noise=Observation(Gaussian(additive=1.0)))
        mechanical_power: Array = quantity("J/min", "mechanical power", noise=Observation(Gaussian(additive=1.5)))
        alveolar_ventilation: Array = quantity("L/min", "alveolar ventilation")

    elastance: float = parameter(
        dist.LogNormal(math.log(24.0), 0.3),
        unit="cmH2O/L",
        source=_MEMORY,
        about="E: elastance of lung and chest wall at a PEEP of 8 cmH2O",
        varies=OrnsteinUhlenbeck(sd=dist.LogNormal(math.log(0.2), 0.6), timescale="4 d", every="4 h"),
    )
    peep_effect: float = parameter(
        dist.Normal(-0.02, 0.02),
        unit="1/cmH2O",
        source=_MEMORY,
        about="b: relative change of elastance per cmH2O of PEEP",
    )
    expiratory_time: float = parameter(
        dist.LogNormal(math.log(0.9), 0.3), unit="s", source=_MEMORY, about="tau_e: time constant of expiration"
    )
    volume_response: float = parameter(
        dist.LogNormal(math.log(0.6), 0.6),
        value=1.0,
        unit="1",
        source=_MEMORY,
        about="g: exponent with which the volume that arrives follows the charted one",
    )
    resistive_pressure: float = parameter(
        dist.LogNormal(math.log(6.0), 0.7),
        unit="cmH2O",
        source=_MEMORY,
        about="R_p: peak above plateau, as is usual in this patient",
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
        share = jnp.exp(self.volume_response * jnp.log(jnp.maximum(inputs.tidal_volume, 1e-3) / _BREATH))
        tidal = E * _BREATH * share
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
