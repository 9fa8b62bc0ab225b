"""Mechanics breath by breath: estimates, how they move, and what a chart would show of them.

`models.respiratory.breaths` cuts a waveform into breaths; here each becomes elastance, resistance and PEEP.
"""

from .breath_chart import chart_breaths
from .estimates import BreathFit, Pooled, circuit_compliance, estimate, pool
from .tracking import Belief, Tracking, update_breath

__all__ = [
    "Belief",
    "BreathFit",
    "Pooled",
    "Tracking",
    "chart_breaths",
    "circuit_compliance",
    "estimate",
    "pool",
    "update_breath",
]
