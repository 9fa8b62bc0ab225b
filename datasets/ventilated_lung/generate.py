"""Make the synthetic ventilated stays of this folder again: `python datasets/ventilated_lung/generate.py [folder]`."""

import csv
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

import twinprob as tp
from twinprob.models.respiratory import ChartedMechanics, GasExchange

KEY = 20260104
STAYS = 4
EVERY, ROWS = 240.0, 12  # min between two rows of the chart, and how many there are: two days
READINGS = {"plateau_pressure": 1.2, "peak_pressure": 1.5, "pulse_saturation": 1.5}  # SD of a reading
UNITS = {
    "plateau_pressure": "cmH2O", "peak_pressure": "cmH2O", "pulse_saturation": "%", "arterial_oxygen": "mmHg",
    "arterial_carbon_dioxide": "mmHg", "peep": "cmH2O", "tidal_volume": "mL", "respiratory_rate": "1/min",
    "inspired_oxygen": "1",
}  # fmt: skip


def draw_patient(random: np.random.Generator) -> dict[str, float]:
    """Draw what is true of one patient: stiff lungs, some shunt."""
    return {
        "elastance": 25.0 * np.exp(0.3 * random.normal()),
        "peep_effect": random.normal(-0.015, 0.012),
        "expiratory_time": 0.7 * np.exp(0.2 * random.normal()),
        "resistive_pressure": 6.0 * np.exp(0.3 * random.normal()),
        "dead_space": 0.19 * np.exp(0.15 * random.normal()),
        "shunt": float(np.clip(random.normal(0.25, 0.06), 0.08, 0.45)),
    }


def settings(random: np.random.Generator) -> dict[str, np.ndarray]:
    """Return a made-up course of settings, one value a row; nobody should treat so."""
    steps = np.sort(random.choice(np.arange(3, ROWS), 2, replace=False))
    place = np.searchsorted(steps, np.arange(ROWS), side="right")
    peep = np.array([8.0, 12.0, 10.0])[place] + 2.0 * random.integers(0, 2)
    return {
        "peep": peep,
        "tidal_volume": np.full(ROWS, 10.0 * random.integers(36, 48)),
        "respiratory_rate": np.where(place > 0, 22.0, 18.0),
        "inspired_oxygen": np.array([0.6, 0.5, 0.4])[place],
    }


def chart(number: int) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Return the rows of one stay, and what is true of the patient."""
    random = np.random.default_rng([KEY, number])
    patient, given = draw_patient(random), settings(random)
    lung = tp.couple(ChartedMechanics(), GasExchange(), links={"alveolar_ventilation": "alveolar_ventilation"})
    times = EVERY * np.arange(ROWS)
    starts = np.append(-EVERY, times[1:] - 30.0)  # a row describes the half hour before it
    ends = np.append(starts[1:], times[-1] + EVERY)
    inputs = tp.Inputs()
    for name, values in given.items():
        inputs = inputs | tp.Inputs.infusions(name, starts, ends, values, UNITS[name])
    run = tp.simulate(lung.fix(**patient), inputs, times)
    rows: list[dict[str, Any]] = []
    for name, sd in READINGS.items():
        read = np.round(np.asarray(getattr(run.output, name)) + sd * random.normal(size=ROWS))
        read = np.minimum(read, 100.0) if UNITS[name] == "%" else read
        rows += [row(time, name, f"{value:g}") for time, value in zip(times, read, strict=True)]
    for name, relative in (("arterial_oxygen", 0.04), ("arterial_carbon_dioxide", 0.03)):
        true = np.asarray(getattr(run.output, name))[::3]
        read = np.round(true * (1.0 + relative * random.normal(size=true.size)))
        rows += [row(time, name, f"{value:g}") for time, value in zip(times[::3], read, strict=True)]
    for name, values in given.items():
        rows += [
            {"start": f"{a:g}", "end": f"{b:g}", "variable": name, "rate": f"{v:g}", "unit": UNITS[name]}
            for a, b, v in zip(starts, ends, values, strict=True)
        ]  # fmt: skip
    return rows, patient


def row(time: float, name: str, value: str) -> dict[str, Any]:
    """Return one measurement in the tidy form."""
    return {"time": f"{time:g}", "variable": name, "value": value, "unit": UNITS[name]}


def write(path: Path, columns: list[str], rows: list[dict[str, Any]]) -> None:
    """Write a table with Unix line ends everywhere."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main(folder: Path) -> None:
    """Write all stays."""
    declared = ChartedMechanics.parameters() | GasExchange.parameters()
    with jax.enable_x64(True):
        for number in range(1, STAYS + 1):
            rows, patient = chart(number)
            write(folder / f"stay_{number}.csv", ["time", "start", "end", "variable", "value", "rate", "unit"], rows)
            truth = [{"variable": n, "value": f"{v:.4g}", "unit": declared[n].unit} for n, v in patient.items()]
            write(folder / f"truth_{number}.csv", ["variable", "value", "unit"], truth)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
