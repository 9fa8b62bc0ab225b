"""Tidy extracts of made-up patients for studies, and what a study of them is."""

from pathlib import Path

import numpy as np

PLAN = """version: 1
name: made-up
title: Made-up patients
source: {reader: tidy}
inclusion: {keep: [plateau_pressure], fewest: 2, known: [peep, tidal_volume, respiratory_rate]}
model: {name: ChartedMechanics}
forecast: {horizon: 24 h, following: 1, classes: [[0, 24]], particles: 500}
time_limit: LIMIT
seed: 12
"""


def extract(folder: Path, count: int, values: int = 4, *, limit: str = "30 min") -> Path:
    """Write so many ventilated patients, a file each, and return the study's file beside their folder."""
    folder.mkdir(parents=True)
    for number in range(count):
        patient(folder / f"patient_{number:02d}.csv", number, values)
    plan = folder.parent / "study.yaml"
    plan.write_text(PLAN.replace("LIMIT", limit), encoding="utf-8")
    return plan


def patient(file: Path, number: int, values: int, *, unit: str = "cmH2O", every: float = 240.0) -> None:
    """Write one: settings charted at the beginning, a plateau every four hours."""
    chance = np.random.default_rng(number)
    rows = ["time,variable,value,unit,start,end,rate"]
    for name, rate, its in (("peep", 8, "cmH2O"), ("tidal_volume", 0.42, "L"), ("respiratory_rate", 18, "1/min")):
        rows.append(f",{name},,{its},0,,{rate}")
    level = 20.0 + 4.0 * chance.standard_normal()
    for i in range(values):
        rows.append(f"{10.0 + every * i:g},plateau_pressure,{level + chance.standard_normal():.1f},{unit},,,")
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
