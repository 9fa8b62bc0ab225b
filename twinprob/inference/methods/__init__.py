"""Ways to infer: each a frozen value of settings whose `sample` draws from a `Joint`, one file per method."""

from .filter import Filter
from .laplace import Laplace
from .nuts import NUTS
from .smc import SMC
from .variational import Variational

__all__ = ["NUTS", "SMC", "Filter", "Laplace", "Variational"]
