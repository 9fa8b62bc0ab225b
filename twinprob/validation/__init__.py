"""Forecasts scored against what came, and calibration on simulated patients.

Every score has its simple rival beside it.
"""

from .calibrate import Calibration, calibrate
from .evaluate import Evaluation, evaluate
from .score import Scores, score

__all__ = [
    "Calibration",
    "Evaluation",
    "Scores",
    "calibrate",
    "evaluate",
    "score",
]
