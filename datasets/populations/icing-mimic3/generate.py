"""Learn how the unknowns of `ICING.charted()` are distributed over the patients of the MIMIC-III demo on insulin.

    python datasets/populations/icing-mimic3/generate.py FOLDER

FOLDER holds the demo's tables; the file is written beside this script.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

import twinprob as tp
from twinprob.readers import mimic

SOURCE = "MIMIC-III demo v1.4 (ODbL 1.0), from 2 h before the first insulin infusion to 10 h after it"
LEAD, FEWEST = 12 * 60.0, 6  # min of a stay that are kept before its first infusion; glucose values
BEFORE, AFTER = 2 * 60.0, 10 * 60.0  # min around the first infusion that a population is learned from
ROUNDS = 3
METHOD = tp.Laplace(starts=1, draws=500, proposals=2000, rounds=1, nodes=24)
KEY = 0


def on_insulin(record: tp.Record) -> tuple[tp.Record, float] | None:
    """Return the record around its insulin infusions, and how long after its start they begin (min).

    None where there is no infusion, or fewer than six glucose values from its first to its last.
    """
    if "insulin" not in record.inputs or record.inputs["insulin"].bolus.all():
        return None
    course = record.inputs["insulin"]
    infused = ~course.bolus
    begin = float(course.starts[infused].min())
    end = float(np.where(np.isfinite(course.ends), course.ends, course.starts)[infused].max())
    series = record.observations["glucose"]
    if np.sum((series.times >= begin) & (series.times <= end)) < FEWEST:
        return None
    start = max(record.start, begin - LEAD)
    kept = series.select((series.times >= start) & (series.times <= end))
    inputs = record.inputs.until(end)
    cut = dataclasses.replace(record, observations={"glucose": kept}, inputs=inputs, start=start, end=end)
    return cut, begin - start


def stays(folder: str | Path) -> list[tuple[tp.Record, float]]:
    """Return every stay on insulin, cut to it, and how long after its start the first infusion begins (min)."""
    tables = mimic.load(folder)
    chosen = mimic.stays(tables).query(f"insulin > 0 and glucose >= {FEWEST}")["stay"]
    found = (on_insulin(mimic.read(tables, int(stay), only="glucose")) for stay in chosen)
    return [cut for cut in found if cut is not None]


def first_hours(record: tp.Record, begin: float) -> tp.Record:
    """Return a stay around its first infusion, which is `begin` min after its start."""
    first = record.start + begin
    later = record.since(max(record.start, first - BEFORE), "long before the first insulin")
    return later.until(min(record.end, first + AFTER))


def learn(cuts: list[tuple[tp.Record, float]], **settings: Any) -> Any:
    """Learn from each stay's first hours on insulin; settings as of `tp.fit_population`."""
    days = [first_hours(record, begin) for record, begin in cuts]
    given = {"method": METHOD, "rounds": ROUNDS, "source": SOURCE, "key": jax.random.key(KEY), **settings}
    return tp.fit_population(tp.models.metabolic.ICING.charted(), days, **given)


def main(folder: str | Path, target: Path) -> None:
    """Write the population, with nothing of any single patient."""
    population = learn(stays(folder))
    print(population)
    for row in population.summary():
        print(*row)
    population.anonymous().save(target / "population.nc")


if __name__ == "__main__":
    main(sys.argv[1], Path(__file__).parent)
