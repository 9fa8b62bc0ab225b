"""Make the synthetic septic stays of this folder again: `python datasets/septic_shock/generate.py [folder]`."""

import csv
import itertools
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

import twinprob as tp
from twinprob.dynamics.simulate import FixedStep, Layout, flow
from twinprob.modeling.model import pack
from twinprob.models.cardiovascular import Preload
from twinprob.models.sepsis import Norepinephrine, VolumeKinetics

KEY = 20260105
STAYS = 6
HOURS = 24
STEP = 30.0  # min between two charted pressures and decisions
RATES = np.array([0.0, 0.02, 0.05, 0.08, 0.12, 0.16, 0.2, 0.25, 0.3, 0.4, 0.5, 0.65, 0.8])  # ug/kg/min
UNKNOWN = (
    "responsiveness", "clearance_factor", "stressed_volume", "half_filling", "greatest_stroke_volume",
    "resting_heart_rate", "arterial_resistance",
)  # fmt: skip
NOISE = {"mean_arterial_pressure": 4.0, "central_venous_pressure": 1.0, "heart_rate": 3.0}
UNITS = {"mean_arterial_pressure": "mmHg", "central_venous_pressure": "mmHg", "heart_rate": "1/min"}
BOLUS, DURATION = 500.0, 30.0  # mL, min
FLUSH = 0.01  # share of mean pressures that are a flush of the line


def shock(weight: float) -> tp.AbstractModel:
    """Return volume kinetics, norepinephrine and the circulation as one model."""
    return tp.couple(
        VolumeKinetics.septic(),
        Norepinephrine.beloeil(weight=weight, saps=30.0),
        Preload(),
        links={name: name for name in ("volume_change", "resistance_factor", "unstressed_change")},
    ).free(*UNKNOWN)


def draw_patient(random: np.random.Generator) -> dict[str, float]:
    """Draw what is true of one patient: dilated vessels, a heart that answers more or less to volume."""
    return {
        "responsiveness": 0.4 * np.exp(0.4 * random.normal()),
        "clearance_factor": np.exp(0.3 * random.normal()),
        "stressed_volume": 900.0 * np.exp(0.2 * random.normal()),
        "half_filling": 5.0 * np.exp(0.5 * random.normal()),
        "greatest_stroke_volume": 130.0 * np.exp(0.2 * random.normal()),
        "resting_heart_rate": 100.0 * np.exp(0.12 * random.normal()),
        "arterial_resistance": 9.0 * np.exp(0.15 * random.normal()),
    }


def resistances(patient: dict[str, float], random: np.random.Generator, count: int) -> np.ndarray:
    """Let the resistance without drugs drift: an Ornstein-Uhlenbeck path, SD 0.12 on the log scale, 6 h."""
    memory, deviation, path = np.exp(-STEP / 360.0), 0.0, []
    for _ in range(count):
        path.append(patient["arterial_resistance"] * np.exp(deviation))
        deviation = memory * deviation + 0.12 * np.sqrt(1 - memory**2) * random.normal()
    return np.array(path)


def decide(place: int, pressure: float) -> int:
    """Move norepinephrine a step up or down a made-up ladder; nobody should treat so."""
    if pressure < 55.0:
        place += 2
    elif pressure < 63.0:
        place += 1
    elif pressure > 78.0:
        place -= 1
    return int(np.clip(place, 0, len(RATES) - 1))


def live(model: tp.AbstractModel, patient: dict[str, float], weight: float, random: np.random.Generator):
    """Return the measurements, the norepinephrine rate of every step and the starts of boluses (min)."""
    names = list(model.quantities(model.Input))
    layout = Layout(len(names), False, int(STEP / model.step), model.unknowns())
    path = resistances(patient, random, int(HOURS * 60 / STEP))

    def vector(resistance):
        true = {**patient, "arterial_resistance": resistance}
        return jnp.asarray([true.get(name, getattr(model, name)) for name in model.unknowns()])

    @jax.jit
    def step(state, row):
        return flow(model, FixedStep(), layout, state, row)[0]

    @jax.jit
    def outputs(state, row, own):
        return model.install(model.unknowns(), own).output(model.State(*state), model.Input(*row))

    given = dict.fromkeys(names, 0.0)
    state = pack(model.install(model.unknowns(), vector(path[0])).initial(model.Input(**given)))
    place, measured, rates, boluses = 0, [], [], []
    for number, resistance in enumerate(path):
        now, own = number * STEP, vector(resistance)
        row = [given[name] for name in names]
        seen = outputs(state, jnp.asarray(row), own)
        values = {name: float(getattr(seen, name)) + sd * random.normal() for name, sd in NOISE.items()}
        place = decide(place, values["mean_arterial_pressure"])
        if random.random() < FLUSH:
            values["mean_arterial_pressure"] = float(random.uniform(150.0, 200.0))
        measured += [(now, name, round(value)) for name, value in values.items()]
        dry = values["central_venous_pressure"] < 6.0 and values["mean_arterial_pressure"] < 65.0
        if dry and len(boluses) < 4 and (not boluses or now - boluses[-1] >= 120.0):
            boluses.append(now)
        rates.append(float(RATES[place]))
        given["norepinephrine"] = rates[-1] * weight
        given["crystalloid"] = BOLUS / DURATION if boluses and boluses[-1] == now else 0.0
        row = [given[name] for name in names]
        state = step(state, jnp.concatenate([jnp.asarray([now, STEP, *row]), own]))
    return measured, rates, boluses, path


def intervals(rates: list[float]) -> list[tuple[float, float, float]]:
    """Join equal neighboring steps to (start, end, rate)."""
    edges = [0, *(np.flatnonzero(np.diff(rates)) + 1), len(rates)]
    return [(STEP * a, STEP * b, rates[a]) for a, b in itertools.pairwise(edges) if rates[a] > 0]


def write_stay(folder: Path, number: int) -> None:
    """Write `stay_<number>.csv` and `truth_<number>.csv`."""
    random = np.random.default_rng([KEY, number])
    weight = float(random.integers(55, 105))
    patient = draw_patient(random)
    measured, rates, boluses, path = live(shock(weight), patient, weight, random)
    rows: list[dict[str, Any]] = [{"variable": "weight", "value": f"{weight:g}", "unit": "kg"}]
    rows += [{"time": f"{t:g}", "variable": name, "value": value, "unit": UNITS[name]} for t, name, value in measured]
    rows += [
        {"start": f"{a:g}", "end": f"{b:g}", "variable": "norepinephrine", "rate": f"{rate:g}", "unit": "ug/kg/min"}
        for a, b, rate in intervals(rates)
    ]
    rows += [
        {"start": f"{t:g}", "end": f"{t + DURATION:g}", "variable": "crystalloid", "rate": f"{BOLUS / DURATION:.4f}",
         "unit": "mL/min"}
        for t in boluses
    ]  # fmt: skip
    write(folder / f"stay_{number}.csv", ["time", "start", "end", "variable", "value", "rate", "unit"], rows)
    declared = Norepinephrine.parameters() | Preload.parameters()
    truth = [
        {"variable": name, "value": f"{value:.4g}", "unit": declared[name].unit}
        for name, value in patient.items()
        if name != "arterial_resistance"
    ]
    truth += [
        {"time": f"{i * STEP:g}", "variable": "arterial_resistance", "value": f"{r:.4g}", "unit": "mmHg*min/L"}
        for i, r in enumerate(path)
    ]
    write(folder / f"truth_{number}.csv", ["time", "variable", "value", "unit"], truth)


def write(path: Path, columns: list[str], rows: list[dict[str, Any]]) -> None:
    """Write a table with Unix line ends everywhere."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main(folder: Path) -> None:
    """Write all stays."""
    with jax.enable_x64(True):
        for number in range(1, STAYS + 1):
            write_stay(folder, number)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
