"""New patients with 0, 1, 2 and 5 measurements: what the population is worth against the weak prior.

The design is treatment as it is given, with rates that change; one constant treatment stands beside. The very
population as prior, which no way of learning can beat, says how much there is to gain.
"""

import dataclasses
import math
from typing import Any

import equinox as eqx
import jax
import numpy as np
import numpyro.distributions as dist

import twinprob as tp
from tests.validation import Result
from twinprob.inference.sites import declared_sites, moments
from twinprob.models.metabolic import ICING

LIMIT = 5400
POPULATIONS, LEARNED_FROM, NEW = 4, 30, 25
COUNTS, AHEAD = (0, 1, 2, 5), 60.0 * np.arange(1, 7)
NARROWER = 0.4  # spread of a population over that of the weak prior; a setting
METHOD = tp.Laplace(starts=3, draws=250, proposals=1500, rounds=2)
CONSTANT = tp.Inputs.constant(insulin=(1.5, "U/h"), enteral_glucose=(0.5, "mmol/min"))


def changing(chance) -> tp.Inputs:
    """Return the treatment of a patient: an insulin rate every 4 h, feed from 2 h on, as in line 02.4."""
    starts = np.arange(0.0, 24 * 60.0, 240.0)
    rates = chance.uniform(0.5, 5.0, len(starts))
    insulin = tp.Inputs.infusions("insulin", starts, np.append(starts[1:], np.inf), rates, "U/h")
    return insulin | tp.Inputs.infusions("enteral_glucose", [120.0], [np.inf], [chance.uniform(0.3, 0.8)], "mmol/min")


TREATMENTS = {"changing": changing, "constant": lambda chance: CONSTANT}


def weak() -> ICING:
    """Return ICING with its declared priors and an unknown volatility."""
    volatility = dist.LogNormal(math.log(0.4), 0.5)
    return ICING().vary(insulin_sensitivity=tp.OrnsteinUhlenbeck(sd=volatility, timescale="12 h", every="1 h"))


@eqx.filter_jit
def _clean(density, values):
    return density.means(values)[0]["glucose"]


def patients(centers, spreads, count: int, times, treatment, chance) -> list[tp.Record]:
    """Simulate the records of patients drawn from a population, given on the unconstrained scale."""
    found: list[tp.Record] = []
    with jax.enable_x64(True):
        while len(found) < count:
            given = treatment(chance)
            blank = tp.Record.build({"glucose": (times, np.full(times.size, 8.0), "mmol/L")}, given)
            density = tp.joint(weak(), blank).traced()
            knots = dict(density.knots)["insulin_sensitivity"]
            values = {n: np.asarray(np.exp(chance.normal(centers[n], spreads[n]))) for n in centers}
            values["insulin_sensitivity_innovations"] = chance.normal(size=knots)
            clean = np.asarray(_clean(density, values))[: times.size]
            noisy = clean * (1 + 0.05 * chance.normal(size=times.size))
            found.append(tp.Record.build({"glucose": (times, noisy, "mmol/L")}, given))
    return found


def known(whole: tp.Record, count: int) -> tp.Record:
    """Return what is known after the first `count` measurements."""
    if count == 0:
        return tp.Record.admission(inputs=whole.inputs)
    return whole.until(whole.observations["glucose"].times[count - 1])


def informed(centers, spreads) -> ICING:
    """Return ICING with the very population as its prior: no way of learning can do better."""
    priors = {name: dist.LogNormal(centers[name], spreads[name]) for name in centers}
    volatility = priors.pop("insulin_sensitivity_volatility")
    moving = tp.OrnsteinUhlenbeck(sd=volatility, timescale="12 h", every="1 h")
    named = {name.removesuffix("_start"): prior for name, prior in priors.items()}
    return ICING().free(**named).vary(insulin_sensitivity=moving)


def forecasts(model, population, whole: tp.Record, key) -> dict[int, list]:
    """Return (errors, covered) of the next six hours, under the treatment then given, at every count."""
    found, series = {}, whole.observations["glucose"]
    for count in COUNTS:
        seen = known(whole, count)
        fit_key, ahead_key = jax.random.split(jax.random.fold_in(key, count))
        twin = tp.fit(model, seen, key=fit_key, method=METHOD, population=population)
        ahead = tp.forecast(twin, times=twin.now + AHEAD, inputs=whole.inputs, key=ahead_key)
        low, middle, high = ahead.quantiles("glucose", [0.05, 0.5, 0.95])
        later = series.values[np.searchsorted(series.times, twin.now + AHEAD)]
        found[count] = [middle - later, (low <= later) & (later <= high)]
    return found


def one_population(treatment, key, chance) -> list[tuple[dict, dict, dict]]:
    """Draw a population from the weak prior, learn it from 30 patients, and forecast 25 new ones under three priors."""
    sites = {name: moments(prior) for name, prior in declared_sites(weak(), {}).items()}
    centers = {name: chance.normal(middle, width) for name, (middle, width) in sites.items()}
    spreads = {name: NARROWER * width for name, (_, width) in sites.items()}
    learned = patients(centers, spreads, LEARNED_FROM, 120.0 * np.arange(13), treatment, chance)
    population = tp.fit_population(weak(), learned, key=key)
    new = patients(centers, spreads, NEW, 60.0 * np.arange(12), treatment, chance)
    found = []
    for i, whole in enumerate(new):
        own = jax.random.fold_in(key, i)
        found.append(
            (
                forecasts(weak(), population, whole, own),
                forecasts(weak(), None, whole, own),
                forecasts(informed(centers, spreads), None, whole, own),
            )
        )
    return found


def measure() -> Result:
    """Pool the patients of several populations, under each treatment."""
    told, found = [], {}
    for name, treatment in TREATMENTS.items():
        both: list = []
        for i in range(POPULATIONS):
            both += one_population(treatment, jax.random.key(i), np.random.default_rng(i))
            print(f"  {name}, population {i + 1} of {POPULATIONS}: {summary(both)}", flush=True)
        found[name] = summary(both)
        told.append(f"under {name} treatment after {words(found[name])}")
    main = found["changing"]
    gains = [1 - main[count]["rmse"] / main[count]["weak_rmse"] for count in (1, 2)]
    covered = all(0.85 <= one["coverage"] <= 0.95 for one in main.values())
    return Result(
        figure=f"RMSE of the next 6 h {'; '.join(told)}; {POPULATIONS * NEW} patients each",
        holds=bool(covered and min(gains) >= 0.3),
        details={"by_count": found, "settings": dataclasses.asdict(METHOD), "narrower": NARROWER},
    )


def words(found) -> str:
    """Return what the learned and the true prior gain at every count."""
    return ", ".join(
        f"{count}: {one['rmse']:.2f} against {one['weak_rmse']:.2f} mmol/L ({one['rmse'] / one['weak_rmse'] - 1:+.0%}; "
        f"the true prior {one['true_rmse'] / one['weak_rmse'] - 1:+.0%}), coverage {one['coverage']:.2f}"
        for count, one in found.items()
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
