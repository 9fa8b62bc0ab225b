"""Fits of real stays at admission and after 1, 2 and 5 values: how many to trust, and how long each takes warm."""

import dataclasses
import time
from collections.abc import Callable

import jax
import numpy as np

import twinprob as tp
from tests.validation import Result, glucose_stays, plateau_stays, v05_06

LIMIT = 5400
COUNTS = (0, 1, 2, 5)
TRUSTED, SECONDS = 0.95, 3.0


Stays = list[tuple[tp.Record, tp.Population | None]]


def glucose() -> tuple[tp.AbstractModel, str, Stays]:
    """Return the charted glucose model, its output, and each stay on insulin with what other persons teach."""
    stays = glucose_stays.cuts()
    populations = glucose_stays.of_others(stays)
    return (
        tp.models.metabolic.ICING.charted(),
        "glucose",
        [(record, population) for (record, _), population in zip(stays, populations, strict=True)],
    )


def plateau() -> tuple[tp.AbstractModel, str, Stays]:
    """Return the charted lung model and every stay with plateaus, under the priors that the model declares."""
    return plateau_stays.MODEL, "plateau_pressure", [(record, None) for record in plateau_stays.mimic()]


def pressure() -> tuple[tp.AbstractModel, str, Stays]:
    """Return the pressure model and every stay with an arterial line and norepinephrine, likewise."""
    read = [(record, v05_06.pairs(record)) for record in v05_06.load()]
    stays = [v05_06.around(record, wanted) for record, wanted in read if not wanted.empty]
    return tp.models.sepsis.VasopressorPressure(), v05_06.MAP, [(record, None) for record in stays]


ROWS: dict[str, Callable] = {"glucose": glucose, "plateau": plateau, "pressure": pressure}


def known(record: tp.Record, output: str, count: int) -> tp.Record | None:
    """Return what is known after the first values, or before all of them; None where the stay has fewer."""
    if count == 0:
        first = float(record.observations[output].known.min())
        return dataclasses.replace(record.until(first), observations={})
    order = np.sort(record.observations[output].known)
    return record.until(float(order[count - 1])) if count <= len(order) else None


def measure() -> Result:
    """Fit every stay at every count by Laplace alone, twice: the second time is warm."""
    parts, holds, details = [], True, {}
    for name, row in ROWS.items():
        model, output, stays = row()
        told = {}
        for count in COUNTS:
            khats, seconds = [], []
            for i, (record, population) in enumerate(stays):
                seen = known(record, output, count)
                if seen is None:
                    continue
                for turn in range(2):
                    began = time.perf_counter()
                    twin = tp.fit(model, seen, key=jax.random.key(i), method=tp.Laplace(), population=population)
                    took = time.perf_counter() - began
                    if turn:
                        khats.append(float(twin.provenance["khat"]))
                        seconds.append(took)
            share, slowest = float(np.mean(np.array(khats) < 0.7)), float(np.max(seconds))
            told[str(count)] = {"khat": khats, "seconds": seconds}
            middle = float(np.median(seconds))
            parts.append(f"{name}, {count} values: {share:.2f} of {len(khats)} trusted, {middle:.1f} s ({slowest:.1f})")
            holds &= share >= TRUSTED and slowest <= SECONDS
        details[name] = told
    return Result(figure="; ".join(parts), holds=bool(holds), details=details)
