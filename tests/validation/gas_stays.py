"""Real stays with blood gases under a charted inspired fraction, and their next values forecast by what ships."""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np
import pandas as pd

import twinprob as tp
from tests.validation import shared_data
from twinprob.inference.methods.filter import Filter
from twinprob.models.respiratory import ChartedOxygenation
from twinprob.readers import ventilation
from twinprob.validation.evaluate import given

GAS, PULSE, OXYGEN = "arterial_oxygen", "pulse_saturation", "inspired_oxygen"
SOONEST, LONGEST = 30.0, 24 * 60.0  # min from an origin to the gas that is forecast
HOUR = (20.0, 90.0)  # min to the saturation that is forecast
KEPT = 48 * 60.0  # min of a stay, as in physionet2012
ROLLING = Filter(particles=4096, collapse=0.0, surprise=0.0)
MODEL = ChartedOxygenation()


def mimic(every: int = 1) -> list[tp.Record]:
    """Return the first two days of gases and saturations of every stay of the MIMIC-III demo that has two gases."""
    tables = ventilation.load(shared_data("mimic-iii-demo"))
    chosen = ventilation.stays(tables).query("plateau > 0 or peep > 0")["stay"][::every]
    found = (cut(ventilation.read(tables, int(stay))) for stay in chosen)
    return [record for record in found if record is not None]


def physionet(every: int = 1) -> list[tp.Record]:
    """Return the gases of physionet2012's stays that have two under a known fraction, every so many-th stay."""
    table = pd.read_csv(shared_data("physionet2012") / "set_a.csv.gz")
    table = table[table["variable"].isin(["PaO2", "FiO2"]) & (table["value"] > 0)]
    found = []
    for _, rows in list(table.groupby("stay"))[::every]:
        gas, fraction = (
            rows[rows["variable"] == name].drop_duplicates("minute").sort_values("minute") for name in ("PaO2", "FiO2")
        )
        gas = gas[gas["value"] > 20.0]
        fraction = fraction[fraction["value"].between(0.21, 1.0)]
        if len(gas) < 2 or fraction.empty:
            continue
        begins = fraction["minute"].to_numpy(float)
        set_ = tp.Inputs.infusions(
            OXYGEN, begins, np.append(begins[1:], np.inf), fraction["value"].to_numpy(float), "1"
        )  # fmt: skip
        times = gas["minute"].to_numpy(float)
        values = {GAS: (times, gas["value"].to_numpy(float), "mmHg")}
        record = cut(tp.Record.build(values, set_, start=min(times[0], begins[0]) - 1.0))
        if record is not None:
            found.append(record)
    return found


def cut(record: tp.Record) -> tp.Record | None:
    """Return two days from the first gas under a known fraction on; None where no second gas follows."""
    if GAS not in record.observations or OXYGEN not in record.inputs:
        return None
    gases = record.observations[GAS]
    known = np.isfinite(record.inputs[OXYGEN].at(gases.times - 0.01))
    if known.sum() < 2:
        return None
    first = float(gases.times[known][0])
    last = min(float(gases.known[known].max()), first + KEPT)
    kept = {
        name: one.select((one.times >= first) & (one.known <= last))
        for name, one in record.observations.items()
        if name in (GAS, PULSE)
    }
    kept = {name: one for name, one in kept.items() if len(one.times)}
    inputs = record.inputs.until(last)
    if len(kept[GAS].times) < 2 or OXYGEN not in inputs:
        return None
    whole = dataclasses.replace(record, observations=kept, inputs=inputs, start=first - 1.0, end=last)
    return whole.assuming(**{OXYGEN: "last"})


def forecasts(record: tp.Record, *, key) -> pd.DataFrame:
    """Forecast the next gas and the saturation of the next hour whenever a gas, or the hour's saturation, is known.

    Returns
    -------
    frame : DataFrame
        Columns variable, origin, time, value, simple (P/F or saturation that persists), low, middle, high, highest.
    """
    series = {name: one for name, one in record.observations.items() if name in (GAS, PULSE)}
    origins = np.unique(np.concatenate([one.known for one in series.values()]))
    origins = origins[np.append(True, np.diff(origins) >= 1.0)]
    rows, twin = [], None
    for number, origin in enumerate(origins):
        places = {name: _next(one, origin, name) for name, one in series.items()}
        wanted = {name: i for name, i in places.items() if i is not None}
        if not wanted:
            continue
        fit_key, ahead_key = jax.random.split(jax.random.fold_in(key, number))
        if twin is None:
            twin = tp.fit(MODEL, record.until(origin), key=fit_key, method=tp.Laplace())
        else:
            twin = tp.update(twin, record.between(twin.now, origin), key=fit_key, method=ROLLING)
        times = np.unique([series[name].times[i] for name, i in wanted.items()])
        ahead = tp.forecast(twin, key=ahead_key, times=times, inputs=given(MODEL, record, twin.now, times[-1]))
        for name, i in wanted.items():
            draws = ahead.tree["predictions"][name].values[..., np.searchsorted(times, series[name].times[i])].ravel()
            low, middle, high = np.nanquantile(draws, [0.05, 0.5, 0.95])
            heard = np.flatnonzero(series[name].known <= origin)
            rows.append(
                {
                    "variable": name,
                    "origin": origin,
                    "time": series[name].times[i],
                    "value": series[name].values[i],
                    "simple": _persisting(record, name, heard[-1], i) if heard.size else np.nan,
                    "low": low,
                    "middle": middle,
                    "high": high,
                    "highest": np.nanmax(draws),
                }
            )
    return pd.DataFrame(rows)


def _next(series, origin: float, name: str) -> int | None:
    """Return the place of the value to forecast from this origin, of which the last must just have become known."""
    if origin not in series.known:
        return None
    soonest, longest = (SOONEST, LONGEST) if name == GAS else HOUR
    i = int(np.searchsorted(series.times, origin + soonest))
    return i if i < len(series.times) and series.times[i] <= origin + longest else None


def _persisting(record: tp.Record, name: str, last: int, then: int) -> float:
    """Return the last value, of a gas as its ratio to the inspired fraction."""
    series = record.observations[name]
    if name == PULSE:
        return float(series.values[last])
    before, after = record.inputs[OXYGEN].at(series.times[[last, then]] - 0.01)
    return float(series.values[last] * after / before)


def judged(records: Sequence[tp.Record], progress=None) -> pd.DataFrame:
    """Return the forecasts of all records with error, coverage and interval score."""
    frames = []
    for i, record in enumerate(records):
        frame = forecasts(record, key=jax.random.fold_in(jax.random.key(0), i))
        if len(frame):
            frames.append(frame.assign(patient=i))
        if progress:
            progress((i + 1) / len(records))
    table = pd.concat(frames, ignore_index=True)
    value, low, high = table["value"], table["low"], table["high"]
    return table.assign(
        error=(table["middle"] - value).abs(),
        rival=(table["simple"] - value).abs(),
        covered=(low <= value) & (value <= high),
        score=high - low + 20.0 * ((low - value).clip(lower=0.0) + (value - high).clip(lower=0.0)),
    )
