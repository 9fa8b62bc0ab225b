"""The physiological models, one file each, grouped by domain."""

from . import metabolic, respiratory

__all__ = ["metabolic", "respiratory"]
