"""Make the synthetic ICU stays of this folder again: `python datasets/icu_glucose/generate.py [folder]`."""

import csv
import itertools
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from twinprob.dynamics.simulate import FixedStep, Layout, flow
from twinprob.modeling.model import pack
from twinprob.models.metabolic import ICING

KEY = 20260101
STAYS = 8
UNKNOWN = ("insulin_sensitivity", "endogenous_glucose_production", "initial_glucose", "initial_insulin")
GRAMS_PER_HOUR = 60 * 0.18016  # g/h for 1 mmol/min of glucose
METER_CV = 0.05
INTERNAL_STEP = 1.0  # min
GREATEST_RATE = 6.0  # U/h


def draw_patient(random: np.random.Generator, hours: int) -> dict[str, Any]:
    """Draw what is true of one patient; the insulin sensitivity moves as ICING's prior says, hour by hour."""
    base = random.normal(-8.05, 0.5)
    memory, deviation = np.exp(-1 / 12), 0.5 * random.normal()
    path = []
    for _ in range(hours):
        path.append(np.exp(base + deviation))
        deviation = memory * deviation + 0.5 * np.sqrt(1 - memory**2) * random.normal()
    return {
        "sensitivity": np.array(path),
        "production": 1.16 * np.exp(0.2 * random.normal()),
        "initial_glucose": 11.0 * np.exp(0.2 * random.normal()),
        "initial_insulin": np.exp(0.3 * random.normal()),
    }


def feed_rates(random: np.random.Generator, hours: int, weight: float) -> np.ndarray:
    """Return enteral glucose by hour, g/h: 30 % of the goal, the goal within a day, one interruption."""
    goal = 25 * weight * 0.45 / 4 / 24  # 25 kcal/kg/day, 45 % of it carbohydrate with 4 kcal/g
    begin, stop = int(random.integers(0, 5)), int(random.integers(26, hours - 10))
    share = np.clip(0.3 + 0.1 * ((np.arange(hours) - begin) // 3), 0.0, 1.0)
    share[:begin] = 0.0
    share[stop : stop + int(random.integers(2, 5))] = 0.0
    return np.round(2 * goal * share) / 2


def next_rate(rate: float, glucose: float, previous: float) -> float:
    """Change the insulin infusion (U/h) by a simple table; made up, not a clinical protocol."""
    rising = glucose - previous
    change = 1.0 if glucose > 12 else 0.5 if glucose > 8.5 else 0.0 if glucose > 6 else -0.5 if glucose > 5 else -1.0
    change += 0.5 if glucose > 8.5 and rising > 0.5 else -1.0 if glucose < 8.5 and rising < -1.0 else 0.0
    return 0.0 if glucose < 4.5 else float(np.clip(rate + change, 0.0, GREATEST_RATE))


def live(patient: dict[str, Any], feed: np.ndarray, drip: float, random: np.random.Generator) -> tuple[list, list]:
    """Return the measurements (min, mmol/L) and the insulin rate of every hour (U/h)."""
    model = ICING()
    layout = Layout(3, False, int(60 / INTERNAL_STEP), UNKNOWN)

    @jax.jit
    def hour(state, row):
        return flow(model, FixedStep(), layout, state, row)[0]

    known = [patient["production"], patient["initial_glucose"], patient["initial_insulin"]]
    first = model.install(UNKNOWN, jnp.asarray([patient["sensitivity"][0], *known]))
    state = pack(first.initial(model.Input(0.0, 0.0, drip / GRAMS_PER_HOUR)))
    rate, previous, due, measured, rates = 0.0, patient["initial_glucose"], 0, [], []
    for now, sensitivity in enumerate(patient["sensitivity"]):
        if now == due:
            value = round(float(state[0]) * np.exp(METER_CV * random.normal()), 1)
            measured.append((60 * now, value))
            rate = next_rate(rate, value, previous)
            due, previous = now + (2 if 5 < value < 8.5 else 1), value
        rates.append(rate)
        inputs = [rate * 1000 / 60, feed[now] / GRAMS_PER_HOUR, drip / GRAMS_PER_HOUR]
        state = hour(state, jnp.asarray([60.0 * now, 60.0, *inputs, sensitivity, *known]))
    return measured, rates


def intervals(rates) -> list[tuple[int, int, float]]:
    """Join equal neighboring hours to (start, end, rate), min."""
    edges = [0, *(np.flatnonzero(np.diff(rates)) + 1), len(rates)]
    return [(60 * a, 60 * b, rates[a]) for a, b in itertools.pairwise(edges) if rates[a] > 0]


def write_stay(folder: Path, number: int) -> None:
    """Write `stay_<number>.csv` and `truth_<number>.csv`."""
    random = np.random.default_rng([KEY, number])
    hours, weight = int(random.choice([48, 60, 72])), int(random.integers(55, 105))
    patient, feed = draw_patient(random, hours), feed_rates(random, hours, weight)
    drip = float(random.choice([0.0, 0.0, 2.5, 5.0]))  # g/h
    measured, rates = live(patient, feed, drip, random)
    rows: list[dict[str, Any]] = [
        {"variable": "weight", "value": weight, "unit": "kg"},
        {"variable": "age", "value": int(random.integers(35, 85)), "unit": "year"},
        {"variable": "sex", "value": str(random.choice(["female", "male"])), "unit": ""},
    ]
    rows += [{"time": time, "variable": "glucose", "value": value, "unit": "mmol/L"} for time, value in measured]
    drips = [("insulin", rates, "U/h"), ("enteral_glucose", feed, "g/h"), ("parenteral_glucose", [drip] * hours, "g/h")]
    for name, values, unit in drips:
        for start, end, value in intervals(values):
            rows.append({"start": start, "end": end, "variable": name, "rate": f"{value:g}", "unit": unit})
    write(folder / f"stay_{number}.csv", ["time", "start", "end", "variable", "value", "rate", "unit"], rows)
    truth = [
        {"time": 60 * i, "variable": UNKNOWN[0], "value": f"{s:.4e}", "unit": "L/mU/min"}
        for i, s in enumerate(patient["sensitivity"])
    ]
    truth.append({"variable": UNKNOWN[1], "value": f"{patient['production']:.4f}", "unit": "mmol/min"})
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
