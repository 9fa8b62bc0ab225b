"""Inspired oxygen titrated to a band of saturation."""

from enum import IntEnum
from typing import Any, ClassVar

import jax.numpy as jnp

from ...bedside import Orders
from ...protocol import AbstractProtocol, setting


class SaturationTarget(AbstractProtocol):
    """FiO2 up below the band, down above it. The band has no default.

    `close` is 88–92 % (CLOSE pilot, n = 103: it reached 93.4 %, with 1 % of the time below 88), `iconic_low` 91–94 %,
    `iconic_high` 96–100 %.

    References
    ----------
    .. [1] Panwar R et al. Conservative versus liberal oxygenation targets. Am J Respir Crit Care Med 2016;193:43-51,
       doi:10.1164/rccm.201505-1019OC.
    .. [2] ICONIC, PMC10563190.
    """

    source = "bands: doi:10.1164/rccm.201505-1019OC and PMC10563190 (abstracts); steps are settings of this library"
    gaps: ClassVar[tuple[str, ...]] = ("How nurses moved FiO2 toward the band is not printed: steps are settings.",)
    reads = {"pulse_saturation": "%"}
    gives = {"inspired_oxygen": "1"}

    low: float = setting(unit="%", about="where the band begins; no default")
    high: float = setting(unit="%", about="where it ends; no default")
    step: float = setting(0.05, about="of FiO2 at once")
    far: float = setting(4.0, unit="%", about="below the band, from where the step is doubled")
    interval: float = setting(60.0, unit="min", about="between looks inside and above the band")
    soon: float = setting(15.0, unit="min", about="after saturation below the band")

    class Rule(IntEnum):
        """The rules."""

        inside = 0
        up = 1
        up_fast = 2
        down = 3

    class Cap(IntEnum):
        """The limits."""

        none = 0
        room_air = 1
        pure_oxygen = 2

    def __check_init__(self):
        """Refuse bands that are none."""
        if not 80.0 <= self.low < self.high <= 100.0:
            raise ValueError(
                f"The band of `SaturationTarget` must lie within 80 to 100 %, low before high, but is {self.low:g} to "
                f"{self.high:g}: `SaturationTarget.close()` is 88 to 92."
            )

    @classmethod
    def close(cls, **settings: Any) -> "SaturationTarget":
        """Return the conservative arm of the CLOSE pilot, 88 to 92 %."""
        return cls(low=88.0, high=92.0, **settings)

    @classmethod
    def iconic_low(cls, **settings: Any) -> "SaturationTarget":
        """Return the low arm of ICONIC, 91 to 94 %."""
        return cls(low=91.0, high=94.0, **settings)

    @classmethod
    def iconic_high(cls, **settings: Any) -> "SaturationTarget":
        """Return the high arm of ICONIC, 96 to 100 %."""
        return cls(low=96.0, high=100.0, **settings)

    def decide(self, bedside):  # noqa: D102
        now, oxygen = bedside.seen("pulse_saturation").value, bedside.runs("inspired_oxygen")
        below, above, far = now < self.low, now > self.high, now < self.low - self.far
        move = jnp.where(far, 2.0, jnp.where(below, 1.0, jnp.where(above, -1.0, 0.0)))
        wanted = oxygen + move * self.step
        rule = jnp.where(above, self.Rule.down, self.Rule.inside)
        rule = jnp.where(far, self.Rule.up_fast, jnp.where(below, self.Rule.up, rule))
        cap = jnp.where(wanted < 0.21 - 1e-9, self.Cap.room_air, self.Cap.none)
        return Orders(
            {"inspired_oxygen": (jnp.clip(wanted, 0.21, 1.0), "1")},
            measure_in=jnp.where(below, self.soon, self.interval),
            rule=rule,
            cap=jnp.where(wanted > 1.0 + 1e-9, self.Cap.pure_oxygen, cap),
        )
