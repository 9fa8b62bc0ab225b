"""The physiological models, one file each, grouped by domain.

A file reads like the paper it implements; every parameter carries its unit, prior and source.
"""

from . import cardiovascular, metabolic, respiratory, sepsis

__all__ = ["cardiovascular", "metabolic", "respiratory", "sepsis"]
