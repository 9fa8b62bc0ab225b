"""The flow of a model over the segments of a patient, and the only file that integrates.

Everything that moves in time, forward or by gradients, goes through `segments` and `simulate`.
"""

from .simulate import Adaptive, FixedStep, Trajectory, simulate

__all__ = [
    "Adaptive",
    "FixedStep",
    "Trajectory",
    "simulate",
]
