"""Ventilated stays of two databases, and the next charted plateau forecast along them by the model as it ships."""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import numpy as np
import pandas as pd

import twinprob as tp
from tests.validation import persons, shared_data
from twinprob.inference.methods.filter import Filter
from twinprob.models.respiratory import ChartedMechanics
from twinprob.readers import eicu, ventilation
from twinprob.validation.evaluate import given
from twinprob.validation.rivals import features, rivals
from twinprob.validation.score import of_draws

SETTINGS = ("peep", "tidal_volume", "respiratory_rate")
LONGEST = 24.0  # h; a plateau later than that is not forecast
STEP, EARLY = 2.0, 4  # cmH2O, from which on a change of PEEP is a step; forecasts of a stay that are its first
# No refits: a surprise is taken in stages instead.
ROLLING = Filter(particles=4096, collapse=0.0, surprise=0.0)
MODEL = ChartedMechanics()


def mimic(every: int = 1) -> list[tp.Record]:
    """Return every stay of the MIMIC-III demo with two plateaus or more, or every so many-th."""
    tables = ventilation.load(shared_data("mimic-iii-demo"))
    return _cut(ventilation.stays(tables).query("plateau > 1")["stay"], lambda s: ventilation.read(tables, s), every)


def other_hospitals(every: int = 1) -> list[tp.Record]:
    """Return the same of the half of the eICU demo."""
    tables = eicu.load(shared_data("eicu-demo-lungs"))
    return _cut(eicu.stays(tables)["stay"], lambda s: eicu.read(tables, s, only="lungs"), every)


def _cut(stays, read: Callable[[int], tp.Record], every: int) -> list[tp.Record]:
    found = (ventilated(read(int(stay))) for stay in stays)
    return [cut for cut in found if cut is not None and len(cut.observations["plateau_pressure"].times) > 1][::every]


def ventilated(record: tp.Record) -> tp.Record | None:
    """Return a stay from its first plateau with all settings to its last one; None where there is none.

    What the ventilator was set to is taken to hold while it is on standby: nothing is measured then.
    """
    if "plateau_pressure" not in record.observations or any(name not in record.inputs for name in SETTINGS):
        return None
    series = record.observations["plateau_pressure"]
    levels = [record.inputs[name].at(series.times - 0.01) for name in SETTINGS]
    known = np.isfinite(levels[0]) & (levels[1] > 0) & (levels[2] > 0)
    if not known.any():
        return None
    series = series.select(known)
    first, last = float(series.times[0]), float(series.known.max())
    kept = {"plateau_pressure": series}
    if "peak_pressure" in record.observations:
        peaks = record.observations["peak_pressure"]
        kept["peak_pressure"] = peaks.select((peaks.times >= first) & (peaks.times <= last))
    inputs = record.inputs.until(last)
    if any(name not in inputs for name in SETTINGS):
        return None
    cut = dataclasses.replace(record, observations=kept, inputs=inputs, start=first - 1.0, end=last)
    return cut.assuming(**dict.fromkeys(SETTINGS, "last"))


def pairs(record: tp.Record) -> pd.DataFrame:
    """Return each time at which a plateau became known with the next one taken after it, if within a day."""
    series = record.observations["plateau_pressure"]
    rows: list[dict] = []
    peep = record.inputs["peep"].at(series.times - 0.01)
    for origin in np.unique(series.known):
        heard = np.flatnonzero(series.known <= origin)
        i = int(np.searchsorted(series.times, origin, side="right"))
        if i == len(series.times) or series.times[i] > origin + 60.0 * LONGEST:
            continue
        last = heard[-1]
        row = {"origin": origin, "time": series.times[i], "last": series.values[last], "value": series.values[i]}
        rows.append({**row, "trend": series.values[last], "rise": peep[i] - peep[last], "count": len(rows)})
    frame = pd.DataFrame(rows)
    if not rows:
        return frame
    frame["hours_ahead"] = (frame["time"] - frame["origin"]) / 60.0
    return frame.assign(variable="plateau_pressure", unit="cmH2O", horizon="next")


def rolled(record: tp.Record, frame: pd.DataFrame, *, key, model: tp.AbstractModel = MODEL) -> list[np.ndarray]:
    """Return draws of each pair's plateau, made at its origin from what was known then."""
    twin, found = None, []
    for number, (origin, time) in enumerate(zip(frame["origin"], frame["time"], strict=True)):
        fit_key, ahead_key = jax.random.split(jax.random.fold_in(key, number))
        if twin is None:
            twin = tp.fit(model, record.until(origin), key=fit_key, method=tp.Laplace())
        else:
            twin = tp.update(twin, record.between(twin.now, origin), key=fit_key, method=ROLLING)
        ahead = tp.forecast(twin, key=ahead_key, times=[time], inputs=given(model, record, twin.now, time))
        found.append(ahead.tree["predictions"]["plateau_pressure"].values.ravel())
    return found


def without_peaks(record: tp.Record) -> tp.Record:
    """Return a record of plateaus alone."""
    return dataclasses.replace(record, observations={"plateau_pressure": record.observations["plateau_pressure"]})


def judged(records: Sequence[tp.Record], ways: dict[str, Callable], progress=None) -> pd.DataFrame:
    """Return the table of every way to forecast and of every rival, a row for each pair.

    Parameters
    ----------
    records : sequence of Record
    ways : mapping of str to function of (record, pairs, key) to draws of each pair
    progress : function of a share, optional
    """
    frames: list[pd.DataFrame] = []
    members: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    for i, record in enumerate(records):
        frame = pairs(record)
        if frame.empty:
            continue
        plain = without_peaks(record)
        frames.append(frame.join(features(MODEL, plain, frame)).assign(patient=i, person=record.person or str(i)))
        for name, way in ways.items():
            members[name] += way(record, frame, jax.random.fold_in(jax.random.key(0), i))
        if progress:
            progress((i + 1) / len(records))
    every = pd.concat(frames, ignore_index=True)
    simple = rivals(every)
    names = [*ways, *simple]
    known = every[["patient", "person", "variable", "unit", "origin", "time", "last", "hours_ahead", "rise", "count"]]
    columns = pd.concat([known.assign(forecaster=name) for name in names], ignore_index=True)
    drawn = [m for name in ways for m in members[name]] + [m for one in simple.values() for m in one.members]
    shares = [None] * (len(ways) * len(every)) + [w for one in simple.values() for w in one.weights]
    values = np.tile(every["value"].to_numpy(float), len(names))
    scores = of_draws(values, drawn, weights=shares, **{str(n): columns[n].to_numpy() for n in columns.columns})
    return scores.table(ci_prob=0.9)


def twin(record: tp.Record, frame: pd.DataFrame, key) -> list[np.ndarray]:
    """Forecast from plateaus and settings alone."""
    return rolled(without_peaks(record), frame, key=key)


def with_peaks(record: tp.Record, frame: pd.DataFrame, key) -> list[np.ndarray]:
    """Forecast with the peaks charted."""
    return rolled(record, frame, key=key)


def ratio(table: pd.DataFrame, one: str, other: str, column: str = "interval_score") -> tuple[float, float, float]:
    """Return one forecaster's mean over stays to another's, and its 90 % bootstrap interval over persons."""
    means = table.groupby(["forecaster", "patient"])[column].mean()
    a, b = means[one], means[other]
    person = table.groupby("patient")["person"].first().loc[a.index].to_numpy()
    a, b = a.to_numpy(), b.loc[means[one].index].to_numpy()
    low, high = persons.bootstrap(lambda rows: a[rows].mean() / b[rows].mean(), person)
    return float(a.mean() / b.mean()), low, high
