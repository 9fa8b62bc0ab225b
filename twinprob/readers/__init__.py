"""Readers: from a file or a database's tables to a `Record`, one file per source."""

from . import arterial, bedside, hemodynamics, mimic, tidy, ventilation, waveform

__all__ = ["arterial", "bedside", "hemodynamics", "mimic", "tidy", "ventilation", "waveform"]
