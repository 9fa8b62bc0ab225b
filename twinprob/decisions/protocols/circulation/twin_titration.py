"""Norepinephrine by a small twin carried along: what this patient's pressure is without it, and what it adds."""

import math
from enum import IntEnum
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.scipy.stats import norm
from jaxtyping import Array

from ....patient.require import number, require_settings
from ...bedside import Orders
from ...protocol import AbstractProtocol, setting

_MODEL = "what `VasopressorPressure` declares"
_OUALHA = "doi:10.1111/bcp.12412, Table 3"


class TwinTitration(AbstractProtocol):
    """The rate with the least expected cost under what a Kalman filter has learned of this patient.

    ====== ======================== ===================================================================================
    symbol field                    equation
    ====== ======================== ===================================================================================
    u      `State.effect`           du/dt = k_e (rate - u)
    L      `State.mean[0]`          level without the drug, a random walk
    s      `State.mean[1]`          swing, an Ornstein-Uhlenbeck path around 0
    g      `State.mean[2]`          greatest rise by the drug, constant
    P                               P = L + s + g u / (half_rate + u) + noise: linear in L, s and g, so that the filter
                                    is exact for this model
    ====== ======================== ===================================================================================

    The cost of a rate is E[(P - target)^2] + `low_worth` E[max(0, limit - P)]^2 at the horizon, the uncertainty of g in
    it: a patient of unknown response gets smaller steps.
    """

    source = "a rule of this library; its believed model is that of `VasopressorPressure`"
    gaps: ClassVar[tuple[str, ...]] = ("No device prints its rule: all settings are of this library.",)
    reads = {"mean_arterial_pressure": "mmHg"}
    gives = {"norepinephrine": "ug/kg/min"}
    resolution = "5 min"

    target: float = setting(70.0, unit="mmHg", about="mean arterial pressure")
    limit: float = setting(65.0, unit="mmHg", about="below which time costs more")
    low_worth: float = setting(4.0, about="weight of the squared expected shortfall")
    interval: float = setting(5.0, unit="min", about="between decisions")
    horizon: float = setting(10.0, unit="min", about="at which a rate is judged")
    most: float = setting(1.0, unit="ug/kg/min", about="largest rate", static=True)
    step: float = setting(0.01, unit="ug/kg/min", about="of the pump", static=True)
    most_change: float = setting(0.1, unit="ug/kg/min", about="largest change at once")
    half_rate: float = setting(0.156, unit="ug/kg/min", about="rate of half the rise", source=_OUALHA)
    effect_rate: float = setting(math.log(2) / 3.5, unit="1/min", about="k_e", source=_MODEL)
    level: float = setting(65.0, unit="mmHg", about="level believed at first", source=_MODEL)
    level_sd: float = setting(11.0, unit="mmHg", about="its uncertainty", source=_MODEL)
    level_walk: float = setting(2.5, unit="mmHg", about="its walk in an hour", source=_MODEL)
    swing_sd: float = setting(8.0, unit="mmHg", about="of the swing", source=_MODEL)
    swing_time: float = setting(90.0, unit="min", about="in which the swing forgets", source=_MODEL)
    rise: float = setting(15.0, unit="mmHg", about="greatest rise believed at first", source=_MODEL)
    rise_sd: float = setting(12.0, unit="mmHg", about="its uncertainty", source=_MODEL)
    noise: float = setting(5.0, unit="mmHg", about="of a charted pressure", source=_MODEL)

    class Rule(IntEnum):
        """The rule."""

        least_cost = 0

    class Cap(IntEnum):
        """The limits."""

        none = 0
        change = 1
        most = 2

    class State(eqx.Module):
        """The filter: mean and covariance of level, swing and rise; the drug's effect; when that was."""

        mean: Array
        covariance: Array
        effect: Array  # ug/kg/min
        time: Array  # min

    def __check_init__(self):
        """Refuse a filter that cannot run."""
        require_settings(self, target=number(40.0, 120.0), limit=number(30.0, 110.0), noise=number(0.1, 50.0))
        require_settings(self, most=number(0.01, 10.0), step=number(0.001, 1.0), swing_time=number(1.0))

    def aims(self):  # noqa: D102
        return {"mean_arterial_pressure": self.target}

    def start(self):  # noqa: D102
        spread = jnp.stack([jnp.asarray(s, float) for s in (self.level_sd, self.swing_sd, self.rise_sd)])
        mean = jnp.stack([jnp.asarray(m, float) for m in (self.level, 0.0, self.rise)])
        return self.State(mean, jnp.diag(spread**2), jnp.zeros(()), jnp.zeros(()))

    def ahead(self, mean, covariance, minutes):
        """Return mean and covariance after some minutes."""
        kept = jnp.exp(-minutes / self.swing_time)
        move = jnp.stack([jnp.ones_like(kept), kept, jnp.ones_like(kept)])
        added = jnp.stack(
            [self.level_walk**2 * minutes / 60.0, self.swing_sd**2 * (1.0 - kept**2), jnp.zeros_like(kept)]
        )
        return move * mean, covariance * move[:, None] * move[None, :] + jnp.diag(added)

    def loading(self, effect):
        """Return how level, swing and rise make pressure at an effect."""
        share = effect / (self.half_rate + effect)
        return jnp.stack([jnp.ones_like(share), jnp.ones_like(share), share], axis=-1)

    def learned(self, mean, covariance, effect, pressure):
        """Return mean and covariance after one charted pressure; a wild one counts as three deviations."""
        by = self.loading(effect)
        variance = by @ covariance @ by + self.noise**2
        surprise = pressure - by @ mean
        surprise = jnp.clip(surprise, -3.0 * jnp.sqrt(variance), 3.0 * jnp.sqrt(variance))
        gain = covariance @ by / variance
        return mean + gain * surprise, covariance - jnp.outer(gain, gain) * variance

    def decide(self, bedside):  # noqa: D102
        state, rate, seen = bedside.state, bedside.runs("norepinephrine"), bedside.seen("mean_arterial_pressure")
        passed = jnp.maximum(seen.time - state.time, 0.0)
        effect = rate + (state.effect - rate) * jnp.exp(-self.effect_rate * passed)
        mean, covariance = self.ahead(state.mean, state.covariance, passed)
        mean, covariance = self.learned(mean, covariance, effect, seen.value)
        rates = self.step * jnp.arange(round(self.most / self.step) + 1)
        cost = self._costs(mean, covariance, effect, rates)
        allowed = jnp.abs(rates - rate) <= self.most_change + 1e-9
        chosen = jnp.argmin(jnp.where(allowed, cost, jnp.inf))
        free = jnp.argmin(cost)
        at_most = rates[chosen] >= rates[-1]
        return Orders(
            {"norepinephrine": (rates[chosen], "ug/kg/min")},
            measure_in=self.interval,
            rule=self.Rule.least_cost,
            cap=jnp.where(chosen != free, self.Cap.change, jnp.where(at_most, self.Cap.most, self.Cap.none)),
            state=self.State(mean, covariance, effect, jnp.asarray(seen.time)),
        )

    def _costs(self, mean, covariance, effect, rates):
        """Return the expected cost of each rate at the horizon."""
        mean, covariance = self.ahead(mean, covariance, jnp.asarray(self.horizon, float))
        by = self.loading(rates + (effect - rates) * jnp.exp(-self.effect_rate * self.horizon))
        pressure = by @ mean
        spread = jnp.sqrt(jnp.einsum("ri,ij,rj->r", by, covariance, by))
        below = (self.limit - pressure) / spread
        shortfall = spread * (norm.pdf(below) + below * norm.cdf(below))
        return (pressure - self.target) ** 2 + spread**2 + self.low_worth * shortfall**2
