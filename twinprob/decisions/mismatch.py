"""The menu of model errors: what may be otherwise than a controller believes, each alone and all together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

from ..modeling.observation import Gaussian
from ..models.metabolic import ICING
from ..models.metabolic.icing import SECRETION_LIN
from .virtual_patients import VirtualPatients
from .world import Measuring, World


@dataclass(frozen=True)
class Mismatch:
    """One error of the model that a trial puts in.

    Parameters
    ----------
    about : str
        What is otherwise.
    plant : function of the plant, optional
        Returns the plant that the patients are of.
    scaled : mapping of str to float
        Factors on parameters.
    stepped : (hour, mapping of str to float), optional
        Factors on moving parameters from an hour on.
    restless : float
        How many times as far paths move.
    measuring : mapping of str to mapping
        Fields of `Measuring` by variable.
    undelivered, interval : float
        As in `Delivery` and `World`.
    uncharted : mapping of str to (float, str)
    """

    about: str
    plant: Callable[[Any], Any] | None = None
    scaled: Mapping[str, float] = field(default_factory=dict)
    stepped: tuple[float, Mapping[str, float]] | None = None
    restless: float = 1.0
    measuring: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    undelivered: float = 0.0
    uncharted: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    interval: float = 1.0

    def put(self, patients: VirtualPatients, world: World) -> tuple[VirtualPatients, World]:
        """Return the patients and the world with this error in them."""
        if self.restless != 1.0:
            patients = patients.restless(self.restless)
        if self.scaled:
            patients = patients.scaled(**self.scaled)
        if self.stepped is not None:
            patients = patients.stepped(self.stepped[0], **self.stepped[1])
        if self.plant is not None:
            patients = patients.as_model(self.plant(patients.model))
        measuring = dict(world.measuring)
        for name, fields in self.measuring.items():
            measuring[name] = replace(measuring.get(name, Measuring()), **fields)
        undelivered = 1.0 - (1.0 - world.delivery.undelivered) * (1.0 - self.undelivered)
        charted = {name: (world.uncharted[name], unit) for name, unit in world.units}
        return patients, World(
            measuring=measuring,
            delivery=replace(world.delivery, undelivered=undelivered),
            uncharted={**charted, **self.uncharted},
            interval=world.interval * self.interval,
        )


def together(mismatches: Mapping[str, Mismatch]) -> "Together":
    """Return several errors as one."""
    return Together(tuple(mismatches.values()))


@dataclass(frozen=True)
class Together:
    """Several errors at once, in their order."""

    parts: tuple[Mismatch, ...]

    @property
    def about(self) -> str:
        """All of them in words."""
        return "; ".join(part.about for part in self.parts)

    def put(self, patients: VirtualPatients, world: World) -> tuple[VirtualPatients, World]:
        """Return the patients and the world with all errors in them."""
        return reduce(lambda there, part: part.put(*there), self.parts, (patients, world))


def _lin(plant: ICING) -> ICING:
    return replace(ICING.lin2011(), unknown=plant.unknown, priors=plant.priors, motions=plant.motions)


def _exponential(plant: ICING) -> ICING:
    return replace(plant, secretion=SECRETION_LIN)


def _meter(cv: float) -> Mismatch:
    return Mismatch(f"meter of CV {100 * cv:g} %", measuring={"glucose": {"noise": Gaussian(relative=cv)}})


# Those demanded of an insulin trial; the step comes after a day, so that a controller has settled.
INSULIN: Mapping[str, Mismatch] = {
    "other parameter set": Mismatch("plant of Lin 2011, controller of 2016", plant=_lin),
    "other secretion": Mismatch("secretion falling with insulin, not rising with glucose", plant=_exponential),
    "sensitivity falls": Mismatch("sensitivity -60 % from 24 h on", stepped=(24.0, {"insulin_sensitivity": 0.4})),
    "sensitivity high": Mismatch("sensitivity +20 %", scaled={"insulin_sensitivity": 1.2}),
    "sensitivity low": Mismatch("sensitivity -20 %", scaled={"insulin_sensitivity": 0.8}),
    "restless x1.5": Mismatch("sensitivity moves 1.5 times as far", restless=1.5),
    "restless x2": Mismatch("sensitivity moves twice as far", restless=2.0),
    "uncharted glucose": Mismatch("10 g/h of glucose nobody charted", uncharted={"parenteral_glucose": (10.0, "g/h")}),
    "meter 2 %": _meter(0.02),
    "meter 7 %": _meter(0.07),
    "meter 15 %": _meter(0.15),
    "late": Mismatch("results 0 to 30 min late", measuring={"glucose": {"latest": 30.0}}),
    "lost": Mismatch("10 % of samples lost", measuring={"glucose": {"lost": 0.1}}),
    "not given": Mismatch("5 % of doses charted and not given", undelivered=0.05),
    "half as often": Mismatch("measured half as often as ordered", interval=2.0),
}
# All at once: of each pair that excludes the other, the one that endangers more.
_BOTH = ("sensitivity low", "restless x1.5", "meter 2 %", "meter 7 %", "other secretion")
INSULIN_TOGETHER = together({name: m for name, m in INSULIN.items() if name not in _BOTH})
__all__ = ["INSULIN", "INSULIN_TOGETHER", "Mismatch", "Together", "together"]
