"""A proportional-integral controller of norepinephrine, tuned for a dead time, that does not wind up."""

from enum import IntEnum
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from ....patient.require import number, require_settings
from ...bedside import Orders
from ...protocol import AbstractProtocol, setting


class PIController(AbstractProtocol):
    """Rate = gain · error + integral, with the gain that a lag with dead time allows; every minute.

    ======= =========================== ===============================================================================
    symbol  setting                     equation
    ======= =========================== ===============================================================================
    K       `process_gain`              rise of pressure per rate that the tuning believes
    T, L    `lag`, `dead_time`          of the pressure behind the rate
    T_c     `closed_loop`               wanted time constant of the loop
    K_c     gain                        K_c = T / (K (T_c + L))
    T_i     integral time               T_i = min(T, 4 (T_c + L))
    ======= =========================== ===============================================================================

    While the rate is at a limit, the integral follows it (back-calculation), so that it leaves the limit at once.

    References
    ----------
    .. [1] Skogestad S. Simple analytic rules for model reduction and PID controller tuning. J Process Control
       2003;13:291-309.
    """

    source = "tuning rule of Skogestad 2003 (from memory); the gains of published devices are not published"
    gaps: ClassVar[tuple[str, ...]] = ("No closed-loop device prints its gains: process gain and times are settings.",)
    reads = {"mean_arterial_pressure": "mmHg"}
    gives = {"norepinephrine": "ug/kg/min"}
    resolution = "1 min"

    target: float = setting(70.0, unit="mmHg", about="mean arterial pressure")
    process_gain: float = setting(60.0, unit="mmHg per ug/kg/min", about="K")
    lag: float = setting(5.0, unit="min", about="T")
    dead_time: float = setting(1.0, unit="min", about="L")
    closed_loop: float = setting(5.0, unit="min", about="T_c")
    most: float = setting(1.0, unit="ug/kg/min", about="largest rate")
    most_change: float = setting(0.05, unit="ug/kg/min", about="largest change in a minute")

    class Rule(IntEnum):
        """The rule."""

        control = 0

    class Cap(IntEnum):
        """The limits."""

        none = 0
        off = 1
        most = 2
        change = 3

    class State(eqx.Module):
        """The integral, as a rate; whether it began."""

        integral: Array  # ug/kg/min
        started: Array

    def __check_init__(self):
        """Refuse a tuning that cannot be computed."""
        require_settings(self, target=number(40.0, 120.0), process_gain=number(0.1), lag=number(0.1, 120.0))
        require_settings(self, dead_time=number(0.0, 60.0), closed_loop=number(0.1, 240.0), most=number(0.01, 10.0))

    def start(self):  # noqa: D102
        return self.State(jnp.zeros(()), jnp.zeros((), bool))

    def aims(self):  # noqa: D102
        return {"mean_arterial_pressure": self.target}

    def gains(self):
        """Return the proportional gain (ug/kg/min per mmHg) and the integral time (min)."""
        gain = self.lag / (self.process_gain * (self.closed_loop + self.dead_time))
        return gain, jnp.minimum(self.lag, 4.0 * (self.closed_loop + self.dead_time))

    def decide(self, bedside):  # noqa: D102
        state, rate = bedside.state, bedside.runs("norepinephrine")
        seen = bedside.seen("mean_arterial_pressure")
        passed = jnp.nan_to_num(jnp.minimum(seen.times[0] - seen.times[1], 10.0), nan=1.0)
        error, (gain, time) = self.target - seen.value, self.gains()
        before = jnp.where(state.started, state.integral, rate)
        integral = before + gain * passed * error / time
        wanted = gain * error + integral
        held = jnp.clip(wanted, rate - self.most_change, rate + self.most_change)
        given = jnp.clip(held, 0.0, self.most)
        cap = jnp.where(held != wanted, self.Cap.change, self.Cap.none)
        cap = jnp.where(held > self.most, self.Cap.most, jnp.where(held < 0.0, self.Cap.off, cap))
        return Orders(
            {"norepinephrine": (given, "ug/kg/min")},
            measure_in=1.0,
            rule=self.Rule.control,
            cap=cap,
            # Back-calculation: the integral that would have asked for what is given.
            state=self.State(integral + (given - wanted), jnp.ones_like(state.started)),
        )
