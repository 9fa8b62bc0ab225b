"""Ventilator settings by rule."""

from .ardsnet_high import ARDSNetHigh
from .ardsnet_low import ARDSNetLow
from .driving_pressure import DrivingPressure
from .minimal_elastance import MinimalElastance
from .saturation_target import SaturationTarget

__all__ = ["ARDSNetHigh", "ARDSNetLow", "DrivingPressure", "MinimalElastance", "SaturationTarget"]
