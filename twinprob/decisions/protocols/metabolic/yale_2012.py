"""The Yale insulin infusion protocol of 2012, target 120 to 160 mg/dL."""

import math
from typing import ClassVar

from ...protocol import setting
from ._yale import AbstractYale

_NO = math.inf
_CODE = "Shetty 2012, Endocr Pract 18:363, read in damondouglas/yaleinsulindrip src/yaleinsulindrip.py"


class Yale2012(AbstractYale):
    """Glucose and its hourly change set the rate; whole mg/dL and mg/dL per hour.

    ============== ================ ================ ================ ============
    100–119        120–159          160–199          from 200         action
    ============== ================ ================ ================ ============
    –              –                > +60            rising           +2 steps
    –              > +40            0…+60            0…-20            +1 step
    rising         -20…+40          -1…-40           -21…-60          none
    0…-20          -21…-40          -41…-60          -61…-80          -1 step
    < -20          < -40            < -60            < -80            hold 30 min, -2 steps
    ============== ================ ================ ================ ============

    Below 100 mg/dL the infusion stops; at 140 or more it begins again after 30 min, at 50 % of the last rate where
    glucose had been below 75 mg/dL, else at 75 %.

    References
    ----------
    .. [1] Shetty S et al. Adapting to the new consensus guidelines for managing hyperglycemia during critical illness:
       the updated Yale insulin infusion protocol. Endocr Pract 2012;18:363-370.
    """

    source = _CODE
    gaps: ClassVar[tuple[str, ...]] = (
        "The public code leaves 200 mg/dL itself uncovered; it belongs to the last band here.",
        "The step between 6 and 6.5 U/h is not defined: the larger one applies from 6.5 on; the others alike.",
        "Changes and glucose between whole numbers are rounded to whole mg/dL.",
        "Half an ampoule is called 25 g in the code's text; 12.5 g is meant and given.",
        "The start is not in what was read: above the target, with BG/100 as bolus and as U/h, as in 2004.",
    )
    TABLE = ((_NO, _NO, 1, -20), (_NO, 41, -20, -40), (61, 0, -40, -60), (1, -20, -60, -80))
    STEPS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 4.0)

    lower: float = setting(120.0, unit="mg/dL", about="where the target begins", source=_CODE)
    upper: float = setting(160.0, unit="mg/dL", about="where it ends", source=_CODE)
    start_divisor: float = setting(100.0, unit="mg/dL per U/h", about="first rate", source="Goldberg 2004, a copy")
    start_bolus_above: float = setting(0.0, unit="mg/dL", about="a first bolus above", source="Goldberg 2004, a copy")
    check_every: float = setting(15.0, unit="min", about="while stopped and below 90 mg/dL", source=_CODE)
    restart_at: float = setting(140.0, unit="mg/dL", about="where the infusion begins again", source=_CODE)
    restart_wait: float = setting(30.0, unit="min", about="from there to the restart", source=_CODE)
    restart_share: float = setting(0.75, about="of the last rate", source=_CODE)
    restart_share_after_low: float = setting(0.5, about="of the last rate after less than 75 mg/dL", source=_CODE)

    def edges(self):  # noqa: D102
        return (100.0, 120.0, 160.0, 200.0)
