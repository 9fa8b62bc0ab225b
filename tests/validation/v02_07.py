"""New patients with 0, 1, 2 and 5 measurements: what the population is worth against the weak prior."""

import dataclasses
import math
from typing import Any

import equinox as eqx
import jax
import numpy as np
import numpyro.distributions as dist

import twinprob as tp
from tests.validation import Result
from twinprob.models.metabolic import ICING
from twinprob.population import declared_sites, moments

LIMIT = 3600
POPULATIONS, LEARNED_FROM, NEW = 4, 30, 25
COUNTS, AHEAD = (0, 1, 2, 5), 60.0 * np.arange(1, 7)
NARROWER = 0.4  # spread of a population over that of the weak prior; a setting
METHOD = tp.Laplace(starts=3, draws=250, proposals=1500, rounds=2)
GIVEN = tp.Inputs.constant(insulin=(1.5, "U/h"), enteral_glucose=(0.5, "mmol/min"))


def weak() -> ICING:
    """Return ICING with its declared priors and an unknown volatility."""
    volatility = dist.LogNormal(math.log(0.4), 0.5)
    return ICING().vary(insulin_sensitivity=tp.OrnsteinUhlenbeck(sd=volatility, timescale="12 h", every="1 h"))


@eqx.filter_jit
def _clean(density, values):
    return density.means(values)[0]["glucose"]


def patients(centers, spreads, count: int, times, chance) -> list[np.ndarray]:
    """Simulate measurements of patients drawn from a population, given on the unconstrained scale."""
    blank = tp.Record.build({"glucose": (times, np.full(times.size, 8.0), "mmol/L")}, GIVEN)
    found: list[np.ndarray] = []
    with jax.enable_x64(True):
        density = tp.joint(weak(), blank)
        knots = dict(density.knots)["insulin_sensitivity"]
        while len(found) < count:
            values = {n: np.asarray(np.exp(chance.normal(centers[n], spreads[n]))) for n in centers}
            values["insulin_sensitivity_innovations"] = chance.normal(size=knots)
            clean = np.asarray(_clean(density, values))[: times.size]
            found.append(clean * (1 + 0.05 * chance.normal(size=times.size)))
    return found


def record(times, values, count: int) -> tp.Record:
    """Return what is known after the first `count` measurements."""
    if count == 0:
        return tp.Record.admission(inputs=GIVEN)
    return tp.Record.build({"glucose": (times[:count], values[:count], "mmol/L")}, GIVEN)


def informed(centers, spreads) -> ICING:
    """Return ICING with the very population as its prior: no way of learning can do better."""
    priors = {name: dist.LogNormal(centers[name], spreads[name]) for name in centers}
    volatility = priors.pop("insulin_sensitivity_volatility")
    moving = tp.OrnsteinUhlenbeck(sd=volatility, timescale="12 h", every="1 h")
    named = {name.removesuffix("_start"): prior for name, prior in priors.items()}
    return ICING().free(**named).vary(insulin_sensitivity=moving)


def forecasts(model, population, times, values, key) -> dict[int, list]:
    """Return (errors, covered) of the next six hours at every count of measurements."""
    found = {}
    for count in COUNTS:
        seen = record(times, values, count)
        fit_key, ahead_key = jax.random.split(jax.random.fold_in(key, count))
        twin = tp.fit(model, seen, key=fit_key, method=METHOD, population=population)
        ahead = tp.forecast(twin, times=twin.now + AHEAD, key=ahead_key)
        low, middle, high = ahead.quantiles("glucose", [0.05, 0.5, 0.95])
        later = values[np.searchsorted(times, twin.now + AHEAD)]
        found[count] = [middle - later, (low <= later) & (later <= high)]
    return found


def one_population(key, chance) -> list[tuple[dict, dict, dict]]:
    """Draw a population from the weak prior, learn it from 30 patients, and forecast 25 new ones under three priors."""
    sites = {name: moments(prior) for name, prior in declared_sites(weak(), {}).items()}
    centers = {name: chance.normal(middle, width) for name, (middle, width) in sites.items()}
    spreads = {name: NARROWER * width for name, (_, width) in sites.items()}
    often = 120.0 * np.arange(13)
    learned = [record(often, y, often.size) for y in patients(centers, spreads, LEARNED_FROM, often, chance)]
    population = tp.fit_population(weak(), learned, key=key)
    hours = 60.0 * np.arange(11)
    return [
        (
            forecasts(weak(), population, hours, y, jax.random.fold_in(key, i)),
            forecasts(weak(), None, hours, y, jax.random.fold_in(key, i)),
            forecasts(informed(centers, spreads), None, hours, y, jax.random.fold_in(key, i)),
        )
        for i, y in enumerate(patients(centers, spreads, NEW, hours, chance))
    ]


def measure() -> Result:
    """Pool the patients of several populations."""
    both = []
    for i in range(POPULATIONS):
        both += one_population(jax.random.key(i), np.random.default_rng(i))
        print(f"  population {i + 1} of {POPULATIONS}: {summary(both)}", flush=True)
    found = summary(both)
    gains = {count: 1 - one["rmse"] / one["weak_rmse"] for count, one in found.items()}
    best = {count: one["true_rmse"] / one["weak_rmse"] - 1 for count, one in found.items()}
    words = ", ".join(
        f"{count}: {one['rmse']:.2f} against {one['weak_rmse']:.2f} mmol/L ({-gains[count]:+.0%}; "
        f"the true prior {best[count]:+.0%}), "
        f"coverage {one['coverage']:.2f}"
        for count, one in found.items()
    )
    covered = all(0.85 <= one["coverage"] <= 0.95 for one in found.values())
    return Result(
        figure=f"RMSE of the next 6 h after {words}; {len(both)} patients",
        holds=bool(covered and min(gains[1], gains[2]) >= 0.3),
        details={"by_count": found, "settings": dataclasses.asdict(METHOD), "narrower": NARROWER},
    )


def summary(both) -> dict[int, dict[str, Any]]:
    """Return RMSE and coverage under the learned, the weak and the true prior, by count of measurements."""
    found = {}
    for count in COUNTS:
        errors, covered = (np.array([[p[k][count][j] for p in both] for k in range(3)]) for j in (0, 1))
        rmse = np.sqrt((errors**2).mean(axis=(1, 2)))
        inside = covered.mean(axis=(1, 2))
        found[count] = {
            "rmse": float(rmse[0]), "weak_rmse": float(rmse[1]), "true_rmse": float(rmse[2]),
            "median_absolute": [float(x) for x in np.median(np.abs(errors), axis=(1, 2))],
            "coverage": float(inside[0]), "weak_coverage": float(inside[1]),
        }  # fmt: skip
    return found
