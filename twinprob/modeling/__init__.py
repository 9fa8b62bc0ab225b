"""What a model's author meets: parameters, quantities, processes in time, noise.

An author writes one patient at one instant; time, batches and labels are supplied elsewhere.
"""

from .correlated import Correlated
from .couple import Coupled, couple
from .declarations import log10_normal
from .model import AbstractModel, covariate, parameter, quantity
from .observation import Contaminated, Gaussian, Multiplicative, Observation, Repeats, StudentT
from .process import OrnsteinUhlenbeck, RandomWalk

__all__ = [
    "AbstractModel",
    "Contaminated",
    "Correlated",
    "Coupled",
    "Gaussian",
    "Multiplicative",
    "Observation",
    "OrnsteinUhlenbeck",
    "RandomWalk",
    "Repeats",
    "StudentT",
    "couple",
    "covariate",
    "log10_normal",
    "parameter",
    "quantity",
]
