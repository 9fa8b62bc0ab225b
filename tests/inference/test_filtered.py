"""Constants with everything that moves filtered out, against dense normals written in NumPy."""

import jax
import numpy as np
import pytest
from scipy import stats

from tests.cases import Drift, drift_posterior, drift_record
from twinprob.dynamics.integrators import FixedStep
from twinprob.inference.filtered import filtered, known_at_end
from twinprob.modeling.correlated import Correlated
from twinprob.modeling.observation import Gaussian, Observation

HOURS, NOISE, SD, LASTS = 10, 0.5, 0.8, 90.0
ALONE = Observation(Gaussian(additive=NOISE))
LASTING = Observation(Gaussian(additive=NOISE), drift=Correlated(sd=SD, timescale=LASTS))


@pytest.fixture(scope="module")
def data():
    return drift_record(HOURS)


def dense(values, point, lasting):
    """The log density of hourly values given (slope, first): the innovations and the error integrated by algebra."""
    count, hours = len(values), np.arange(len(values))
    moved = np.array([[60.0 * 0.01 * max(0, i - k) for k in range(1, HOURS)] for i in range(count)])
    cover = moved @ moved.T + NOISE**2 * np.eye(count)
    if lasting:
        cover = cover + SD**2 * np.exp(-60.0 * np.abs(hours[:, None] - hours) / LASTS)
    return stats.multivariate_normal(point[1] + 60.0 * hours * point[0], cover).logpdf(values)


@pytest.mark.parametrize("how", [ALONE, LASTING], ids=["alone", "lasting"])
def test_the_density_of_the_constants_is_that_of_the_dense_normal(how, data):
    record, values = data
    density, point = filtered(Drift(), record, {"level": how}, FixedStep()), np.array([0.018, 4.4])
    found = jax.jit(lambda x: density.log_density(x) - density.log_prior(x))(point)
    np.testing.assert_allclose(found, dense(values, point, how is LASTING), rtol=1e-9)


def test_one_step_of_the_expected_curvature_ends_at_the_exact_posterior(data):
    record, values = data
    density = filtered(Drift(), record, {"level": ALONE}, FixedStep())
    _, gradient, curvature = jax.jit(lambda x: density.quadratic(x))(np.zeros(2))
    mean, cover, _ = drift_posterior(values, HOURS)
    np.testing.assert_allclose(np.linalg.solve(curvature, gradient), mean[[0, -1]], rtol=1e-6)
    np.testing.assert_allclose(np.linalg.inv(curvature), cover[np.ix_([0, -1], [0, -1])], rtol=1e-6)


def test_what_moves_is_known_as_in_the_dense_normal(data):
    record, values = data
    density, point = filtered(Drift(), record, {"level": ALONE}, FixedStep()), np.array([0.018, 4.4])
    known = known_at_end(density, point[None])
    mean, cover, _ = drift_posterior(values, HOURS)
    # The exact posterior of (path now, level now), given the constants.
    rows = np.zeros((2, HOURS + 2))
    rows[0, 0], rows[0, 2 : HOURS + 1] = 1.0, 0.01
    rows[1, 0], rows[1, -1] = 60.0 * HOURS, 1.0
    rows[1, 2 : HOURS + 1] = 60.0 * 0.01 * (HOURS - np.arange(1, HOURS))
    mean, cover = rows @ mean, rows @ cover @ rows.T
    blocks = _given(drift_posterior(values, HOURS), rows, point)
    np.testing.assert_allclose(known.mean[0], blocks[0], rtol=1e-6)
    np.testing.assert_allclose(known.covariance[0], blocks[1], rtol=1e-5, atol=1e-12)


def _given(posterior, rows, point):
    """Condition a normal of (slope, innovations, first) on slope and first, and map the rest by `rows`."""
    mean, cover, _ = posterior
    fixed, rest = [0, len(mean) - 1], list(range(1, len(mean) - 1))
    gain = cover[np.ix_(rest, fixed)] @ np.linalg.inv(cover[np.ix_(fixed, fixed)])
    whole = np.zeros(len(mean))
    whole[fixed], whole[rest] = point, mean[rest] + gain @ (point - mean[fixed])
    left = cover[np.ix_(rest, rest)] - gain @ cover[np.ix_(fixed, rest)]
    return rows @ whole, rows[:, rest] @ left @ rows[:, rest].T


def test_rows_that_pad_a_record_say_nothing(data):
    record, _ = data
    longer = record.since(0.0)
    short = filtered(Drift(), record, {"level": ALONE}, FixedStep())
    assert len(short.rows.timeline) > HOURS
    assert int(short.rows.present.sum()) == HOURS + 1 == len(longer.observations["level"].times)


def test_a_patient_whom_the_model_cannot_solve_is_impossible_and_has_a_finite_gradient(data):
    density = filtered(Drift(), data[0], {"level": ALONE}, FixedStep())
    value, gradient, _ = jax.jit(lambda x: density.quadratic(x))(np.array([1e200, 1e200]))
    assert not np.isfinite(value)
    assert np.all(np.isfinite(gradient))
