"""What lies between a bedside and the truth: measurements, delivery, and what nobody charts; all declared."""

from collections.abc import Mapping

import equinox as eqx

from ..modeling.observation import AbstractNoise
from ..patient.require import number, require_kind, require_settings
from .bedside import require_unit


class Measuring(eqx.Module):
    """How one variable reaches the bedside.

    Parameters
    ----------
    noise : AbstractNoise, optional
        In the output's unit; as the patients say where not given. A meter of CV 15 % is `Gaussian(relative=0.15)`.
    earliest, latest : float, min
        Delay from the sample to its result, uniform between the two.
    lost : float
        Share of samples that give no result; the next one is drawn at the trial's next step.
    """

    noise: AbstractNoise | None = None
    earliest: float = 0.0
    latest: float = 0.0
    lost: float = 0.0

    def __check_init__(self):
        """Refuse delays before the sample and shares that are none."""
        require_kind("noise", self.noise, AbstractNoise, None)
        require_settings(self, earliest=number(0.0, 1440.0), latest=number(0.0, 1440.0), lost=number(0.0, 0.95))
        if self.latest < self.earliest:
            raise ValueError(f"A result cannot come at the latest after {self.latest:g} min, before the earliest.")


class Delivery(eqx.Module):
    """How what is ordered reaches the patient.

    Parameters
    ----------
    undelivered : float
        Share of decisions that are charted and not given: nothing runs of what was ordered, boluses included, until
        the next decision; a setting stays as it was.
    bag_every, bag_minutes : mapping of str to float
        Of an input: how often its bag is changed (h), and how long nothing runs then (min).
    """

    undelivered: float = 0.0
    bag_every: dict[str, float] = eqx.field(default_factory=dict)
    bag_minutes: dict[str, float] = eqx.field(default_factory=dict)

    def __check_init__(self):
        """Refuse shares that are none and bags without a time."""
        require_settings(self, undelivered=number(0.0, 1.0))
        if set(self.bag_every) != set(self.bag_minutes):
            raise ValueError("`bag_every` and `bag_minutes` must name the same inputs.")


class World(eqx.Module):
    """Everything between a bedside and the truth.

    Parameters
    ----------
    measuring : mapping of str to Measuring
        By variable; others are measured as the patients say, at once.
    delivery : Delivery
    uncharted : mapping of str to (float, str)
        What runs beside all orders and is charted nowhere: value and unit by input.
    interval : float
        Times as long as ordered until the next measurement: 2 is half as many visits.
    """

    measuring: dict[str, Measuring] = eqx.field(default_factory=dict)
    delivery: Delivery = eqx.field(default_factory=Delivery)
    uncharted: dict[str, float] = eqx.field(default_factory=dict)
    units: tuple[tuple[str, str], ...] = eqx.field(static=True, default=())
    interval: float = 1.0

    def __init__(
        self,
        *,
        measuring: Mapping[str, Measuring] | None = None,
        delivery: Delivery | None = None,
        uncharted: Mapping[str, tuple[float, str]] | None = None,
        interval: float = 1.0,
    ):
        self.measuring, self.interval = dict(measuring or {}), float(interval)
        self.delivery = Delivery() if delivery is None else delivery
        for name, (_, unit) in (uncharted or {}).items():
            require_unit(name, unit, "input")
        self.uncharted = {name: float(value) for name, (value, _) in (uncharted or {}).items()}
        self.units = tuple((name, unit) for name, (_, unit) in (uncharted or {}).items())

    def __check_init__(self):
        """Refuse what is no process of measurement, and an interval that is none."""
        for name, how in self.measuring.items():
            require_kind(f"measuring[{name!r}]", how, Measuring)
        require_settings(self, interval=number(0.1, 100.0))
