"""What should be done, would it work, and is trouble coming: rules, trials of them on virtual patients, alarms.

A rule sees what a bedside has, never the truth; a trial scores it on the truth, every arm on the same patients.
"""

import importlib
from typing import TYPE_CHECKING, Any

from . import mismatch
from .abstention import Effect, Reason
from .bedside import Bedside, Bolus, Orders, Seen
from .causes import Cause, Explanation, explain
from .goal import Cap, Goal, Grid, grid
from .mismatch import Mismatch
from .monitor import Alarm, Monitor, Policy, Said, Watching, monitor
from .protocol import AbstractProtocol, setting
from .recommend import recommend
from .recommendation import Option, Recommendation
from .trial import Trial, load_trial, trial
from .virtual_patients import VirtualPatients
from .world import Delivery, Measuring, World

if TYPE_CHECKING:
    from . import protocols

__all__ = [
    "AbstractProtocol",
    "Alarm",
    "Bedside",
    "Bolus",
    "Cap",
    "Cause",
    "Delivery",
    "Effect",
    "Explanation",
    "Goal",
    "Grid",
    "Measuring",
    "Mismatch",
    "Monitor",
    "Option",
    "Orders",
    "Policy",
    "Reason",
    "Recommendation",
    "Said",
    "Seen",
    "Trial",
    "VirtualPatients",
    "Watching",
    "World",
    "explain",
    "grid",
    "load_trial",
    "mismatch",
    "monitor",
    "protocols",
    "recommend",
    "setting",
    "trial",
]


def __getattr__(name: str) -> Any:
    """Import the shipped protocols when they are used: each asks pint about its units."""
    if name == "protocols":
        return importlib.import_module(".protocols", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
