"""Recruitment: a lung whose open part depends on pressure and takes time, for charted settings and PEEP steps."""

import math

import equinox as eqx
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.stats import norm
from jaxtyping import Array

from ...modeling.model import AbstractModel, parameter, quantity
from ...modeling.observation import Gaussian, Observation
from .blood import find_root
from .mechanics import JOULE

_MEMORY = "prior or setting of this library, not published"
_HIGHEST = 150.0  # cmH2O, beyond which no plateau is sought


def _share_prior(model):
    """Return the prior of the opening share; a function, because building a Beta distribution makes arrays."""
    return dist.Beta(2.0, 3.0)


class Recruitment(AbstractModel):
    """Pressures of the passive lung under volume control, with opening, closing and overdistension.

    ======= =============================== ============================================================================
    symbol  field                           equation
    ======= =============================== ============================================================================
    x       `State.open_fraction`           dx/dt = (N((PEEP - mu + h) / sd) - x) / tau, open at the end of expiration
    x_i                                     x_i = x + r (1 - x) N((P - mu) / sd), open during inspiration at pressure P
    V                                       V(P, x) = V_m x (1 - exp(-P / k)): an open unit stiffens as it fills
    P_plat  `Output.plateau_pressure`       V(P_plat, x_i) - V(PEEP, x) = V_T
    ======= =============================== ============================================================================

    N is the normal distribution function: units open at pressures around mu with a spread of sd, and an open unit
    closes h below the pressure that opened it (hysteresis). A breath has time to open only the part r of what its
    pressure could. A unit that opened during inspiration closes again in expiration unless PEEP holds it; what PEEP
    can hold open is open after a while, because breath after breath reaches for it. After a rise of PEEP the plateau
    first shows the stiffer part of the old lung, then the larger lung. Chest wall and intrinsic PEEP are in none of
    it.

    The normal distribution of opening pressures is that of the minimal recruitment model of Yuta, Sundaresan and
    Chase; the form and every value are from memory.
    """

    time_unit = "min"
    step = 1.0

    class State(eqx.Module):
        """What changes slowly."""

        open_fraction: Array = quantity("1", "open part of the lung at the end of expiration")

    class Input(eqx.Module):
        """What the ventilator is set to."""

        peep: Array = quantity("cmH2O", "set PEEP")
        tidal_volume: Array = quantity("L", "tidal volume")
        respiratory_rate: Array = quantity("1/min", "respiratory rate")

    class Output(eqx.Module):
        """What is charted, and what follows from it; the sizes of the noises are settings."""

        plateau_pressure: Array = quantity("cmH2O", "plateau pressure", noise=Observation(Gaussian(additive=1.0)))
        peak_pressure: Array = quantity("cmH2O", "peak pressure", noise=Observation(Gaussian(additive=1.0)))
        half_volume_pressure: Array = quantity(
            "cmH2O", "static pressure at half the tidal volume", noise=Observation(Gaussian(additive=0.5))
        )
        driving_pressure: Array = quantity("cmH2O", "driving pressure", noise=Observation(Gaussian(additive=1.0)))
        end_expiratory_volume: Array = quantity(
            "L", "lung volume above that at no pressure", noise=Observation(Gaussian(additive=0.05))
        )
        mechanical_power: Array = quantity("J/min", "mechanical power", noise=Observation(Gaussian(additive=1.0)))

    capacity: float = parameter(
        dist.LogNormal(math.log(2.5), 0.4), unit="L", source=_MEMORY, about="V_m: volume of the whole lung, filled"
    )
    fullness: float = parameter(
        dist.LogNormal(math.log(20.0), 0.3), unit="cmH2O", source=_MEMORY, about="k: pressure that fills an open unit"
    )
    opening_pressure: float = parameter(dist.Normal(14.0, 6.0), unit="cmH2O", source=_MEMORY, about="mu, the mean")
    opening_spread: float = parameter(
        dist.LogNormal(math.log(7.0), 0.25), unit="cmH2O", source=_MEMORY, about="sd of opening pressures"
    )
    hysteresis: float = parameter(
        dist.LogNormal(math.log(8.0), 0.4),
        unit="cmH2O",
        source=_MEMORY,
        about="h: how far below its opening a unit closes",
    )
    opening_share: float = parameter(
        _share_prior, value=0.4, unit="1", source=_MEMORY, about="r: what one breath has time to open"
    )
    resistive_pressure: float = parameter(
        dist.LogNormal(math.log(7.0), 0.4), unit="cmH2O", source=_MEMORY, about="peak above plateau, at the usual flow"
    )
    recruitment_time: float = parameter(
        dist.LogNormal(math.log(3.0), 0.5), known=True, unit="min", source=_MEMORY, about="tau"
    )

    def initial(self, inputs):
        """Start where PEEP has held the lung for long."""
        return self.State(open_fraction=self._held(inputs.peep))

    def vector_field(self, time, state, inputs):
        """Return how fast the open part approaches what PEEP holds open."""
        return self.State(open_fraction=(self._held(inputs.peep) - state.open_fraction) / self.recruitment_time)

    def output(self, state, inputs):
        """Return the pressures of a breath at this open part."""
        x = jnp.clip(state.open_fraction, 0.0, 1.0)
        plateau = self._pressure(x, inputs.peep, inputs.tidal_volume)
        peak = plateau + self.resistive_pressure
        inspired = inputs.peep + self.resistive_pressure + 0.5 * (plateau - inputs.peep)
        return self.Output(
            plateau_pressure=plateau,
            peak_pressure=peak,
            half_volume_pressure=self._pressure(x, inputs.peep, 0.5 * inputs.tidal_volume),
            driving_pressure=plateau - inputs.peep,
            end_expiratory_volume=self._volume(inputs.peep, x),
            mechanical_power=JOULE * inputs.respiratory_rate * inputs.tidal_volume * inspired,
        )

    def _volume(self, P, x):
        return self.capacity * x * -jnp.expm1(-P / self.fullness)

    def _opened(self, P, x):
        return x + self.opening_share * (1.0 - x) * norm.cdf((P - self.opening_pressure) / self.opening_spread)

    def _pressure(self, x, peep, volume):
        """Return the static pressure at which the lung holds `volume` above its end-expiratory one."""
        begun = self._volume(peep, x) + volume

        def excess(P):
            # The slight slope keeps the search going where the lung is full.
            return self._volume(P, self._opened(P, x)) - begun + 1e-4 * (P - peep)

        return find_root(excess, 0.0, _HIGHEST)

    def _held(self, peep):
        return norm.cdf((peep - self.opening_pressure + self.hysteresis) / self.opening_spread)
