"""A twin's risk of a low pressure at every reading of the demo's stays, beside what the screen shows; forward alone."""

from collections.abc import Sequence

import jax
import numpy as np
import pandas as pd

import twinprob as tp
from tests.validation import shared_data
from twinprob.decisions import Monitor, Policy
from twinprob.inference.methods.filter import Filter
from twinprob.models.sepsis import VasopressorPressure
from twinprob.readers import mimic
from twinprob.validation.alarms import opponents

MAP, FIRST = "mean_arterial_pressure", 6  # readings with which a twin begins
HORIZONS = (1.0, 4.0, 8.0)
WATCH = tp.WATCHED["hypotension"]
ROLLING = Filter(particles=2048, collapse=0.0, surprise=0.0)


def stays(most: int | None = None) -> dict[str, tp.Record]:
    """Return the stays with at least ten arterial mean pressures, every so-manieth where not all are asked for."""
    tables = mimic.load(shared_data("mimic-iii-demo"))
    found = {}
    for stay in mimic.stays(tables)["stay"]:
        try:
            record = mimic.read(tables, int(stay))
        except ValueError:  # nothing was measured
            continue
        if MAP in record.observations and len(record.observations[MAP].times) > FIRST + 4:
            found[str(stay)] = record
    if most is None or most >= len(found):
        return found
    chosen = np.linspace(0, len(found) - 1, most).round().astype(int)
    return {name: record for i, (name, record) in enumerate(found.items()) if i in chosen}


def followed(record: tp.Record, horizons: Sequence[float] = HORIZONS) -> pd.DataFrame:
    """Return a row per reading after the first: its time, the twin's risk within each horizon, and the opponents."""
    series = record.observations[MAP]
    begin = float(np.sort(series.known)[FIRST - 1])
    model = VasopressorPressure()
    twin = tp.fit(model, record.until(begin), key=jax.random.key(0), method=tp.Laplace())
    ready = Monitor({"low": Policy(WATCH)}, jax.random.key(1), tuple(horizons), ROLLING, "1 h")  # charted each hour
    state, rows = ready.begin(twin), []
    for now in np.unique(series.known[series.known > begin]):
        state, said = ready.step(state, record.between(state.twin.now, float(now)))
        risks = {one.hours: one.probability for one in said.risks["low"]}
        rows.append({"time": float(now), **{f"twin {hours:g} h": risks[hours] for hours in horizons}})
    return pd.DataFrame(rows).merge(opponents(WATCH, series, np.array([row["time"] for row in rows])), on="time")


def watched(most: int | None = None, say: bool = True) -> tuple[dict[str, tp.Record], pd.DataFrame, list[str]]:
    """Follow every stay; return the records, the table of scores, and the stays that could not be followed."""
    found, parts, failed = stays(most), [], []
    for i, (name, record) in enumerate(found.items()):
        try:
            parts.append(followed(record).assign(patient=name))
        except (ValueError, RuntimeError) as error:
            failed.append(str(error)[:100])
        if say:
            print(f"{i + 1}/{len(found)} stays", flush=True)
    return found, pd.concat(parts, ignore_index=True), failed
