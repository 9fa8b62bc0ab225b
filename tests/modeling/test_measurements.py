"""Measurements as charts hold them, through `Observation`, against posteriors computed without the package."""

from typing import Any

import jax
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

from tests.cases import Drift
from tests.tank import DECAY, OWN, Tank
from twinprob.inference.joint import joint
from twinprob.inference.methods.laplace import Laplace
from twinprob.modeling.observation import Contaminated, Gaussian, Observation, StudentT
from twinprob.patient.inputs import Inputs
from twinprob.patient.record import Record

NOISE = 0.5
GRID = np.linspace(-3.0, 13.0, 40_001)


def still():
    """A level that stays where it was at first: one unknown, so that a posterior is a sum over a grid."""
    return Drift().vary(slope=None).fix(slope=0.0)


def record(values, limits=None):
    times = 7.0 * np.arange(len(values))
    given = (times, values, "1") if limits is None else (times, values, "1", limits)
    return Record.build({"level": given}, own=OWN, start=0.0)


def drawn(model, seen, how):
    """Return draws of each unknown by its name, and how many they are worth; no twin is made, which compiles twice."""
    density = joint(model, seen, observations=how)
    sampled = Laplace(draws=1000).sample(density, key=jax.random.key(0))
    positions = sampled.positions.reshape(-1, density.size)
    values = jax.jit(jax.vmap(density.constrain))(positions)
    return {name: np.asarray(x) for name, x in values.items()}, min(len(positions), sampled.importance_ess)


def on_grid(log_likelihood):
    """Return mean and standard deviation of the level by its density on a grid, under the prior Normal(5, 2)."""
    log = stats.norm.logpdf(GRID, 5.0, 2.0) + log_likelihood
    weights = np.exp(log - log.max())
    weights /= weights.sum()
    mean = weights @ GRID
    return mean, np.sqrt(weights @ (GRID - mean) ** 2)


def mixed(value, fraction=0.1, inflation=8.0):
    plain, wide = (stats.norm.pdf(value, GRID, NOISE * factor) for factor in (1.0, inflation))
    return np.log((1 - fraction) * plain + fraction * wide)


WILD = [6.0, 6.4, 5.8, 6.1, 11.5]
CASES: dict[str, tuple[Any, ...]] = {
    "missing": ([6.0, np.nan, 6.4, None, 5.8], None, Gaussian(additive=NOISE), {}, sum(
        stats.norm.logpdf(v, GRID, NOISE) for v in (6.0, 6.4, 5.8)
    )),
    "below the device": ([4.0, 4.0, 4.6], None, Gaussian(additive=NOISE), {"lower": 4.0}, (
        2 * stats.norm.logcdf(4.0, GRID, NOISE) + stats.norm.logpdf(4.6, GRID, NOISE)
    )),
    "above by the chart": ([6.0, 7.0], [0, 1], Gaussian(additive=NOISE), {}, (
        stats.norm.logpdf(6.0, GRID, NOISE) + stats.norm.logsf(7.0, GRID, NOISE)
    )),
    "outlier under Student's t": (WILD, None, StudentT(additive=NOISE, df=4.0), {}, sum(
        stats.t.logpdf(v, 4.0, GRID, NOISE) for v in WILD
    )),
    "outlier under a mixture": (WILD, None, Contaminated(additive=NOISE, fraction=0.1, inflation=8.0), {}, sum(
        mixed(v) for v in WILD
    )),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_posterior_is_that_of_the_density_on_a_grid(name):
    values, limits, noise, settings, log_likelihood = CASES[name]
    how = {"level": Observation(noise, **settings)}
    posterior, count = drawn(still(), record(values, limits), how)
    draws, (mean, sd) = posterior["first"], on_grid(log_likelihood)
    kurtosis = float(np.mean((draws - draws.mean()) ** 4) / draws.var() ** 2)
    assert abs(draws.mean() - mean) < 5 * sd / np.sqrt(count)
    assert abs(draws.std() / sd - 1) < 5 * np.sqrt((kurtosis - 1) / (4 * count))


def test_every_output_is_heard_at_its_own_irregular_times():
    """Level at four times and its double at three others: normal in the two unknowns, solved as least squares."""
    times = {"level": np.array([0.0, 13.0, 14.5, 71.0]), "double": np.array([5.0, 40.0, 90.0])}
    scale = {"level": 1.0, "double": 2.0}
    chance = np.random.default_rng(4)
    rows, values = [], {}
    for name, when in times.items():
        fade = np.exp(-DECAY * when)
        design = scale[name] * np.stack([fade, (1 - fade) / DECAY], axis=1)  # of the first level, and of the supply
        values[name] = design @ [6.0, 0.02] + NOISE * chance.standard_normal(len(when))
        rows.append(design)
    center, prior = np.array([5.0, 0.0]), np.diag([2.0**-2, 0.03**-2])
    design = np.concatenate(rows)
    precision = prior + design.T @ design / NOISE**2
    covariance = np.linalg.inv(precision)
    mean = covariance @ (prior @ center + design.T @ np.concatenate(list(values.values())) / NOISE**2)

    seen = Record.build({n: (times[n], values[n], "1") for n in times}, Inputs(), own=OWN, start=0.0)
    how = {name: Observation(Gaussian(additive=NOISE)) for name in times}
    model = Tank().vary(supply=None)
    posterior, count = drawn(model, seen, how)
    draws = np.stack([posterior[name] for name in ("first", "supply")], axis=-1)
    sd = np.sqrt(np.diag(covariance))
    assert np.all(np.abs(draws.mean(0) - mean) / sd < 5 / np.sqrt(count))
    assert np.all(np.abs(np.log(draws.std(0) / sd)) < 5 / np.sqrt(2 * count))
    correlation = covariance[0, 1] / sd.prod()
    assert np.corrcoef(draws.T)[0, 1] == pytest.approx(correlation, abs=5 / np.sqrt(count))


def test_a_noise_size_that_is_unknown_is_integrated():
    """Four values and a log-normal prior on their noise: both unknowns on a grid."""
    values, prior = np.array([6.0, 6.9, 5.2, 6.3]), (np.log(0.5), 0.6)
    level, size = np.linspace(3.0, 9.0, 601)[:, None], np.exp(np.linspace(-3.5, 2.5, 801))[None, :]
    log = stats.norm.logpdf(level, 5.0, 2.0) + stats.norm.logpdf(np.log(size), *prior)
    log = log + sum(stats.norm.logpdf(v, level, size) for v in values)
    weights = np.exp(log - log.max())
    weights /= weights.sum()
    exact = {"first": (weights * level).sum(), "level_additive": (weights * np.log(size)).sum()}
    spread = {
        "first": np.sqrt((weights * (level - exact["first"]) ** 2).sum()),
        "level_additive": np.sqrt((weights * (np.log(size) - exact["level_additive"]) ** 2).sum()),
    }
    how = {"level": Observation(Gaussian(additive=dist.LogNormal(*prior)))}
    posterior, count = drawn(still(), record(values), how)
    for name in exact:
        draws = np.log(posterior[name]) if name == "level_additive" else posterior[name]
        assert abs(draws.mean() - exact[name]) < 5 * spread[name] / np.sqrt(count)
