"""What should be done, and would it work: rules of the bedside, and trials of them on virtual patients.

A rule sees what a bedside has, never the truth; a trial scores it on the truth, every arm on the same patients.
"""

from . import mismatch, protocols
from .bedside import Bedside, Bolus, Orders, Seen
from .mismatch import Mismatch
from .protocol import AbstractProtocol, setting
from .trial import Trial, load_trial, trial
from .virtual_patients import VirtualPatients
from .world import Delivery, Measuring, World

__all__ = [
    "AbstractProtocol",
    "Bedside",
    "Bolus",
    "Delivery",
    "Measuring",
    "Mismatch",
    "Orders",
    "Seen",
    "Trial",
    "VirtualPatients",
    "World",
    "load_trial",
    "mismatch",
    "protocols",
    "setting",
    "trial",
]
