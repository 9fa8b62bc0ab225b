"""Norepinephrine as people titrate it: at visits, in pump steps, inside a dead band."""

from enum import IntEnum
from typing import ClassVar

import jax.numpy as jnp

from ....patient.require import number, require_settings
from ...bedside import Orders
from ...protocol import AbstractProtocol, setting

_WEB = "web rules that differ ten-fold; chosen here"


class NurseTitration(AbstractProtocol):
    """A step up below the band, a step down above it, at each visit.

    No standard exists. Manual arms are in target about half the time: 42 [22-65] % in a randomized trial of closed
    loops, "about 50 % outside" elsewhere; an arm with 80 % is a wrong nurse. The visits and the step are settings and
    not calibrated to that: on 200 patients of `VasopressorPressure` over 24 h this arm was in target a third of the
    time.
    """

    source = "no printed rule; the share of time in target is that of manual arms (abstracts)"
    gaps: ClassVar[tuple[str, ...]] = ("No standard exists: rules on the web differ ten-fold. One setting is shipped.",)
    reads = {"mean_arterial_pressure": "mmHg"}
    gives = {"norepinephrine": "ug/kg/min"}
    resolution = "5 min"

    low: float = setting(65.0, unit="mmHg", about="where the dead band begins")
    high: float = setting(75.0, unit="mmHg", about="where it ends")
    visit: float = setting(30.0, unit="min", about="between visits", source=_WEB)
    soon: float = setting(15.0, unit="min", about="until the next visit after a change", source=_WEB)
    step: float = setting(0.03, unit="ug/kg/min", about="up at once", source=_WEB)
    down: float = setting(0.02, unit="ug/kg/min", about="down at once", source=_WEB)
    pump: float = setting(0.01, unit="ug/kg/min", about="smallest step of the pump", source=_WEB)
    most: float = setting(1.0, unit="ug/kg/min", about="largest rate", source=_WEB)

    class Rule(IntEnum):
        """The rules."""

        inside = 0
        up = 1
        down = 2

    class Cap(IntEnum):
        """The limits."""

        none = 0
        most = 1
        off = 2

    def __check_init__(self):
        """Refuse settings no bedside has."""
        require_settings(self, low=number(40.0, 110.0), high=number(45.0, 130.0), visit=number(5.0, 240.0))
        require_settings(self, step=number(0.001, 0.5), down=number(0.001, 0.5), pump=number(0.001, 0.1))

    def aims(self):  # noqa: D102
        return {"mean_arterial_pressure": 0.5 * (self.low + self.high)}

    def decide(self, bedside):  # noqa: D102
        pressure, rate = bedside.seen("mean_arterial_pressure").value, bedside.runs("norepinephrine")
        low, high = pressure < self.low, pressure > self.high
        wanted = rate + jnp.where(low, self.step, jnp.where(high, -self.down, 0.0))
        wanted = jnp.round(wanted / self.pump) * self.pump
        off = high & (rate <= 0.0)
        return Orders(
            {"norepinephrine": (jnp.clip(wanted, 0.0, self.most), "ug/kg/min")},
            measure_in=jnp.where(low | (high & ~off), self.soon, self.visit),
            rule=jnp.where(low, self.Rule.up, jnp.where(high, self.Rule.down, self.Rule.inside)),
            cap=jnp.where(wanted > self.most, self.Cap.most, jnp.where(off, self.Cap.off, self.Cap.none)),
        )
