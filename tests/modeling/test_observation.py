import jax
import numpy as np
import pytest
from scipy import stats

from twinprob.modeling.measured import Measured
from twinprob.modeling.observation import Contaminated, Gaussian, Multiplicative, Observation, StudentT

MEANS = np.array([2.0, 5.0, 9.0])
VALUES = np.array([2.3, 4.1, 9.5])
SCALES = np.sqrt(0.2**2 + (0.1 * MEANS) ** 2)
BOTH = {"additive": 0.2, "relative": 0.1}
CASES = [
    (Gaussian(**BOTH), stats.norm(MEANS, SCALES)),
    (StudentT(**BOTH, df=5.0), stats.t(5.0, MEANS, SCALES)),
    (Multiplicative(0.2), stats.lognorm(0.2, scale=MEANS)),
]


@pytest.mark.parametrize(("noise", "theirs"), CASES)
def test_densities_equal_scipys(noise, theirs):
    seen = Observation(noise).log_density(VALUES, MEANS, np.zeros(3, int))
    np.testing.assert_allclose(seen, theirs.logpdf(VALUES), rtol=1e-8)


@pytest.mark.parametrize(("noise", "theirs"), CASES)
def test_values_below_a_limit_count_by_scipys_probability(noise, theirs):
    seen = Observation(noise).log_density(VALUES, MEANS, np.full(3, -1))
    np.testing.assert_allclose(seen, theirs.logcdf(VALUES), rtol=1e-6)


@pytest.mark.parametrize(("noise", "theirs"), CASES)
def test_values_above_a_limit_count_by_scipys_probability(noise, theirs):
    seen = Observation(noise).log_density(VALUES, MEANS, np.full(3, 1))
    np.testing.assert_allclose(seen, theirs.logsf(VALUES), rtol=1e-6)


def test_contamination_is_a_mixture_of_two_normals():
    noise = Contaminated(**BOTH, fraction=0.05, inflation=8.0)
    expected = 0.95 * stats.norm.pdf(VALUES, MEANS, SCALES) + 0.05 * stats.norm.pdf(VALUES, MEANS, 8 * SCALES)
    seen = Observation(noise).log_density(VALUES, MEANS, np.zeros(3, int))
    np.testing.assert_allclose(seen, np.log(expected), rtol=1e-8)


@pytest.mark.parametrize("noise", [Gaussian(**BOTH), StudentT(**BOTH), Contaminated(**BOTH)])
@pytest.mark.parametrize("limit", [-1, 0, 1])
def test_gradients_are_finite_far_from_the_mean(noise, limit):
    def total(mean):
        return Observation(noise).log_density(1e3, mean, limit)

    assert np.isfinite(jax.grad(total)(1.0))


def test_absent_values_count_for_nothing():
    measured = Measured(Observation(Gaussian(**BOTH)), MEANS, np.zeros(3, int), np.array([True, False, True]))
    expected = stats.norm.logpdf(VALUES, MEANS, SCALES)[[0, 2]].sum()
    np.testing.assert_allclose(measured.log_prob(VALUES), expected, rtol=1e-8)


def test_replicates_have_the_noise_of_the_measurements(key):
    measured = Measured(Observation(Gaussian(**BOTH)), MEANS, np.zeros(3, int), np.ones(3, bool))
    draws = measured.sample(key, (20000,))
    np.testing.assert_allclose(draws.std(0), SCALES, rtol=5 / np.sqrt(2 * 20000))


def test_replicates_are_what_the_meter_would_show(key):
    meter = Observation(Gaussian(additive=2.0), upper=10.0, resolution=0.5)
    draws = np.asarray(Measured(meter, MEANS, np.zeros(3, int), np.ones(3, bool)).sample(key, (20000,)))
    assert draws.max() == 10.0
    np.testing.assert_array_equal(draws, np.round(2 * draws) / 2)
    expected = stats.norm.sf(9.75, MEANS, 2.0)  # from here on it is rounded to the limit, or lies beyond
    np.testing.assert_allclose((draws == 10.0).mean(0), expected, atol=5 * np.sqrt(0.25 / 20000))


def test_a_meter_that_rounds_to_nothing_is_refused():
    with pytest.raises(ValueError, match="resolution"):
        Observation(Gaussian(additive=2.0), resolution=0.0)


def test_noise_without_size_is_refused():
    with pytest.raises(ValueError, match="above zero"):
        Gaussian()


def test_limits_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match="must be below `upper`"):
        Observation(Gaussian(additive=1.0), lower=3.0, upper=2.0)
