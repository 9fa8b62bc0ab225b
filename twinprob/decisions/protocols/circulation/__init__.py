"""Vasopressors and fluids by rule."""

from .fluid_by_responsiveness import FluidByResponsiveness
from .fluid_by_rule import FluidByRule
from .nurse_titration import NurseTitration
from .pi_controller import PIController
from .twin_titration import TwinTitration

__all__ = ["FluidByResponsiveness", "FluidByRule", "NurseTitration", "PIController", "TwinTitration"]
