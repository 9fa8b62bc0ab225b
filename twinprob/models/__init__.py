"""The physiological models, one file each, grouped by domain."""

from . import metabolic

__all__ = ["metabolic"]
