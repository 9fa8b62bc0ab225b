"""What each treatment contributes to forecasts: the same twins with its effect switched off, by size of change.

Each stay is rolled along twice with the same keys and the priors that the models declare: once under what was given,
once as if the treatment had never been given (a setting that the model needs stays as it was at the origin).

    python -m tests.validation.v08_14 --stays 4     # so many stays of each domain
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import numpy as np
import pandas as pd

import twinprob as tp
from tests.validation import Result, gas_stays, glucose_stays, persons, plateau_stays, v05_06
from twinprob.models.sepsis import VasopressorPressure
from twinprob.patient.units import convert
from twinprob.validation.evaluate import given
from twinprob.validation.rivals import held, untreated
from twinprob.validation.score import of_draws

LIMIT = 5400
STAYS = 12
FIRST = 36 * 60.0  # min on insulin
FLUIDS = ("crystalloid", "albumin", "blood")


@dataclass(frozen=True)
class Treatment:
    """One treatment: the inputs that carry it, the parameter of its effect, and how a change is sized.

    Attributes
    ----------
    inputs : tuple of str
    effect : str, the parameter
    unit : str, of a change
    edges : tuple of float, above which a change is of the next class
    total : bool
        Whether a change is what was given between origin and value, as with a bolus, and not the difference of rates.
    since : bool
        Whether what runs at the origin counts, as with insulin: without it the twin knows none.
    """

    inputs: tuple[str, ...]
    effect: str
    unit: str
    edges: tuple[float, ...]
    total: bool = False
    since: bool = False

    def change(self, record: tp.Record, origin: float, time: float) -> float:
        """Return the size of the change between two times (min)."""
        size = 0.0
        for name in self.inputs:
            if name not in record.inputs:
                continue
            course = record.inputs[name]
            when = np.arange(origin, time, 1.0) if self.total else np.array([time - 1e-3])
            rates = np.nan_to_num(convert(course.at(when), course.unit, self.unit, variable=name, weight=record.weight))
            before = convert(course.at(np.array([origin])), course.unit, self.unit, variable=name, weight=record.weight)
            size += (
                float(rates.sum())
                if self.total
                else float(rates[0] - (0.0 if self.since else np.nan_to_num(before)[0]))
            )
        return abs(size)


@dataclass(frozen=True)
class Domain:
    """Stays of a domain with the pairs to forecast, and the treatments that are switched off."""

    model: tp.AbstractModel
    variable: str
    read: Callable[[int], list[tuple[tp.Record, pd.DataFrame]]]
    treatments: dict[str, Treatment]


def glucose(count: int) -> list[tuple[tp.Record, pd.DataFrame]]:
    """Return stays on insulin and each value's next one within 2.5 h."""
    cuts = [(r.until(min(r.end, r.start + begin + FIRST)), r.start + begin) for r, begin in glucose_stays.cuts()]
    return [(record, _next(record, "glucose", begin, 150.0)) for record, begin in cuts[:count]]


def plateau(count: int) -> list[tuple[tp.Record, pd.DataFrame]]:
    """Return ventilated stays in which PEEP stepped."""
    read = [(plateau_stays.without_peaks(r), plateau_stays.pairs(r)) for r in plateau_stays.mimic()]
    stepped = [one for one in read if len(one[1]) and (one[1]["rise"].abs() >= plateau_stays.STEP).any()]
    return [
        (record, frame[["origin", "time", "value"]].assign(variable="plateau_pressure")) for record, frame in stepped
    ][:count]


def gas(count: int) -> list[tuple[tp.Record, pd.DataFrame]]:
    """Return stays with gases, each next one within a day."""
    return [(r, _next(r, gas_stays.GAS, r.start, gas_stays.LONGEST)) for r in gas_stays.mimic(2)[:count]]


def pressure(count: int) -> list[tuple[tp.Record, pd.DataFrame]]:
    """Return stays with pressures after changes of norepinephrine and boluses, the first day of events."""
    found = []
    for record in v05_06.load()[:count]:
        wanted = v05_06.pairs(record)
        if wanted.empty:
            continue
        wanted = wanted[wanted["origin"] <= wanted["origin"].min() + 24 * 60.0]
        found.append((v05_06.around(record, wanted), wanted[["origin", "time", "value"]].assign(variable=v05_06.MAP)))
    return found


def _next(record: tp.Record, name: str, first: float, within: float) -> pd.DataFrame:
    series, rows = record.observations[name], []
    for origin in np.unique(series.known[series.known >= first]):
        i = int(np.searchsorted(series.times, origin, side="right"))
        if i < len(series.times) and series.times[i] <= origin + within:
            rows.append({"origin": origin, "time": series.times[i], "value": series.values[i], "variable": name})
    return pd.DataFrame(rows, columns=["origin", "time", "value", "variable"])


DOMAINS = {
    "glucose": Domain(
        tp.models.metabolic.ICING.charted(),
        "glucose",
        glucose,
        {
            "insulin": Treatment(("insulin",), "insulin_sensitivity", "U/h", (0.5, 4.0), since=True),
            "feeds": Treatment(
                ("enteral_glucose", "parenteral_glucose"), "nutrition_content", "mmol/min", (0.05, 0.5), since=True
            ),
        },
    ),
    "plateau": Domain(
        plateau_stays.MODEL,
        "plateau_pressure",
        plateau,
        {"PEEP": Treatment(("peep",), "peep_effect", "cmH2O", (0.5, 3.5))},
    ),
    "PaO2": Domain(
        gas_stays.MODEL,
        gas_stays.GAS,
        gas,
        {"FiO2": Treatment((gas_stays.OXYGEN,), "oxygen_response", "1", (0.01, 0.15))},
    ),
    "MAP": Domain(
        VasopressorPressure(),
        v05_06.MAP,
        pressure,
        {
            "norepinephrine": Treatment(("norepinephrine",), "greatest_rise", "ug/kg/min", (0.001, 0.05)),
            "fluid": Treatment(FLUIDS, "volume_gain", "mL/min", (50.0, 250.0), total=True),
        },
    ),
}


def draws(model, record: tp.Record, frame: pd.DataFrame, still: Sequence[str], key) -> list[np.ndarray]:
    """Return the draws of each pair, with these inputs as they were at its origin."""
    twin, found = None, []
    for number, (origin, rows) in enumerate(frame.groupby("origin")):
        fit_key, ahead_key = jax.random.split(jax.random.fold_in(key, number))
        if twin is None:
            twin = tp.fit(model, record.until(origin), key=fit_key, method=tp.Laplace())
        else:
            twin = tp.update(twin, record.between(twin.now, origin), key=fit_key, method=plateau_stays.ROLLING)
        times = np.unique(rows["time"])
        plan = held(given(model, record, twin.now, times[-1]), still, origin)
        ahead = tp.forecast(twin, key=ahead_key, times=times, inputs=plan).tree["predictions"]
        found += [
            ahead[variable].values[..., np.searchsorted(times, time)].ravel()
            for variable, time in zip(rows["variable"], rows["time"], strict=True)
        ]
    return found


def compared(domain: Domain, count: int) -> pd.DataFrame:
    """Return a row for each pair and way: the treatment that was off ("" for none), scores, and sizes of change."""
    frames = []
    for i, (record, frame) in enumerate(domain.read(count)):
        if frame.empty:
            continue
        frame = frame.sort_values("origin", kind="stable")
        key = jax.random.fold_in(jax.random.key(814), i)
        ways: dict[str, tuple[str, ...]] = {"": (), **{name: one.inputs for name, one in domain.treatments.items()}}
        for off, inputs in ways.items():
            bare = untreated(domain.model, record, inputs)
            table = of_draws(frame["value"].to_numpy(), draws(domain.model, bare, frame, inputs, key)).table()
            sizes = {
                name: [one.change(record, a, b) for a, b in zip(frame["origin"], frame["time"], strict=True)]
                for name, one in domain.treatments.items()
            }
            own = {"off": off, "person": record.person or str(i), "stay": i, "pair": np.arange(len(frame))}
            frames.append(table[["absolute_error", "covered", "interval_score"]].assign(**own, **sizes))
        print(f"    {domain.variable}: {i + 1} stays", flush=True)
    return pd.concat(frames, ignore_index=True)


def contribution(table: pd.DataFrame, name: str, rows=None) -> dict[str, float]:
    """Return how much worse the interval score and error are without a treatment, means over stays, as shares."""
    with_, without = (table[table["off"] == off].set_index(["stay", "pair"]) for off in ("", name))
    if rows is not None:
        with_, without = with_[rows.to_numpy()], without[rows.to_numpy()]
    stays = with_.groupby("stay")["person"].first()
    told: dict[str, float] = {"pairs": len(with_), "stays": len(stays)}
    for column in ("interval_score", "absolute_error"):
        a, b = (x.groupby("stay")[column].mean().loc[stays.index].to_numpy() for x in (with_, without))
        low, high = persons.bootstrap(lambda r, a=a, b=b: b[r].mean() / a[r].mean() - 1.0, stays.to_numpy())
        told |= {column: float(b.mean() / a.mean() - 1.0), f"{column} low": low, f"{column} high": high}
    return told


def by_size(table: pd.DataFrame, name: str, treatment: Treatment) -> dict[str, dict[str, float]]:
    """Return the contribution among all pairs, and in each class of size of change."""
    sizes = table[table["off"] == ""][name]
    found = {"all": contribution(table, name)}
    for low, high in zip((-1.0, *treatment.edges), (*treatment.edges, np.inf), strict=True):
        inside = (sizes > low) & (sizes <= high)
        if inside.any():
            label = f"to {high:g}" if np.isfinite(high) else f"above {low:g}"
            found[f"{label} {treatment.unit}{' min' if treatment.total else ''}"] = contribution(table, name, inside)
    return found


def told(domain: Domain, treatment: Treatment, record: tp.Record) -> str:
    """Return what `identify` says of the treatment's effect from the whole of one stay."""
    twin = tp.fit(domain.model, record, key=jax.random.key(0), method=tp.Laplace())
    verdicts = {one.name: one.verdict for one in tp.identify(twin, key=jax.random.key(1)).parameters}
    return verdicts.get(treatment.effect, "not fitted: its value is published")


def measure() -> Result:
    """Switch each treatment off, in so many stays of each domain."""
    return measured(STAYS)


def measured(count: int) -> Result:
    """Measure on so many stays of each domain."""
    parts, details, shown, said = [], {}, 0, True
    for domain in DOMAINS.values():
        table = compared(domain, count)
        for name, treatment in domain.treatments.items():
            found = by_size(table, name, treatment)
            details[name] = found
            words = [
                f"{size} {100 * one['interval_score']:+.0f} % [{100 * one['interval_score low']:+.0f}, "
                f"{100 * one['interval_score high']:+.0f}] ({one['pairs']})"
                for size, one in found.items()
            ]
            text = f"{name} ({found['all']['stays']} stays): {', '.join(words)}"
            shown += 1
            if found["all"]["interval_score low"] <= 0.0:
                verdict = told(domain, treatment, domain.read(1)[0][0])
                told_so = domain.model.told_by_charts().keys() & set(treatment.inputs) or not verdict.startswith(
                    "determ"
                )
                said &= bool(told_so)
                text += f", nothing shown; identify on one stay: {verdict}"
            parts.append(text)
    return Result(
        figure=f"interval score without the treatment, relative, by size of change (pairs): {'; '.join(parts)}",
        holds=bool(said and shown == sum(len(d.treatments) for d in DOMAINS.values())),
        details=details,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stays", type=int, default=STAYS)
    print(measured(parser.parse_args().stays).figure)
