"""Tidal volume that keeps the driving pressure at a target."""

from enum import IntEnum
from typing import ClassVar

import jax.numpy as jnp

from ....patient.require import number, require_settings
from ...bedside import Orders
from ...protocol import AbstractProtocol, setting
from ._weight import KNOWS, predicted_weight


class DrivingPressure(AbstractProtocol):
    """Volume = clip(target / elastance, 4 to 8 mL/kg); PEEP is left alone: driving pressure is for volume, not PEEP.

    References
    ----------
    .. [1] Amato MBP et al. Driving pressure and survival in ARDS. N Engl J Med 2015;372:747-755: the cut at 15 cmH2O.
    """

    source = "no trial protocol with exact steps was found; a rule of this library"
    gaps: ClassVar[tuple[str, ...]] = ("No trial printed exact steps: target, limits and interval are settings.",)
    reads = {"plateau_pressure": "cmH2O"}
    gives = {"tidal_volume": "mL", "respiratory_rate": "1/min", "peep": "cmH2O"}
    knows = KNOWS
    resolution = "30 min"

    target: float = setting(15.0, unit="cmH2O", about="driving pressure", source="Amato 2015 (web page)")
    least: float = setting(4.0, unit="mL/kg", about="smallest volume")
    most: float = setting(8.0, unit="mL/kg", about="largest volume")
    interval: float = setting(240.0, unit="min", about="between decisions")

    class Rule(IntEnum):
        """The rules."""

        target = 0
        unmeasured = 1

    class Cap(IntEnum):
        """The limits."""

        none = 0
        least = 1
        most = 2

    def __check_init__(self):
        """Refuse targets no ventilator should have."""
        require_settings(self, target=number(5.0, 25.0), least=number(2.0, 8.0), most=number(4.0, 12.0))

    def decide(self, bedside):  # noqa: D102
        pbw, set_now = predicted_weight(bedside), bedside.runs("tidal_volume")
        driving = bedside.seen("plateau_pressure").value - bedside.runs("peep")
        known = driving > 0.5
        wanted = set_now * self.target / jnp.where(known, driving, 1.0)
        least, most = self.least * pbw, self.most * pbw
        volume = jnp.where(known, jnp.clip(wanted, least, most), set_now)
        rate = jnp.clip(jnp.round(bedside.runs("respiratory_rate") * set_now / volume), 6.0, 35.0)
        cap = jnp.where(wanted < least, self.Cap.least, jnp.where(wanted > most, self.Cap.most, self.Cap.none))
        return Orders(
            {"tidal_volume": (volume, "mL"), "respiratory_rate": (rate, "1/min")},
            measure_in=self.interval,
            rule=jnp.where(known, self.Rule.target, self.Rule.unmeasured),
            cap=jnp.where(known, cap, self.Cap.none),
        )
