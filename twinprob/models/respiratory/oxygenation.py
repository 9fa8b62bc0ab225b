"""Oxygenation known from its chart alone: one shunt that moves, an oximeter that rounds and ends at 100 %."""

import math
from collections.abc import Mapping
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array

from ...modeling.correlated import Correlated
from ...modeling.model import AbstractModel, parameter, quantity
from ...modeling.observation import Observation, StudentT
from ...modeling.process import OrnsteinUhlenbeck
from .blood import oxygen_content, oxygen_pressure, saturation
from .gas_exchange import WATER

_MEMORY = "prior or setting of this library, not published"
_USUAL = 0.5  # of FiO2, where the charted fraction is taken as it is; a setting
_LOWEST = 1.0  # mL/dL of arterial blood; a setting, below which no patient lives


def _shunt_prior(model):
    """Return the prior of the shunt; a function, because building a Beta distribution makes arrays."""
    return dist.Beta(2.0, 6.0)


class ChartedOxygenation(AbstractModel):
    """Arterial oxygen and pulse oximetry under a charted inspired fraction, hours apart.

    ======== =========================== ===============================================================================
    symbol   field                       equation
    ======== =========================== ===============================================================================
    F        `State.inspired_oxygen`     dF/dt = (FiO2 - F) / tau
    F_g      fraction that shows         F_g = 0.5 (F / 0.5)^g
    P_A      alveolar oxygen             P_A = F_g (P_B - 47) - PaCO2 (F_g + (1 - F_g) / RQ)
    C_c      end-capillary content       C_c = C(P_A)
    C_a      arterial content            C_a = C_c - D s / (1 - s)
    PaO2     `Output.arterial_oxygen`    C(PaO2) = C_a
    SpO2     `Output.pulse_saturation`   of PaO2
    ======== =========================== ===============================================================================

    All that impairs oxygenation counts as shunt s, which moves within hours and returns to the patient's own level: a
    very good or bad gas is partly chance. D is the arteriovenous difference; it, hemoglobin and PaCO2 stand at usual
    values where `fix` says nothing else. For the ventilator, carbon dioxide and mismatch, see `GasExchange`.

    Of a charted change of FiO2 less than a half, g, shows in the next gas of two databases (a setting, chosen with both
    in view), since the fraction is lowered when the lung has recovered and raised when it has failed. That is a fact
    about charts and no effect of oxygen: to ask what a fraction would do now, `fix(oxygen_response=1.0)`.

    An oximeter errs by some percent for hours, shows whole percents and never more than 100.

    Shunt equation and alveolar gas equation are textbook forms; every value is from memory.
    """

    time_unit = "min"
    step = 2.0
    as_charted: ClassVar[Mapping[str, str]] = {"inspired_oxygen": "oxygen_response"}

    class State(eqx.Module):
        """What lags behind the settings."""

        inspired_oxygen: Array = quantity("1", "oxygen fraction that the lung is filled from")

    class Input(eqx.Module):
        """What is set."""

        inspired_oxygen: Array = quantity("1", "inspired oxygen fraction")

    class Output(eqx.Module):
        """What is measured; sizes and durations of errors are settings."""

        arterial_oxygen: Array = quantity(
            "mmHg", "PaO2", noise=Observation(StudentT(relative=dist.LogNormal(math.log(0.12), 0.4), df=4.0))
        )
        pulse_saturation: Array = quantity(
            "%",
            "SpO2",
            noise=Observation(
                StudentT(additive=dist.LogNormal(math.log(1.0), 0.4), df=4.0),
                upper=100.0,
                drift=Correlated(sd=1.5, timescale=360.0),
                resolution=1.0,
            ),
        )

    shunt: float = parameter(
        _shunt_prior,
        value=0.2,
        unit="1",
        source=_MEMORY,
        about="s: shunt fraction",
        varies=OrnsteinUhlenbeck(sd=dist.LogNormal(math.log(0.5), 0.4), timescale="10 h", every="2 h"),
    )
    oxygen_response: float = parameter(
        dist.LogNormal(math.log(0.45), 0.4),
        value=1.0,
        unit="1",
        source=_MEMORY,
        about="g: exponent with which oxygenation follows the charted fraction",
    )
    arteriovenous_difference: float = parameter(
        dist.LogNormal(math.log(4.5), 0.25), known=True, unit="mL/dL", source=_MEMORY, about="D"
    )
    hemoglobin: float = parameter(
        dist.LogNormal(math.log(10.5), 0.2), known=True, unit="g/dL", source=_MEMORY, about="hemoglobin"
    )
    arterial_carbon_dioxide: float = parameter(
        dist.LogNormal(math.log(40.0), 0.15), known=True, unit="mmHg", source=_MEMORY, about="PaCO2"
    )
    respiratory_quotient: float = parameter(
        dist.LogNormal(math.log(0.8), 0.1), known=True, unit="1", source=_MEMORY, about="RQ"
    )
    barometric_pressure: float = parameter(
        dist.Normal(760.0, 15.0), known=True, unit="mmHg", source="setting: sea level", about="P_B"
    )
    mixing_time: float = parameter(
        dist.LogNormal(math.log(2.0), 0.3),
        known=True,
        unit="min",
        source=_MEMORY,
        about="tau, until a new FiO2 is through",
    )

    def initial(self, inputs):
        """Start with a lung filled from the fraction that is set."""
        return self.State(inspired_oxygen=inputs.inspired_oxygen)

    def vector_field(self, time, state, inputs):
        """Return how fast a new fraction comes through."""
        return self.State(inspired_oxygen=(inputs.inspired_oxygen - state.inspired_oxygen) / self.mixing_time)

    def output(self, state, inputs):
        """Return what a blood gas and an oximeter would read."""
        charted = jnp.clip(state.inspired_oxygen, 1e-3, 1.0)
        F = jnp.minimum(_USUAL * jnp.exp(self.oxygen_response * jnp.log(charted / _USUAL)), 1.0)
        spent = self.arterial_carbon_dioxide * (F + (1.0 - F) / self.respiratory_quotient)
        P_A = jnp.maximum(F * (self.barometric_pressure - WATER) - spent, 1.0)
        s = jnp.minimum(self.shunt, 0.99)
        blood = {"carbon_dioxide": self.arterial_carbon_dioxide}
        C_a = oxygen_content(P_A, self.hemoglobin, **blood) - self.arteriovenous_difference * s / (1.0 - s)
        arterial = oxygen_pressure(jnp.maximum(C_a, _LOWEST), self.hemoglobin, **blood)
        return self.Output(arterial_oxygen=arterial, pulse_saturation=100.0 * saturation(arterial, **blood))
