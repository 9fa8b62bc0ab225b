"""The circulation: beat by beat, at the bedside, and the arterial load alone."""

from .preload import Preload
from .smith import SixChamber
from .three_chamber import ThreeChamber
from .windkessel import Windkessel2, Windkessel3, Windkessel4

__all__ = ["Preload", "SixChamber", "ThreeChamber", "Windkessel2", "Windkessel3", "Windkessel4"]
