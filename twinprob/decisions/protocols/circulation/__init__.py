"""Vasopressors and fluids by rule."""

from .fluid_by_responsiveness import FluidByResponsiveness
from .fluid_by_rule import FluidByRule
from .nurse_titration import NurseTitration
from .pi_controller import PIController

__all__ = ["FluidByResponsiveness", "FluidByRule", "NurseTitration", "PIController"]
