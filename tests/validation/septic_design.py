"""The chart on which the bedside model of septic shock is calibrated by simulation (line 05.11)."""

import numpy as np

import twinprob as tp
from twinprob.readers.hemodynamics import NAMES


def septic_hours() -> tp.Record:
    """Return three hours of half-hourly pressures under three rates of norepinephrine and a bolus."""
    times = 30.0 * np.arange(1, 7)
    given = tp.Inputs.infusions(
        "norepinephrine",
        [0.0, 60.0, 120.0],
        [60.0, 120.0, np.inf],
        [0.1, 0.3, 0.15],
        "ug/kg/min",
        own=("norepinephrine",),
    )
    given = given | tp.Inputs.bolus("crystalloid", 90.0, 500.0, "mL", duration=30.0, own=("crystalloid",))
    seen = {"mean_arterial_pressure": (times, np.full(times.size, 65.0), "mmHg")}
    return tp.Record.build(seen, given, {"weight": (70.0, "kg")}, start=0.0, own=NAMES)
