"""Septic shock and its treatment: vasopressors and fluids, from what is given to what the circulation feels."""

from .baroreflex import VagalPressure
from .fluids import VolumeKinetics
from .lactate import Lactate
from .norepinephrine import Norepinephrine
from .pressure import VasopressorPressure

__all__ = ["Lactate", "Norepinephrine", "VagalPressure", "VasopressorPressure", "VolumeKinetics"]
