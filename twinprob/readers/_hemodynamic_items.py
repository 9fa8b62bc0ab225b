"""Where MIMIC charts pressures, flows, vasopressors and fluids, and which charted values are artefacts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Charted:
    """One measured variable in the chart.

    Attributes
    ----------
    items : tuple of int
        MetaVision (and MIMIC-IV) first, then CareVue.
    unit : str
        As charted.
    low, high : float
        A value outside is an artefact of the line (a flush, an open stopcock) or of the keyboard; settings of this
        library, not published.
    """

    items: tuple[int, ...]
    unit: str
    low: float
    high: float


MEASURED = {
    "mean_arterial_pressure": Charted((220052, 225312, 52, 6702, 6927), "mmHg", 20.0, 200.0),
    "systolic_pressure": Charted((220050, 225309, 51, 6701), "mmHg", 30.0, 280.0),
    "diastolic_pressure": Charted((220051, 225310, 8368, 8555), "mmHg", 10.0, 180.0),
    "cuff_mean_pressure": Charted((220181, 456), "mmHg", 20.0, 200.0),
    "central_venous_pressure": Charted((220074, 113), "mmHg", -5.0, 45.0),
    "heart_rate": Charted((220045, 211), "1/min", 20.0, 260.0),
    "cardiac_output": Charted((220088, 224842, 228369, 227543, 90, 89), "L/min", 0.5, 25.0),
}


@dataclass(frozen=True)
class Given:
    """One vasoactive drug in the chart.

    Attributes
    ----------
    items : tuple of int
        MetaVision (and MIMIC-IV) first, then CareVue.
    unit : str
        The unit a record holds.
    high : float
        In `unit`; a rate above it is a mistake of unit. Settings of this library, not published.
    """

    items: tuple[int, ...]
    unit: str
    high: float


DRUGS = {
    "norepinephrine": Given((221906, 30047, 30120), "ug/kg/min", 6.0),
    "vasopressin": Given((222315, 30051), "U/min", 1.5),
    "phenylephrine": Given((221749, 30127, 30128), "ug/kg/min", 20.0),
    "epinephrine": Given((221289, 30044, 30119, 30309), "ug/kg/min", 4.0),
    "dopamine": Given((221662, 30043, 30307), "ug/kg/min", 60.0),
}

# Items of intravenous volume, by what they are.
FLUIDS = {
    "crystalloid": (225158, 225828, 225159, 30018, 30021, 30020, 30058),
    "albumin": (220862, 220864, 225174, 30008, 30009),
    "blood": (225168, 220970, 225170, 225171, 30001, 30005, 30006),
}
HIGHEST_FLOW = 500.0  # mL/min; a rapid infuser, setting
BOLUS = "03-IV Fluid Bolus"  # charted as a push of one minute, whatever its volume
PUSH = 1.5  # min; an interval no longer than this has no stated duration
