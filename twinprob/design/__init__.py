"""What to measure next: candidates, what each would teach, and their ranking.

Nothing here treats a patient; it only asks which measurement settles a question.
"""

from .candidate import Candidate, Choice, Future, Threshold
from .next_measurement import next_measurement
from .ranking import Ranking

__all__ = [
    "Candidate",
    "Choice",
    "Future",
    "Ranking",
    "Threshold",
    "next_measurement",
]
