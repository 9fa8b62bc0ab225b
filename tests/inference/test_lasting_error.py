"""Twins of a meter whose error lasts: fit, update, forecast and file, against a dense normal written in NumPy."""

import math

import jax
import numpy as np
import numpyro.distributions as dist
import pytest

from tests.tank import DECAY, OWN, Tank
from twinprob.forecasting.forecast import forecast
from twinprob.inference.fit import fit
from twinprob.inference.twin import load
from twinprob.inference.update import update
from twinprob.modeling.correlated import Correlated
from twinprob.modeling.observation import Gaussian, Observation
from twinprob.patient.record import Record

NOISE, SD, LASTS, STEP = 0.2, 0.8, 40.0, 10.0
HOW = {"level": Observation(Gaussian(additive=NOISE), drift=Correlated(sd=SD, timescale=LASTS))}
COUNT, LATER = 18, 24


def still():
    """A tank whose supply does not move: linear in two unknowns."""
    return Tank().vary(supply=None)


@pytest.fixture(scope="module")
def record():
    chance = np.random.default_rng(5)
    times = STEP * np.arange(LATER + 1)
    error = np.linalg.cholesky(covariance(times) + 1e-9 * np.eye(len(times))) @ chance.standard_normal(len(times))
    values = design(times) @ np.array([0.02, 5.5]) + error + NOISE * chance.standard_normal(len(times))
    return Record.build({"level": (times, values, "1")}, own=OWN, start=0.0)


def design(times):
    """How the level at each time moves with (supply, first)."""
    left = np.exp(-DECAY * times)
    return np.stack([(1 - left) / DECAY, left], axis=1)


def covariance(times):
    return SD**2 * np.exp(-np.abs(times[:, None] - times) / LASTS)


def exact(record, ahead):
    """The exact posterior of (supply, first), and of measurements `ahead`: means and covariances."""
    times, values = record.observations["level"].times, record.observations["level"].values
    prior = np.diag([0.03, 2.0]) ** 2
    every = np.append(times, ahead)
    slopes, cover = design(every), covariance(every) + NOISE**2 * np.eye(len(every))
    whole = np.block([[prior, prior @ slopes.T], [slopes @ prior, slopes @ prior @ slopes.T + cover]])
    mean = np.append([0.0, 5.0], slopes @ np.array([0.0, 5.0]))
    seen = np.arange(2, 2 + len(times))
    rest = np.setdiff1d(np.arange(len(mean)), seen)
    gain = whole[np.ix_(rest, seen)] @ np.linalg.inv(whole[np.ix_(seen, seen)])
    mean_, cover_ = (
        mean[rest] + gain @ (values - mean[seen]),
        whole[np.ix_(rest, rest)] - gain @ whole[np.ix_(seen, rest)],
    )
    return mean_[:2], cover_[:2, :2], mean_[2:], np.diag(cover_)[2:]


@pytest.fixture(scope="module")
def begun(record):
    return fit(still(), record.until(STEP * COUNT), observations=HOW, key=jax.random.key(0))


@pytest.fixture(scope="module")
def later(begun, record):
    return update(begun, record.between(begun.now, STEP * LATER), key=jax.random.key(1))


def require_draws(draws, mean, cover, count):
    """Mean and spread of draws within five Monte Carlo errors."""
    sd = np.sqrt(np.diag(cover)) if np.ndim(cover) == 2 else np.sqrt(cover)
    assert np.max(np.abs(draws.mean(0) - mean) / sd) < 5 / math.sqrt(count)
    assert np.max(np.abs(np.log(draws.std(0) / sd))) < 5 / math.sqrt(2 * count)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["begun", "later"])
def test_the_posterior_is_that_of_the_dense_normal(name, record, request):
    twin = request.getfixturevalue(name)
    mean, cover, *_ = exact(record.until(twin.now), [])
    draws = np.stack([twin.group("posterior")[n].values.ravel() for n in ("supply", "first")], axis=1)
    require_draws(draws, mean, cover, twin.effective_draws)


@pytest.mark.parametrize("name", ["begun", "later"])
def test_forecasts_go_on_from_the_error_as_it_is_now(name, record, request):
    twin = request.getfixturevalue(name)
    ahead = twin.now + np.array([5.0, 20.0, 120.0])
    _, _, mean, variance = exact(record.until(twin.now), ahead)
    found = forecast(twin, times=ahead, key=jax.random.key(2)).group("predictions")["level"].values
    require_draws(found.reshape(-1, 3), mean, variance, twin.effective_draws)


def test_the_noise_free_output_does_not_hold_the_error(begun, record):
    ahead = begun.now + np.array([5.0, 120.0])
    mean, cover, *_ = exact(record.until(begun.now), [])
    slopes = design(ahead)
    found = forecast(begun, times=ahead, key=jax.random.key(2)).group("predicted_outputs")["level"].values
    require_draws(found.reshape(-1, 2), slopes @ mean, slopes @ cover @ slopes.T, begun.effective_draws)


def test_a_file_gives_back_the_meter_and_its_error(later, tmp_path):
    later.save(tmp_path / "twin.nc")
    again = load(tmp_path / "twin.nc", own=(Tank,))
    assert again.observations["level"].drift == HOW["level"].drift
    assert again.group("error").identical(later.group("error"))


@pytest.mark.slow
def test_size_and_duration_may_be_unknown(record):
    prior = {"sd": dist.LogNormal(math.log(0.5), 0.5), "timescale": dist.LogNormal(math.log(30.0), 0.5)}
    how = {"level": Observation(Gaussian(additive=NOISE), drift=Correlated(**prior))}
    twin = fit(still(), record, observations=how, key=jax.random.key(0))
    assert {"level_drift_sd", "level_drift_timescale"} <= set(twin.group("posterior"))
    assert twin.provenance["khat"] < 0.7
    times, values = record.observations["level"].times, record.observations["level"].values
    # The evidence over a grid of the two, everything else integrated in closed form.
    sds, lasts = (np.exp(math.log(m) + 0.5 * np.linspace(-4, 4, 81)) for m in (0.5, 30.0))
    slopes = design(times)
    grid = np.empty((81, 81))
    for i, sd in enumerate(sds):
        for j, last in enumerate(lasts):
            cover = slopes @ np.diag([0.03, 2.0]) ** 2 @ slopes.T + NOISE**2 * np.eye(len(times))
            cover += sd**2 * np.exp(-np.abs(times[:, None] - times) / last)
            away = values - slopes @ np.array([0.0, 5.0])
            grid[i, j] = -0.5 * away @ np.linalg.solve(cover, away) - 0.5 * np.linalg.slogdet(cover)[1]
    grid -= 0.5 * (np.linspace(-4, 4, 81)[:, None] ** 2 + np.linspace(-4, 4, 81) ** 2)
    share = np.exp(grid - grid.max())
    share /= share.sum()
    for name, logs, weights in (("sd", np.log(sds), share.sum(1)), ("timescale", np.log(lasts), share.sum(0))):
        mean = weights @ logs
        spread = math.sqrt(weights @ (logs - mean) ** 2)
        drawn = np.log(twin.group("posterior")[f"level_drift_{name}"].values)
        assert abs(drawn.mean() - mean) < 5 * spread / math.sqrt(twin.effective_draws)
