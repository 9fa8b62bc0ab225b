"""Mechanics breath by breath: estimates, how they move, and what a chart would show of them.

`models.respiratory.breaths` cuts a waveform into breaths; here each becomes elastance, resistance and PEEP, and a whole
recording the compliance of the lung without that of the tubing.
"""

from .apparatus import (
    Apparatus,
    Circuit,
    Compliance,
    Slow,
    circuit_compliance,
    lung_compliance,
    slow_compliance,
)
from .breath_chart import chart_breaths
from .estimates import BreathFit, Pooled, estimate, pool
from .tracking import Belief, Tracking, update_breath

__all__ = [
    "Apparatus",
    "Belief",
    "BreathFit",
    "Circuit",
    "Compliance",
    "Pooled",
    "Slow",
    "Tracking",
    "chart_breaths",
    "circuit_compliance",
    "estimate",
    "lung_compliance",
    "pool",
    "slow_compliance",
    "update_breath",
]
