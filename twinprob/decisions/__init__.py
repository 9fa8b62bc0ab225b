"""What should be done, and would it work: rules of the bedside, and trials of them on virtual patients.

A rule sees what a bedside has, never the truth; a trial scores it on the truth, every arm on the same patients.
"""

from . import protocols
from .bedside import Bedside, Bolus, Orders, Seen
from .protocol import AbstractProtocol, setting

__all__ = ["AbstractProtocol", "Bedside", "Bolus", "Orders", "Seen", "protocols", "setting"]
