"""A measurement error that lasts, against dense multivariate normals written out in NumPy."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from twinprob.modeling.correlated import NEVER, Correlated, Error
from twinprob.modeling.measured import Measured
from twinprob.modeling.observation import Contaminated, Gaussian, Multiplicative, Observation, StudentT

TIMES = np.array([0.0, 0.5, 1.0, 4.0, 4.2, 9.0, 9.1, 30.0])
MEAN = np.array([80.0, 82.0, 85.0, 90.0, 70.0, 71.0, 75.0, 74.0])
VALUE = MEAN + np.array([1.0, -2.0, 0.5, 6.0, 5.0, -3.0, -2.5, 8.0])
DRIFT = Correlated(sd=4.0, timescale=3.0)


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def measured(noise, limits=None, padding=0, drift=DRIFT):
    """Measurements of one output with the lasting error."""
    count = len(TIMES)
    gaps = np.pad(np.diff(TIMES, prepend=-NEVER), (0, padding))
    mean = np.pad(MEAN, (0, padding), mode="edge")
    limited = limits is not None
    limits = limits if limited else np.zeros(count, int)
    there = np.arange(count + padding) < count
    how = Observation(noise, drift=drift)
    return Measured(
        how, jnp.asarray(mean), np.pad(limits, (0, padding)), jnp.asarray(there), jnp.asarray(gaps), limited
    )


def shared(times=TIMES, drift=DRIFT):
    """The covariance of the lasting error."""
    return drift.sd**2 * np.exp(-np.abs(times[:, None] - times) / drift.timescale)


@pytest.mark.parametrize("noise", [Gaussian(additive=1.5), Gaussian(additive=1.0, relative=0.03)])
def test_the_density_is_that_of_a_dense_multivariate_normal(noise):
    cover = shared() + np.diag(np.asarray(noise.scale(MEAN)) ** 2)
    expected = stats.multivariate_normal(MEAN, cover).logpdf(VALUE)
    assert float(measured(noise).log_prob(jnp.asarray(VALUE))) == pytest.approx(expected, abs=1e-9)


def test_padding_says_nothing():
    noise = Gaussian(additive=1.5)
    longer = measured(noise, padding=5)
    values = jnp.asarray(np.pad(VALUE, (0, 5), mode="edge"))
    assert float(longer.log_prob(values)) == pytest.approx(float(measured(noise).log_prob(jnp.asarray(VALUE))))
    later = [m.last_error(v, 2.0) for m, v in ((longer, values), (measured(noise), jnp.asarray(VALUE)))]
    assert np.allclose(later[0], later[1])


def test_what_is_left_of_the_error_is_the_dense_conditional():
    noise, ahead = Gaussian(additive=1.5), 2.0
    cover = shared(np.append(TIMES, TIMES[-1] + ahead))
    seen = cover[:-1, :-1] + 1.5**2 * np.eye(len(TIMES))
    weight = np.linalg.solve(seen, cover[:-1, -1])
    found = measured(noise).last_error(jnp.asarray(VALUE), ahead)
    assert float(found.mean) == pytest.approx(weight @ (VALUE - MEAN), abs=1e-9)
    assert float(found.variance) == pytest.approx(cover[-1, -1] - weight @ cover[:-1, -1], abs=1e-9)


def test_innovations_are_the_dense_cholesky_factor():
    cover = shared() + 1.5**2 * np.eye(len(TIMES))
    found = measured(Gaussian(additive=1.5)).innovations(jnp.asarray(VALUE))
    root = np.linalg.cholesky(cover)
    assert np.allclose(found.errors * np.sqrt(found.weights), np.linalg.solve(root, VALUE - MEAN))
    assert np.allclose(found.log_variances, 2 * np.log(np.diag(root)))


def test_gross_errors_agree_with_every_choice_of_which_they_are():
    noise = Contaminated(additive=1.0, fraction=0.05, inflation=6.0)
    logs = []
    for wide in itertools.product([0, 1], repeat=len(TIMES)):
        scales = np.where(wide, 6.0, 1.0)
        share = np.prod(np.where(wide, 0.05, 0.95))
        logs.append(math.log(share) + stats.multivariate_normal(MEAN, shared() + np.diag(scales**2)).logpdf(VALUE))
    # One normal stands for the filtered mixture: exact for the first value, a few hundredths of a nat after eight.
    found = np.asarray(measured(noise).elementwise(jnp.asarray(VALUE)))
    assert found.sum() == pytest.approx(np.logaddexp.reduce(logs), abs=0.15)
    alone = [math.log(s) + stats.norm(0, math.sqrt(16 + w**2)).logpdf(1.0) for s, w in ((0.95, 1.0), (0.05, 6.0))]
    assert found[0] == pytest.approx(np.logaddexp.reduce(alone), abs=1e-9)


@pytest.mark.parametrize("df", [2.5, 4.0, 30.0])
def test_heavy_tails_are_a_mixture_of_normals(df):
    shares, variances = StudentT(additive=2.0, df=df).parts(jnp.zeros(1))
    points = np.linspace(0, 40, 81)[:, None]
    found = np.log(np.sum(shares * stats.norm.pdf(points, 0, np.sqrt(variances)), axis=-1))
    assert np.allclose(found, stats.t(df, 0, 2.0).logpdf(points[:, 0]), atol=0.01)


def test_a_value_beyond_a_limit_has_the_probability_of_its_side():
    limits = np.zeros(len(TIMES), int)
    limits[3] = 1
    found = np.asarray(measured(Gaussian(additive=1.5), limits).elementwise(jnp.asarray(VALUE)))
    cover = shared() + 1.5**2 * np.eye(len(TIMES))
    weight = np.linalg.solve(cover[:3, :3], cover[:3, 3])
    center = MEAN[3] + weight @ (VALUE - MEAN)[:3]
    expected = stats.norm(center, math.sqrt(cover[3, 3] - weight @ cover[:3, 3])).logsf(VALUE[3])
    assert found[3] == pytest.approx(expected, abs=1e-9)
    # All together, by integrating the value that was not seen: the filtered error is one normal after it.
    others = np.arange(len(TIMES)) != 3
    back = np.linalg.solve(cover[np.ix_(others, others)], cover[others, 3])
    behind = stats.norm(MEAN[3] + back @ (VALUE - MEAN)[others], math.sqrt(cover[3, 3] - back @ cover[others, 3]))
    whole = stats.multivariate_normal(MEAN[others], cover[np.ix_(others, others)]).logpdf(VALUE[others])
    assert found.sum() == pytest.approx(whole + behind.logsf(VALUE[3]), abs=0.05)


def test_what_the_error_explains_leaves_white_residuals(key):
    noise = Gaussian(additive=1.5)
    drawn = measured(noise).sample(key, (2000,))
    white = np.asarray(jax.vmap(measured(noise).neighbors)(drawn))
    assert abs(white.mean()) < 5 * white.std() / math.sqrt(2000)
    plain = Measured(Observation(noise), jnp.asarray(MEAN), jnp.zeros(len(TIMES), int), jnp.ones(len(TIMES), bool))
    away = (np.asarray(drawn[0]) - MEAN) / 1.5
    assert float(plain.neighbors(drawn[0])) == pytest.approx(np.sum(away[1:] * away[:-1]) / np.sum(away**2))


def test_replicates_hold_an_error_that_lasts(key):
    draws = np.asarray(measured(Gaussian(additive=1.5)).sample(key, (20_000,))) - MEAN
    cover = shared() + 1.5**2 * np.eye(len(TIMES))
    error = np.sqrt((cover**2 + np.outer(np.diag(cover), np.diag(cover))) / len(draws))
    assert np.max(np.abs(np.cov(draws.T) - cover) / error) < 5


def test_an_error_known_now_goes_on_from_there(key):
    paths = np.asarray(
        jax.vmap(lambda k: DRIFT.path(k, jnp.array([3.0, 3.0]), Error(5.0, 0.0)))(jax.random.split(key, 20_000))
    )
    left = math.exp(-1.0)
    sd = 4.0 * np.sqrt(1 - np.array([left**2, left**4]))
    assert np.all(np.abs(paths.mean(0) - 5.0 * np.array([left, left**2])) < 5 * sd / math.sqrt(20_000))
    assert np.all(np.abs(np.log(paths.std(0) / sd)) < 5 / math.sqrt(40_000))


def test_gradients_are_finite_and_those_of_differences():
    def density(sizes):
        return measured(Gaussian(additive=sizes[0]), drift=Correlated(sizes[1], sizes[2])).log_prob(jnp.asarray(VALUE))

    point = np.array([1.5, 4.0, 3.0])
    slopes = np.asarray(jax.grad(density)(jnp.asarray(point)))
    steps = [float(density(point + 1e-5 * e) - density(point - 1e-5 * e)) / 2e-5 for e in np.eye(3)]
    assert np.allclose(slopes, steps, rtol=1e-6)


def test_noise_that_is_no_mixture_of_normals_is_refused():
    with pytest.raises(ValueError, match="`drift` needs noise that is a mixture of normals"):
        Observation(Multiplicative(sd=0.1), drift=DRIFT)


@pytest.mark.parametrize(("sd", "timescale", "name"), [(0.0, 1.0, "sd"), (1.0, -1.0, "timescale")])
def test_an_error_of_no_size_or_duration_is_refused(sd, timescale, name):
    with pytest.raises(ValueError, match=name):
        Correlated(sd=sd, timescale=timescale)
