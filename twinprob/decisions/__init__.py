"""What should be done, and would it work: rules of the bedside, and trials of them on virtual patients.

A rule sees what a bedside has, never the truth; a trial scores it on the truth, every arm on the same patients.
"""

from . import protocols
from .abstention import Effect, Reason
from .bedside import Bedside, Bolus, Orders, Seen
from .goal import Cap, Goal, Grid, grid
from .protocol import AbstractProtocol, setting
from .recommend import recommend
from .recommendation import Option, Recommendation

__all__ = [
    "AbstractProtocol",
    "Bedside",
    "Bolus",
    "Cap",
    "Effect",
    "Goal",
    "Grid",
    "Option",
    "Orders",
    "Reason",
    "Recommendation",
    "Seen",
    "grid",
    "protocols",
    "recommend",
    "setting",
]
