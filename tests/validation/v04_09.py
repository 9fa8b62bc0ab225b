"""Simulation-based calibration of every respiratory model that is fitted, with the default method."""

import jax
import numpy as np

import twinprob as tp
from tests.validation import Result
from tests.validation.v01_07 import verdict
from twinprob.models.respiratory import ChartedMechanics, GasExchange, Recruitment, SingleCompartment
from twinprob.validation.calibrate import calibrate

LIMIT = 3600
REPLICATES = 200
# Light, but for the curved posterior of recruitment, which 2,000 proposals do not fill (7 of 10 quantities inside).
LIGHT = tp.Laplace(starts=4, chains=1, draws=1000, proposals=2000)
SETTINGS = tp.Inputs.constant(tidal_volume=(0.42, "L"), respiratory_rate=(20.0, "1/min"))


def peep_steps(levels, every: float) -> tp.Inputs:
    """Return settings in which PEEP changes every so many minutes."""
    starts = every * np.arange(len(levels))
    ends = np.append(starts[1:], np.inf)
    starts[0] = -1e4
    return SETTINGS | tp.Inputs.infusions("peep", starts, ends, list(levels), "cmH2O")


def waveform() -> tp.Record:
    """Return three breaths at 20 Hz: a square inflow, a short pause, an exponential outflow."""
    t = np.arange(0.0, 3.0, 0.05)
    held = np.where(t < 0.8, 0.6, 0.0)
    flow = np.tile(np.where(t < 1.0, held, -2.5 * 0.48 * np.exp(-2.5 * np.maximum(t - 1.0, 0.0))), 3)
    times = np.arange(flow.size) * 0.05 / 60.0
    seen = {"airway_pressure": (times, np.full(flow.size, 12.0), "cmH2O"), "airway_flow": (times, flow, "L/s")}
    return tp.Record.build(seen)


def staircase() -> tp.Record:
    """Return plateau, peak and half-way pressure twice at each of three levels of PEEP."""
    times = 30.0 * np.arange(1, 7)
    names = ("plateau_pressure", "peak_pressure", "half_volume_pressure")
    seen = {name: (times, np.full(times.size, 25.0), "cmH2O") for name in names}
    return tp.Record.build(seen, peep_steps((6.0, 10.0, 14.0), 60.0), start=0.0, own=names)


def oxygen_steps() -> tp.Record:
    """Return blood gases and saturation fifteen minutes after each of three changes of inspired oxygen."""
    changes = 20.0 * np.arange(3)
    given = tp.Inputs.infusions(
        "inspired_oxygen", [-1e4, 20.0, 40.0], [20.0, 40.0, np.inf], [0.3, 0.5, 0.8], "1"
    ) | tp.Inputs.constant(alveolar_ventilation=(4.3, "L/min"))
    units = {"arterial_oxygen": ("mmHg", 90.0), "pulse_saturation": ("%", 95.0),
             "arterial_carbon_dioxide": ("mmHg", 40.0), "arterial_pH": ("1", 7.38)}  # fmt: skip
    times = changes + 15.0
    return tp.Record.build({n: (times, np.full(3, v), u) for n, (u, v) in units.items()}, given, start=0.0)


def chart() -> tp.Record:
    """Return a day of plateau and peak pressures every four hours, with two steps of PEEP."""
    times = 240.0 * np.arange(1, 7) - 30.0
    seen = {name: (times, np.full(6, 22.0), "cmH2O") for name in ("plateau_pressure", "peak_pressure")}
    return tp.Record.build(seen, peep_steps((6.0, 10.0, 8.0), 480.0), start=0.0)


def designs() -> dict:
    """Return model, design and hours ahead by name; a waveform has no future without its flow."""
    return {
        "SingleCompartment": (SingleCompartment(), waveform(), ()),
        "ChartedMechanics": (ChartedMechanics(), chart(), (4.0, 12.0)),
        "Recruitment": (Recruitment(), staircase(), (1.0,)),
        "GasExchange": (GasExchange().free("matched_ventilation"), oxygen_steps(), (1.0,)),
    }


def measure() -> Result:
    """Calibrate each model on its own tier of data."""
    parts = {}
    for number, (name, (model, design, hours)) in enumerate(designs().items()):
        found = calibrate(
            model,
            record_like=design,
            replicates=REPLICATES,
            hours=hours,
            method=tp.Laplace() if name == "Recruitment" else LIGHT,
            key=jax.random.key(number),
        )
        parts[name] = (*verdict(found, name), bool(found.summary()["inside"].all()), found.redrawn)
    return Result(
        figure="; ".join(figure for _, figure, *_ in parts.values()),
        holds=all(inside for *_, inside, _ in parts.values()),
        details={name: {**details, "redrawn": redrawn} for name, (_, _, details, _, redrawn) in parts.items()},
    )
