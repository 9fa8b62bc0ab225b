"""The flow of a model over the segments of a patient, and the only files that integrate.

Everything that moves in time, forward or by gradients, goes through `segments` and `simulate`;
`integrators` and `rosenbrock` cross one segment.
"""

from .integrators import Adaptive, FixedStep
from .rosenbrock import Rosenbrock
from .simulate import Trajectory, simulate

__all__ = [
    "Adaptive",
    "FixedStep",
    "Rosenbrock",
    "Trajectory",
    "simulate",
]
