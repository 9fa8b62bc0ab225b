import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from tests.tank import NOISE, Tank, beliefs, kalman, predictive, stay
from twinprob.dynamics.programs import held
from twinprob.inference.fit import fit
from twinprob.inference.methods.filter import Filter, _effective, _renewed
from twinprob.inference.update import update


@pytest.fixture(scope="module")
def begun():
    """The tank after four hours, fitted."""
    record, _ = stay(16)
    return fit(Tank(), record.until(240), key=jax.random.key(1))


@pytest.fixture(scope="module")
def followed(begun):
    """The tank after each later hour, updated."""
    record, _ = stay(16)
    twins, twin = [], begun
    for hour in range(5, 17):
        twin = update(twin, record.between(twin.now, 60.0 * hour), key=jax.random.key(hour))
        twins.append(twin)
    return twins


@pytest.mark.parametrize("hour", [5, 9, 16])
def test_the_mean_is_that_of_the_exact_kalman_filter(followed, hour):
    twin = followed[hour - 5]
    mean, sd = kalman(stay(16)[1])[hour]
    draws = beliefs(twin)
    # Errors: of the draws shown, of the fit the filter began with, and of each resampling on the way.
    error = np.sqrt(2 / twin.effective_draws + (hour - 4) / Filter().particles)
    assert np.max(np.abs(draws.mean(0) - mean) / sd) < 5 * error


@pytest.mark.parametrize("hour", [5, 9, 16])
def test_the_spread_is_that_of_the_exact_kalman_filter(followed, hour):
    twin = followed[hour - 5]
    _, sd = kalman(stay(16)[1])[hour]
    error = np.sqrt((2 / twin.effective_draws + (hour - 4) / Filter().particles) / 2)
    assert np.max(np.abs(np.log(beliefs(twin).std(0) / sd))) < 5 * error


@pytest.mark.slow
def test_an_update_agrees_with_a_fit_of_the_whole_record(followed):
    record, _ = stay(16)
    whole, twin = fit(Tank(), record, key=jax.random.key(2)), followed[-1]
    mine, theirs = beliefs(twin), beliefs(whole)
    error = np.sqrt(2 / twin.effective_draws + 1 / whole.effective_draws + 12 / Filter().particles)
    assert np.max(np.abs(mine.mean(0) - theirs.mean(0)) / theirs.std(0)) < 5 * error


def test_no_update_compiles_anything_as_the_stay_grows(followed):
    before = held()
    record, _ = stay(40)
    twin = followed[-1]
    for hour in range(17, 30):
        twin = update(twin, record.between(twin.now, 60.0 * hour), key=jax.random.key(hour))
    assert sorted(held()) == sorted(before)


def test_the_log_evidence_is_that_of_the_exact_kalman_filter(followed):
    values = stay(16)[1]
    answers, expected = kalman(values), 0.0
    for hour in range(5, 17):
        mean, variance = predictive(answers, values, hour)
        expected += dist.Normal(mean, np.sqrt(variance + NOISE**2)).log_prob(values[hour])
    found = sum(twin.provenance["updates"][-1]["log_evidence"] for twin in followed)
    assert abs(found - expected) < 5 * np.sqrt(12 * 4 / Filter().particles + 12 / followed[0].effective_draws)


@pytest.mark.slow
def test_renewed_particles_keep_mean_and_covariance(key):
    chance = np.random.default_rng(0)
    with jax.enable_x64(True):
        values = jnp.asarray(
            np.exp(0.3 * chance.standard_normal((4000, 3))) @ np.array([[1, 0.5, 0.2], [0, 1, 0], [0, 0, 1]])
        )
        values = values.at[:, 2].set(jnp.log(values[:, 2]) - 0.2)
        weights = jnp.asarray(-0.5 * (np.asarray(values[:, 0]) - 2.0) ** 2)
        fresh, _ = _renewed(Tank(), Filter(particles=4000), values, weights, key)
        share = np.exp(weights) / np.sum(np.exp(weights))
        # the last column is the tank's state; it has both signs, so no logarithm is taken and moments are plain
        assert np.allclose(np.mean(fresh, 0), share @ np.asarray(values), rtol=1e-6)
        away = np.asarray(values) - share @ np.asarray(values)
        assert np.allclose(np.cov(fresh.T, bias=True), (share[:, None] * away).T @ away, rtol=1e-5, atol=1e-7)


def test_equal_weights_count_every_particle():
    assert float(_effective(jnp.zeros(50))) == pytest.approx(50)
