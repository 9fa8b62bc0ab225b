"""ARDSNet with the list of lower PEEP."""

from ...protocol import setting
from ._ardsnet import CARD, GAPS, AbstractARDSNet


class ARDSNetLow(AbstractARDSNet):
    """The card's lower-PEEP list, as a state machine over its places.

    ====== == == == == == == == == == == == == == == == == ==
    FiO2   .3 .4 .4 .5 .5 .6 .7 .7 .7 .8 .9 .9 .9 1  1  1  1
    PEEP   5  5  8  8  10 10 10 12 14 14 14 16 18 18 20 22 24
    ====== == == == == == == == == == == == == == == == == ==

    References
    ----------
    .. [1] ARDS Network. Ventilation with lower tidal volumes for acute lung injury and ARDS. N Engl J Med
       2000;342:1301-1308; the card of the NHLBI ARDS Network.
    """

    gaps = GAPS
    LIST = (
        (0.3, 5), (0.4, 5), (0.4, 8), (0.5, 8), (0.5, 10), (0.6, 10), (0.7, 10), (0.7, 12), (0.7, 14), (0.8, 14),
        (0.9, 14), (0.9, 16), (0.9, 18), (1.0, 18), (1.0, 20), (1.0, 22), (1.0, 24),
    )  # fmt: skip

    interval: float = setting(120.0, unit="min", about="between decisions")
    steps: int = setting(1, about="places in the list at once", source=CARD)
    rate_step: float = setting(4.0, unit="1/min", about="change of the rate at once")
