"""The physiological models, one file each, grouped by domain."""

from . import cardiovascular, metabolic, respiratory, sepsis

__all__ = ["cardiovascular", "metabolic", "respiratory", "sepsis"]
