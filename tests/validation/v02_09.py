"""Simulation-based calibration of Laplace, NUTS and the filter on ICING, and how long it takes."""

import dataclasses
import time

import jax
import numpy as np

import twinprob as tp
from tests.validation import Result
from tests.validation.v01_07 import verdict
from twinprob.inference.methods.filter import Filter
from twinprob.inference.update import update
from twinprob.models.metabolic import ICING
from twinprob.validation.calibrate import calibrate

LIMIT = 1800
REPLICATES = 200
ALLOWED = 180.0
SMALL = tp.Laplace(starts=4, chains=1, draws=1000, proposals=2000)


def design() -> tp.Record:
    """Return twelve hours with glucose every two hours."""
    insulin = tp.Inputs.infusions("insulin", ["0 h", "5 h"], ["5 h", "16 h"], [2.0, 4.0], "U/h")
    feed = tp.Inputs.infusions("enteral_glucose", "0 h", "16 h", 0.5, "mmol/min")
    times = 120.0 * np.arange(7)
    return tp.Record.build({"glucose": (times, np.full(7, 8.0), "mmol/L")}, insulin | feed, end="12 h")


def filtered(record: tp.Record, key) -> tp.Twin:
    """Fit the first measurement, then hear the others one by one."""
    times = record.observations["glucose"].times
    twin = tp.fit(ICING(), record.until(times[0]), key=jax.random.fold_in(key, 0), method=SMALL)
    for i, time_ in enumerate(times[1:], 1):
        new = record.between(twin.now, time_)
        twin = update(twin, new, key=jax.random.fold_in(key, i), method=Filter(particles=4096))
    return twin


def measure() -> Result:
    """Calibrate the three on the same design, NUTS with as many replicates as its time allows."""
    record = dataclasses.replace(design(), end=720.0)
    ways = {
        "Laplace": {"method": tp.Laplace(), "replicates": REPLICATES},
        "Filter": {"twin_of": filtered, "replicates": REPLICATES},
        "NUTS": {"method": tp.NUTS(chains=2, draws=80, warmup=60, starts=2), "replicates": REPLICATES},
    }
    figures, details, holds, total = [], {}, True, 0.0
    for number, (name, settings) in enumerate(ways.items()):
        began = time.perf_counter()
        found = calibrate(ICING(), record_like=record, hours=(1.0, 4.0), key=jax.random.key(number), **settings)
        seconds = time.perf_counter() - began
        total += seconds
        _, figure, details[name] = verdict(found, name)
        summary = found.summary()
        holds &= bool(summary["inside"].all())
        figures.append(f"{figure}, {seconds:.0f} s")
    return Result(
        figure="; ".join(figures) + f"; {total:.0f} s in all", holds=holds and total <= ALLOWED, details=details
    )
