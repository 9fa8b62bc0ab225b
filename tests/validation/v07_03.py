"""Nothing known later: every MIMIC stay, cut at 50 random times, in the layout of MIMIC-III and of MIMIC-IV."""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np

from tests.validation import Result, mimic_fourth, shared_data
from twinprob.patient.inputs import Inputs
from twinprob.patient.record import Record, Series
from twinprob.readers import mimic
from twinprob.readers._mimic_items import CHART_ITEMS, COPIES, HEIGHT, WEIGHT

TITLE = "Leakage by known time: MIMIC-III demo and a IV-layout rendering, every stay, `until(t)` for 50 random t"
BAR = "nothing known after t anywhere in the object; unchanged when what is known later is shuffled"
CUTS = 50


def measure() -> Result:
    """Cut, look for anything later, and cut again after shuffling what is later: in the record, and in the tables."""
    folder = shared_data("mimic-iii-demo")
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as place:
        layouts = {"III": mimic.load(folder), "IV": mimic.load(mimic_fourth.write(folder, Path(place)))}
    counts = {"cuts": 0, "later": 0, "changed": 0, "reread": 0, "changed on rereading": 0, "stays": 0}
    for tables in layouts.values():
        for stay in tables.stays["stay"]:
            try:
                record = mimic.read(tables, int(stay), bolus_duration="30 min")
            except ValueError:  # nothing was measured in it
                continue
            counts["stays"] += 1
            for t in rng.uniform(record.start, record.end, CUTS):
                cut = record.until(t)
                counts["cuts"] += 1
                counts["later"] += later(cut, t)
                counts["changed"] += differs(cut, shuffled(record, t, rng).until(t))
            t = float(rng.uniform(record.start, record.end))
            again = reread(tables, int(stay), t, rng)
            if again is not None:
                counts["reread"] += 1
                counts["changed on rereading"] += differs(record.until(t), again.until(t))
    return Result(
        f"{counts['later']} of {counts['cuts']} cuts of {counts['stays']} stays (both layouts) hold anything known "
        f"later, {counts['changed']} change when the record's later rows are shuffled; "
        f"{counts['changed on rereading']} of {counts['reread']} when the chart's are in the tables",
        counts["later"] == counts["changed"] == counts["changed on rereading"] == 0,
        counts,
    )


def later(record: Record, t: float) -> bool:
    """Tell whether anything in a record is later than `t`, or was known later."""
    moments = [record.end]
    for series in record.observations.values():
        moments += [float(series.times.max()), float(series.known.max())]
    for course in record.inputs.courses.values():
        for column in (course.starts, course.ends, course.known):
            moments += column[np.isfinite(column)].tolist()
    moments += [time for one in record.covariates.values() for time, _ in one.changes]
    moments += [float(time) for line in record.ledger for time in line.times if np.isfinite(time)]
    return max(moments) > t


def differs(one: Record, other: Record) -> bool:
    """Tell whether two records differ in anything a model sees, or in their ledgers: forecasts of equals are equal."""
    frames = [record.ledger.to_frame().sort_values(["source", "variable", "fate", "reason"]) for record in (one, other)]
    counts = [frame[["source", "variable", "fate", "reason", "rows"]].to_numpy().tolist() for frame in frames]
    return one != other or counts[0] != counts[1]


def shuffled(record: Record, t: float, rng: np.random.Generator) -> Record:
    """Return the record with values and rates that were known after `t` exchanged among themselves."""
    observations = {}
    for name, one in record.observations.items():
        values, late = one.values.copy(), np.flatnonzero(one.known > t)
        values[late] = values[rng.permutation(late)]
        observations[name] = Series(one.times, values, one.unit, one.limits, one.known)
    courses = {}
    for name, course in record.inputs.courses.items():
        rates, late = course.rates.copy(), np.flatnonzero(course.known > t)
        rates[late] = rates[rng.permutation(late)]
        courses[name] = dataclasses.replace(course, rates=rates)
    return dataclasses.replace(record, observations=observations, inputs=Inputs(courses))


def reread(tables: mimic.Tables, stay: int, t: float, rng: np.random.Generator) -> Record | None:
    """Read a stay again with the chart's values after `t` exchanged among the rows of their items.

    Weight and height are fixed and taken from the first day or the whole stay; the chart's copies of laboratory
    values show which clock
    the laboratory keeps, which is a matter of the calendar.
    """
    row = tables.stays[tables.stays["stay"] == stay].iloc[0]
    chart = tables.of("chart", -row["subject"], stay).copy()  # those without a stay first, as in the table
    minutes = (chart["time"] - row["intime"]) / np.timedelta64(1, "m")
    numbers, items = chart["number"].to_numpy(float).copy(), chart["item"].to_numpy()
    for item in set(CHART_ITEMS) - {*COPIES, *WEIGHT, *HEIGHT}:
        late = np.flatnonzero((items == item) & (minutes.to_numpy() > t))
        numbers[late] = numbers[rng.permutation(late)]
    chart["number"] = numbers
    try:
        return mimic.read(dataclasses.replace(tables, chart=chart), stay, bolus_duration="30 min")
    except ValueError:  # a plateau below a PEEP, now that they are exchanged
        return None
