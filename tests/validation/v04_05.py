"""The published table of the healthy and of three severities of ARDS, from one severity-ordered parameter set."""

import jax
import numpy as np

import twinprob as tp
from tests.validation import Result

# ../shared/domains/respiratory.md, section 5 (the table of Pulse's documentation): tidal volume L, rate 1/min, FiO2.
SETTINGS = {
    "healthy": (0.527, 15.0, 0.3),
    "mild": (0.452, 17.0, 0.4),
    "moderate": (0.452, 20.0, 0.7),
    "severe": (0.452, 25.0, 1.0),
}
# PaO2 mmHg, P/F mmHg, SpO2 %, PaCO2 mmHg, pH, shunt %; as printed, each column on its own
RANGES = {
    "healthy": ((85, 114), (264, 366), (96.4, 98.5), (35, 42), (7.27, 7.40), (2, 5)),
    "mild": ((103, 133), (200, 300), (98.0, 99.0), (45, 57), (7.15, 7.34), (10, 100)),
    "moderate": ((81, 117), (100, 200), (95.9, 98.6), (45, 57), (7.15, 7.34), (20, 100)),
    "severe": ((56, 83), (0, 100), (88.8, 96.1), (45, 57), (7.15, 7.34), (40, 100)),
}
# One parameter set, settings of this project, chosen to lie in the ranges: only shunt and dead space grow.
SHUNT = {"healthy": 0.048, "mild": 0.13, "moderate": 0.28, "severe": 0.44}
DEAD_SPACE = {"healthy": 0.227, "mild": 0.23, "moderate": 0.28, "severe": 0.31}  # L
SAME = {
    "matched_ventilation": 0.37,
    "typical_cardiac_output": 7.0,
    "typical_hemoglobin": 15.0,
    "carbon_dioxide_production": 200.0,
    "base_excess": -1.5,
}


def measure() -> Result:
    """Ventilate each state for six hours at the table's settings."""
    found, misses = {}, []
    with jax.enable_x64(True):
        for state, (volume, rate, oxygen) in SETTINGS.items():
            patient = tp.models.respiratory.GasExchange().fix(**SAME, shunt=SHUNT[state])
            ventilated = rate * (volume - DEAD_SPACE[state])
            given = tp.Inputs.constant(inspired_oxygen=(oxygen, "1"), alveolar_ventilation=(ventilated, "L/min"))
            run = tp.simulate(patient, given, np.array([0.0, 360.0]))
            end = {name: float(getattr(run.output, name)[-1]) for name in run.output.__dataclass_fields__}
            values = (
                end["arterial_oxygen"],
                end["arterial_oxygen"] / oxygen,
                end["pulse_saturation"],
                end["arterial_carbon_dioxide"],
                end["arterial_pH"],
                100 * patient.shunt,
            )
            found[state] = [round(value, 2) for value in values]
            columns = ("PaO2", "P/F", "SpO2", "PaCO2", "pH", "shunt")
            misses += [
                f"{state} {column} {value:.3g} outside {low}-{high}"
                for column, value, (low, high) in zip(columns, values, RANGES[state], strict=True)
                if not low <= value <= high
            ]
    text = "; ".join(
        f"{s}: PaO2 {v[0]:.0f}, P/F {v[1]:.0f}, SpO2 {v[2]:.1f}, PaCO2 {v[3]:.0f}, pH {v[4]:.2f}, shunt {v[5]:.0f} %"
        for s, v in found.items()
    )
    return Result(
        figure=f"{24 - len(misses)} of 24 in range; {text}" + (f"; misses: {', '.join(misses)}" if misses else ""),
        holds=not misses,
        details={"found": found, "misses": misses, "shunt": SHUNT, "dead_space": DEAD_SPACE, "same": SAME},
    )
