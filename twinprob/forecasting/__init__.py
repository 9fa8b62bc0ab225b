"""What comes next under given inputs, and how probable it is that a limit is crossed.

Every forecast carries its draws, its effective draws and the solves that failed.
"""

from .forecast import Forecast, forecast
from .plan import plan
from .recalibration import Recalibration, learn_recalibration, recalibrate
from .replay import Replay, replay
from .risk import Risk, risk
from .taught_file import load_recalibration, save_recalibration
from .warm import warm
from .watch import WATCHED, Watch

__all__ = [
    "WATCHED",
    "Forecast",
    "Recalibration",
    "Replay",
    "Risk",
    "Watch",
    "forecast",
    "learn_recalibration",
    "load_recalibration",
    "plan",
    "recalibrate",
    "replay",
    "risk",
    "save_recalibration",
    "warm",
]
