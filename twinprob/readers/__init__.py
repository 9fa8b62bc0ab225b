"""Readers: from a file or a database's tables to a `Record`, one file per source."""

from . import mimic, tidy, waveform

__all__ = ["mimic", "tidy", "waveform"]
