"""Where MIMIC charts ventilator settings, airway pressures, blood gases and saturation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Charted:
    """One variable in the chart.

    Attributes
    ----------
    items : tuple of int
        MetaVision (and MIMIC-IV) first, then CareVue.
    unit : str
        As charted; both systems agree where it is no fraction.
    """

    items: tuple[int, ...]
    unit: str


MEASURED = {
    "plateau_pressure": Charted((224696, 543), "cmH2O"),
    "peak_pressure": Charted((224695, 535), "cmH2O"),
    "mean_airway_pressure": Charted((224697, 444), "cmH2O"),
    "expired_tidal_volume": Charted((224685, 682), "mL"),
    "pulse_saturation": Charted((220277, 646), "%"),
    "arterial_oxygen": Charted((220224, 779), "mmHg"),
    "arterial_carbon_dioxide": Charted((220235, 778), "mmHg"),
    "arterial_pH": Charted((223830, 780), "1"),
}
# What is set; where no setting is charted at a time, what was measured then stands for it.
SETTINGS = {
    "peep": (Charted((220339, 506, 505), "cmH2O"), None),
    "tidal_volume": (Charted((224684, 683), "mL"), Charted((224685, 682), "mL")),
    "respiratory_rate": (Charted((224688, 619), "1/min"), Charted((224690, 615), "1/min")),
    "inspired_oxygen": (Charted((223835, 190, 3420), "1"), None),
}
# Laboratory items of blood gases, and the item that says which blood it was.
GASES = {"arterial_oxygen": 50821, "arterial_carbon_dioxide": 50818, "arterial_pH": 50820}
SPECIMEN, ARTERIAL = 50800, "ART"
