"""One virtual circulation seen through the data that wards have, poorest first: the tiers of docs/cardiovascular.md."""

from collections.abc import Iterator

import numpy as np

import twinprob as tp
from tests.circulation import level
from twinprob.models.cardiovascular import Preload

PATIENT = Preload().fix(
    stressed_volume=900.0,
    greatest_stroke_volume=120.0,
    half_filling=5.0,
    arterial_resistance=12.0,
    arterial_elastance=0.8,
    resting_heart_rate=95.0,
    chest_wall_elastance=4.0,
)
TIMES = np.arange(10.0, 130.0, 10.0)
NOISE = {"mmHg": 2.0, "mL": 4.0, "1/min": 2.0, "%": 0.8}
CHARTED = ("mean_arterial_pressure", "central_venous_pressure", "heart_rate")
MONITOR = (*CHARTED, "systolic_pressure", "diastolic_pressure")


def seen(*outputs: str, fluid: bool = False, challenge: bool = False) -> tp.Record:
    """Return two hours of values every ten minutes, an hour before and after what is done in between.

    That is a bolus whose volume stays, or breaths that shrink from 0.56 to 0.42 L.
    """
    rates = [0.56, 0.42] if challenge else [0.48, 0.48]
    given = tp.Inputs.constant(respiratory_rate=(14.0, "1/min"), peep=(8.0, "cmH2O"))
    given = given | tp.Inputs.infusions("tidal_volume", [-60.0, 65.0], [65.0, 1e4], rates, "L")
    if fluid:
        given = given | level("volume_change", [65.0], [500.0], "mL")
    run, chance = tp.simulate(PATIENT, given, np.append(0.0, TIMES)), np.random.default_rng(5)
    units = {name: PATIENT.quantities(Preload.Output)[name].unit for name in outputs}
    clean = {name: np.asarray(getattr(run.output, name))[1:] for name in outputs}
    values = {n: (TIMES, x + NOISE[units[n]] * chance.normal(size=x.size), units[n]) for n, x in clean.items()}
    return tp.Record.build(values, given, own=(*outputs, "volume_change"), start=0.0)


def tiers() -> Iterator[tuple[str, tp.AbstractModel, tp.Record]]:
    """Yield name, model and record of each tier."""
    variation = "pulse_pressure_variation"
    yield "chart: mean and venous pressure, heart rate", Preload(), seen(*CHARTED)
    yield "monitor: systolic and diastolic pressure too", Preload(), seen(*MONITOR)
    yield "+ pulse-pressure variation", Preload(), seen(*MONITOR, variation)
    yield "+ a tidal-volume challenge", Preload(), seen(*MONITOR, variation, challenge=True)
    yield "monitor, before and after a known 500 mL", Preload(), seen(*MONITOR, fluid=True)
    yield "monitor and stroke volume", Preload(), seen(*MONITOR, "stroke_volume")
    yield (
        "monitor and stroke volume, before and after a known 500 mL",
        Preload(),
        seen(*MONITOR, "stroke_volume", fluid=True),
    )
    yield "+ both and pulse-pressure variation", Preload(), seen(*MONITOR, "stroke_volume", variation, fluid=True)
