"""Glucose and insulin: stress hyperglycemia and its control."""

from .charted import ChartedICING
from .icing import ICING
from .minimal import MinimalModel
from .oral import OralMinimalModel

__all__ = ["ICING", "ChartedICING", "MinimalModel", "OralMinimalModel"]
