"""Readers: from a file or a database's tables to a `Record`, one file per source.

A reader says what it left out and why, and never guesses a unit.
"""

from . import arterial, bedside, eicu, hemodynamics, mimic, stream, tidy, ventilation, waveform, wide

__all__ = ["arterial", "bedside", "eicu", "hemodynamics", "mimic", "stream", "tidy", "ventilation", "waveform", "wide"]
