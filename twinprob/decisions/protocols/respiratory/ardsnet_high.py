"""ARDSNet with the list of higher PEEP."""

from ...protocol import MEMORY, setting
from ._ardsnet import CARD, GAPS, PAGE, AbstractARDSNet


class ARDSNetHigh(AbstractARDSNet):
    """The card's higher-PEEP list, as a state machine over its places.

    ====== == == == == == == == == == == == == == == == ==
    FiO2   .3 .3 .3 .3 .3 .4 .4 .5 .5 .5 .6 .7 .8 .8 .9 1  1
    PEEP   5  8  10 12 14 14 15 16 18 20 20 20 20 22 22 22 24
    ====== == == == == == == == == == == == == == == == ==

    References
    ----------
    .. [1] Brower RG et al. Higher versus lower positive end-expiratory pressures in patients with ARDS. N Engl J Med
       2004;351:327-336; the card of the NHLBI ARDS Network.
    """

    source = f"{CARD}; the list of higher PEEP in one print only"
    gaps = (
        *GAPS,
        "PEEP at the second FiO2 of 0.4 is printed as 15; 16 is remembered: a setting.",
        "FiO2 '0.5 to 0.8' at PEEP 20 is walked in steps of 0.1.",
    )
    LIST = (
        (0.3, 5), (0.3, 8), (0.3, 10), (0.3, 12), (0.3, 14), (0.4, 14), (0.4, 15), (0.5, 16), (0.5, 18), (0.5, 20),
        (0.6, 20), (0.7, 20), (0.8, 20), (0.8, 22), (0.9, 22), (1.0, 22), (1.0, 24),
    )  # fmt: skip

    interval: float = setting(120.0, unit="min", about="between decisions")
    steps: int = setting(1, about="places in the list at once", source=CARD)
    rate_step: float = setting(4.0, unit="1/min", about="change of the rate at once")
    peep_of_seventh: float = setting(
        15.0, unit="cmH2O", about="as printed; 16 is remembered", source=f"{PAGE}; {MEMORY}"
    )

    def pairs(self):  # noqa: D102
        return super().pairs().at[6, 1].set(self.peep_of_seventh)
