"""One virtual lung seen through the data that wards have, poorest first: the tiers of docs/respiratory.md."""

from collections.abc import Iterator

import numpy as np

import twinprob as tp
from twinprob.models.respiratory import ChartedMechanics, GasExchange, SingleCompartment

LUNG = ChartedMechanics().fix(elastance=34.0, peep_effect=-0.03, expiratory_time=0.7, resistive_pressure=6.0)
BLOOD = {"carbon_dioxide_production": 200.0, "base_excess": 0.0}
GAS = GasExchange().fix(**BLOOD, shunt=0.2, matched_ventilation=0.6)
SETTINGS = tp.Inputs.constant(tidal_volume=(0.42, "L"), respiratory_rate=(20.0, "1/min"))


def chart(levels, *outputs: str) -> tp.Record:
    """Return a day of pressures charted every four hours in whole cmH2O, eight hours at each level of PEEP."""
    starts = 480.0 * np.arange(len(levels))
    peep = tp.Inputs.infusions("peep", np.append(-1e4, starts[1:]), np.append(starts[1:], np.inf), levels, "cmH2O")
    times = 240.0 * np.arange(1, 2 * len(levels) + 1) - 30.0
    run = tp.simulate(LUNG, SETTINGS | peep, np.append(0.0, times))
    chance = np.random.default_rng(1)
    clean = {name: np.asarray(getattr(run.output, name))[1:] for name in outputs}
    seen = {name: (times, np.round(x + 0.7 * chance.normal(size=x.size)), "cmH2O") for name, x in clean.items()}
    return tp.Record.build(seen, SETTINGS | peep, start=0.0)


def waveform(pause: float) -> tp.Record:
    """Return three breaths at 20 Hz with so many seconds of pause after inspiration."""
    t, ends = np.arange(0.0, 3.0, 0.05), 0.7
    gone = np.exp(-2.0 * np.maximum(t - ends - pause, 0.0))
    flow = np.where(t < ends, 0.6, np.where(t < ends + pause, 0.0, -2.0 * 0.42 * gone))
    times = np.arange(3 * t.size) * 0.05 / 60.0
    flow = np.tile(flow, 3)
    volume = np.append(0.0, np.cumsum(0.5 * (flow[1:] + flow[:-1]) * 0.05))
    pressure = 11.0 + 34.0 * volume + (8.0 + 4.0 * np.abs(flow)) * flow
    pressure = pressure + 0.5 * np.random.default_rng(2).normal(size=flow.size)
    return tp.Record.build({"airway_pressure": (times, pressure, "cmH2O"), "airway_flow": (times, flow, "L/s")})


def oxygen(levels, *outputs: str) -> tp.Record:
    """Return saturation, or blood gases too, fifteen minutes after each change of inspired oxygen."""
    changes = 20.0 * np.arange(len(levels))
    given = tp.Inputs.constant(alveolar_ventilation=(4.3, "L/min")) | tp.Inputs.infusions(
        "inspired_oxygen", changes, np.append(changes[1:], np.inf), list(levels), "1"
    )
    times, chance = changes + 15.0, np.random.default_rng(3)
    run = tp.simulate(GAS, given, np.append(0.0, times))
    noise = {"pulse_saturation": ("%", 0.5), "arterial_oxygen": ("mmHg", 3.0)}
    seen = {}
    for name in outputs:
        unit, size = noise[name]
        seen[name] = (times, np.asarray(getattr(run.output, name))[1:] + size * chance.normal(size=times.size), unit)
    return tp.Record.build(seen, given, start=0.0)


def tiers() -> Iterator[tuple[str, tp.AbstractModel, tp.Record]]:
    """Yield name, model and record of each tier."""
    plateau = ("plateau_pressure", "peak_pressure")
    yield "chart, peak pressure only", ChartedMechanics(), chart((10.0,) * 3, "peak_pressure")
    yield "chart, with pauses (plateau)", ChartedMechanics(), chart((10.0,) * 3, *plateau)
    yield "+ a step of PEEP", ChartedMechanics(), chart((10.0, 15.0, 10.0), *plateau)
    yield "waveform of three breaths", SingleCompartment(), waveform(0.0)
    yield "+ a pause in each", SingleCompartment(), waveform(0.5)
    gas = GasExchange().fix(**BLOOD).free("matched_ventilation")
    yield "saturation at one FiO2", gas, oxygen((0.6,) * 4, "pulse_saturation")
    both = ("pulse_saturation", "arterial_oxygen")
    yield "+ four steps of FiO2 with blood gases", gas, oxygen((0.25, 0.35, 0.55, 0.9), *both)
