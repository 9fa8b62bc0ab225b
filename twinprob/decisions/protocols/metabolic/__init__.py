"""Insulin and nutrition by rule."""

from .fixed_rate import FixedRate
from .leuven import Leuven
from .star_like import StarLike
from .washington_columns import WashingtonColumns
from .yale_2005 import Yale2005
from .yale_2012 import Yale2012

__all__ = ["FixedRate", "Leuven", "StarLike", "WashingtonColumns", "Yale2005", "Yale2012"]
