"""Forecasts scored against what came, and calibration on simulated patients.

Every score has its simple rival beside it.
"""

from .alarms import Alarms, judge_alarms, opponents
from .calibrate import Calibration, calibrate
from .evaluate import Evaluation, evaluate
from .score import Scores, score

__all__ = [
    "Alarms",
    "Calibration",
    "Evaluation",
    "Scores",
    "calibrate",
    "evaluate",
    "judge_alarms",
    "opponents",
    "score",
]
