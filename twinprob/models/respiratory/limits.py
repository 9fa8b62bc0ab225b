"""The limits of ventilation that decisions name, with where each comes from and how sure that is."""

from typing import NamedTuple


class Limit(NamedTuple):
    """One limit.

    Attributes
    ----------
    event : str
        What should not happen, as `tp.risk` reads it.
    source : str
        Who set it.
    """

    event: str
    source: str


PLATEAU = Limit(
    "plateau_pressure > 30 cmH2O", "Surviving Sepsis Campaign 2012, restated in PMC4428140; as a risk limit a setting"
)
DRIVING = Limit("driving_pressure > 15 cmH2O", "Amato et al. 2015; setting, from memory")
POWER = Limit(
    "mechanical_power > 17 J/min",
    "power goes with outcome, doi:10.1007/s00134-018-5375-6; the cut is a setting, from memory",
)
SATURATION = Limit("pulse_saturation < 88 %", "ARDS Network 2000; setting, from memory")
LIMITS = (PLATEAU, DRIVING, POWER, SATURATION)
LEAST_VOLUME, MOST_VOLUME = 4.0, 8.0  # mL per kg of predicted weight, ARDS Network 2000; settings, from memory


def volume_per_weight(tidal_volume: float, predicted_weight: float) -> float:
    """Return the tidal volume in mL per kg of predicted body weight.

    Parameters
    ----------
    tidal_volume : float, L
    predicted_weight : float, kg
        From `mechanics.predicted_weight`.

    Raises
    ------
    ValueError
        If the weight is not above zero, or the volume is above 3, which is no liter.

    Examples
    --------
    >>> round(volume_per_weight(0.42, 70.6), 2)
    5.95
    """
    if not predicted_weight > 0:
        raise ValueError(f"Argument `predicted_weight` must be above zero, but is {predicted_weight:g} kg.")
    if tidal_volume > 3.0:
        raise ValueError(
            f"Argument `tidal_volume` must be in L, but is {tidal_volume:g}; a volume in mL is to be divided by 1000."
        )
    return 1000.0 * tidal_volume / predicted_weight
