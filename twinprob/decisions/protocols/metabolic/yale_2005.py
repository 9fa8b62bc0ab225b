"""The Yale insulin infusion protocol, with the start of its 2005 update."""

import math
from typing import ClassVar

from ...protocol import MEMORY, setting
from ._yale import AbstractYale

_UP = math.inf
_TABLE = "PMC4991569 table 1, and an unofficial copy of Goldberg 2004 as corrected by Utah 2006"


class Yale2005(AbstractYale):
    """Glucose and its hourly change set the rate; whole mg/dL and mg/dL per hour.

    ============== ================ ================ ================ ============
    75 to lower    lower to upper   upper to 199     from 200         action
    ============== ================ ================ ================ ============
    –              –                up > 50          up               +2 steps
    –              up > 25          up 0–50          down 0–25        +1 step
    up             -25…+25          down 1–50        down 26–75       none
    down 0–25      down 26–50       down 51–75       down 76–100      -1 step
    down > 25      down > 50        down > 75        down > 100       hold 30 min, -2 steps
    ============== ================ ================ ================ ============

    `lower` and `upper` are 100 and 139 as printed; other targets move the borders of the bands: (120, 139) is the
    target of 120–140, (140, 140) that of 140 alone.

    References
    ----------
    .. [1] Goldberg PA et al. Implementation of a safe and effective insulin infusion protocol in a medical intensive
       care unit. Diabetes Care 2004;27:461-467.
    """

    source = _TABLE
    gaps: ClassVar[tuple[str, ...]] = (
        "Below 75 mg/dL nothing is printed: stopped, 25 g of glucose below 50, 12.5 g below 75, as in 2012.",
        "The hold at 75–99 mg/dL is printed for a fall of more than 25 in one copy, 50 in Utah's: 25.",
        "Changes and glucose between whole numbers are rounded to whole mg/dL.",
        "Steps are printed for rates to 6 and from 6.5 U/h: the larger one applies from 6.5 on; the others alike.",
        "'5 or more' from 25 U/h on is 5 U/h.",
        "Two-hourly measurement after three results in target is that of the 2012 update.",
        "Targets other than 100–139 move the borders of the bands; the sheets used for them are not printed.",
    )
    TABLE = ((_UP, _UP, 1, -25), (_UP, 26, -25, -50), (51, 0, -50, -75), (1, -25, -75, -100))
    STEPS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0)

    lower: float = setting(100.0, unit="mg/dL", about="where the target begins", source=_TABLE)
    upper: float = setting(139.0, unit="mg/dL", about="where it ends", source=_TABLE)
    start_divisor: float = setting(70.0, unit="mg/dL per U/h", about="first rate", source="2005 update, a copy")
    start_bolus_above: float = setting(150.0, unit="mg/dL", about="a first bolus above", source="2005 update, a copy")
    check_every: float = setting(30.0, unit="min", about="while stopped and below 90 mg/dL", source=_TABLE)
    restart_at: float = setting(100.0, unit="mg/dL", about="where the infusion begins again", source=_TABLE)
    restart_wait: float = setting(0.0, unit="min", about="from there to the restart", source=_TABLE)
    restart_share: float = setting(0.75, about="of the last rate", source=_TABLE)
    restart_share_after_low: float = setting(0.75, about="of the last rate after less than 75 mg/dL", source=MEMORY)

    @classmethod
    def aiming(cls, lower: float, upper: float) -> "Yale2005":
        """Return the sheet with its bands moved to another target (mg/dL): 100–139, 120–139 or 140 alone."""
        return cls(lower=lower, upper=upper, restart_at=lower)

    def edges(self):  # noqa: D102
        return (self.lower - 25.0, self.lower, self.upper + 1.0, 200.0)
