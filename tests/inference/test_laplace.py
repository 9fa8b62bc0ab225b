import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jaxtyping import Array

from tests.cases import (
    OWN,
    Drift,
    Folded,
    Washout,
    drift_posterior,
    drift_record,
    folded_posterior,
    folded_record,
)
from twinprob.inference.joint import joint
from twinprob.inference.methods.importance import densities_at, smooth
from twinprob.inference.methods.laplace import Laplace
from twinprob.inference.methods.modes import find_modes, quadratic
from twinprob.inference.methods.sampled import Sampled, generator
from twinprob.modeling.model import parameter, quantity
from twinprob.modeling.observation import Gaussian, Observation
from twinprob.modeling.process import RandomWalk
from twinprob.patient.inputs import Inputs
from twinprob.patient.record import Record

FIVE_ERRORS = 5.0


def errors(draws, ess, mean):
    """How many Monte Carlo standard errors the mean of draws (draw, unknown) is off."""
    return np.abs(draws.mean(0) - mean) / (draws.std(0) * np.sqrt(1 / ess + 1 / len(draws)))


@pytest.fixture(scope="module")
def linear():
    record, values = drift_record()
    density = joint(Drift(), record)
    return Laplace(draws=1000).sample(density, key=jax.random.key(1)), drift_posterior(
        values, dict(density.knots)["slope"]
    )


@pytest.fixture(scope="module")
def folded():
    return Laplace(draws=1000).sample(joint(Folded(), folded_record()), key=jax.random.key(2))


@pytest.fixture(scope="module")
def volatile():
    """A drift whose volatility is unknown, and the exact posterior of its logarithm on a grid."""
    record, values = drift_record(hours=24, seed=3)
    prior = dist.LogNormal(math.log(0.01), 0.7)
    density = joint(Drift().vary(slope=RandomWalk(sd=prior)), record)
    sampled = Laplace(draws=1000).sample(density, key=jax.random.key(3))
    logs = np.linspace(-4.0, 4.0, 400) * 0.7 + math.log(0.01)
    knots = dict(density.knots)["slope"]
    weights = np.array([drift_posterior(values, knots, sd=math.exp(v))[2] for v in logs])
    weights = np.exp(weights - 0.5 * ((logs - math.log(0.01)) / 0.7) ** 2 - weights.max())
    place = density.layout()["slope_volatility"].start
    return sampled, place, logs, weights / weights.sum()


def test_a_linear_gaussian_posterior_has_its_exact_means(linear):
    sampled, (mean, _, _) = linear
    draws = sampled.positions.reshape(-1, len(mean))
    assert np.max(errors(draws, sampled.importance_ess, mean)) < FIVE_ERRORS


def test_a_linear_gaussian_posterior_has_its_exact_covariance(linear):
    sampled, (mean, covariance, _) = linear
    draws = sampled.positions.reshape(-1, len(mean)) - mean
    spread = np.sqrt(np.diag(covariance))
    products = (draws[:, :, None] * draws[:, None, :]).reshape(len(draws), -1) / np.outer(spread, spread).ravel()
    exact = (covariance / np.outer(spread, spread)).ravel()
    assert np.max(errors(products, sampled.importance_ess, exact)) < FIVE_ERRORS


def test_a_linear_gaussian_posterior_is_trusted(linear):
    assert linear[0].trusted


def test_most_proposals_count_where_the_posterior_is_normal(linear):
    assert linear[0].importance_ess > 1500


def test_the_volatility_is_integrated_rather_than_maximized(volatile):
    sampled, place, logs, weights = volatile
    draws = sampled.positions.reshape(-1, sampled.positions.shape[-1])[:, [place]]
    assert errors(draws, sampled.importance_ess, weights @ logs)[0] < FIVE_ERRORS


def test_the_spread_of_the_volatility_is_the_exact_one(volatile):
    sampled, place, logs, weights = volatile
    squares = (sampled.positions[..., place].reshape(-1, 1) - weights @ logs) ** 2
    assert errors(squares, sampled.importance_ess, weights @ (logs - weights @ logs) ** 2)[0] < FIVE_ERRORS


def test_both_modes_are_found(folded):
    assert sorted(np.sign(position[0]) for position, _, _ in folded.modes) == [-1.0, 1.0]


def test_modes_carry_their_exact_weights(folded):
    grid = np.linspace(-4.0, 4.0, 4001)
    exact = folded_posterior(grid)[grid > 0].sum()
    draws = (folded.positions.reshape(-1, 1) > 0).astype(float)
    assert errors(draws, folded.importance_ess, exact)[0] < FIVE_ERRORS


def test_reported_mode_weights_are_those_of_the_draws(folded):
    share = np.mean(folded.positions > 0)
    (position, _, weight), *_ = folded.modes
    assert position[0] > 0
    assert abs(weight - share) < FIVE_ERRORS * np.sqrt(share * (1 - share) / folded.importance_ess)


class Cube(Folded):
    """Three levels, each the square of a root: eight modes of one weight."""

    class Output(eqx.Module):
        level: Array = quantity("1", "level", noise=Observation(Gaussian(additive=0.5)))
        amount: Array = quantity("1", "amount", noise=Observation(Gaussian(additive=0.5)))
        size: Array = quantity("1", "size", noise=Observation(Gaussian(additive=0.5)))

    root: float = parameter(dist.Normal(0.0, 1.0), unit="1", source="test")
    second: float = parameter(dist.Normal(0.0, 1.0), unit="1", source="test")
    third: float = parameter(dist.Normal(0.0, 1.0), unit="1", source="test")

    def output(self, state, inputs):
        first, second, third = (jnp.asarray(x) for x in (self.root**2, self.second**2, self.third**2))
        return self.Output(level=first, amount=second, size=third)


@pytest.mark.slow
def test_all_modes_that_matter_are_sampled_however_many():
    record = Record.build({name: ([0.0], [4.0], "1") for name in OWN if name != "drive"}, own=OWN, start=0.0)
    sampled = Laplace(starts=48).sample(joint(Cube(), record), key=jax.random.key(0))
    octants = (sampled.positions.reshape(-1, 3) > 0) @ np.array([1, 2, 4])
    shares = np.bincount(octants, minlength=8) / len(octants)
    error = FIVE_ERRORS * np.sqrt(1 / 8 * 7 / 8 * (1 / sampled.importance_ess + 1 / len(octants)))
    np.testing.assert_allclose(shares, 1 / 8, atol=error)


def test_the_curvature_is_the_hessian_where_the_model_is_linear():
    record, values = drift_record()
    density = joint(Drift(), record)
    mean, covariance, _ = drift_posterior(values, dict(density.knots)["slope"])
    curvature = jax.jit(lambda q: quadratic(density, q)[2])(mean)
    np.testing.assert_allclose(np.linalg.inv(curvature), covariance, atol=1e-8)


def test_a_twin_without_measurements_is_drawn_from_its_prior():
    nothing = Record.admission({"weight": (70.0, "kg")}, own=OWN)
    sampled = Laplace(draws=1000).sample(joint(Washout(), nothing), key=jax.random.key(4))
    draws = sampled.positions.reshape(-1, 2)
    assert np.max(errors(draws, sampled.importance_ess, np.log([0.01, 10.0]))) < FIVE_ERRORS


def test_the_same_key_gives_the_same_draws():
    density, method = joint(Folded(), folded_record()), Laplace(draws=50, proposals=500)
    first, second = (method.sample(density, key=jax.random.key(5)).positions for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_another_patient_of_the_same_size_needs_no_new_compilation():
    def one(scale, weight):
        values = scale * np.array([10.0, 7.0, 5.0])
        record = Record.build(
            {"amount": ([0.0, 30.0, 60.0], values, "1")}, Inputs({}), {"weight": (weight, "kg")}, own=OWN
        )
        Laplace(draws=50, proposals=500).sample(joint(Washout(), record), key=jax.random.key(6))

    one(1.0, 70.0)
    before = len(Washout.traces)
    one(1.3, 81.0)
    assert len(Washout.traces) == before


class Hourly(Washout):
    step = 30.0


@pytest.mark.slow
def test_longer_records_in_the_same_bucket_need_no_new_compilation():
    def one(hours):
        times = 60.0 * np.arange(hours + 1)
        record = Record.build({"amount": (times, 10.0 * np.exp(-0.01 * times), "1")}, own=OWN)
        Laplace(draws=50, proposals=500).sample(joint(Hourly(), record), key=jax.random.key(6))

    one(17)
    before = len(Hourly.traces)
    one(18)
    one(19)
    assert len(Hourly.traces) == before
    one(70)  # more than the unit of 64 segments
    assert len(Hourly.traces) > before


@pytest.mark.slow
def test_a_model_that_can_be_solved_nowhere_says_so():
    class Broken(Washout):
        def vector_field(self, time, state, inputs):
            return self.State(amount=state.amount * np.nan)

    record = Record.build({"amount": ([0.0, 60.0], [10.0, 5.0], "1")}, Inputs({}), {"weight": (70.0, "kg")}, own=OWN)
    with pytest.raises(RuntimeError, match="could not be solved at any of 8 starting points"):
        Laplace().sample(joint(Broken(), record), key=jax.random.key(7))


def test_failed_solves_weigh_nothing():
    ratios = np.append(np.random.default_rng(0).normal(size=200), [-np.inf, -np.inf])
    assert np.all(smooth(ratios)[0][-2:] == -np.inf)


def test_equal_weights_have_the_best_khat():
    assert smooth(np.zeros(100))[1] == -np.inf


def test_heavy_weights_have_a_khat_above_the_limit():
    ratios = 2.0 * np.random.default_rng(0).standard_exponential(4000)  # a Pareto tail of shape 2
    assert smooth(ratios)[1] > 0.7


@pytest.mark.parametrize(("khat", "trusted"), [(0.69, True), (0.7, False), (np.inf, False), (np.nan, True)])
def test_draws_are_trusted_below_a_khat_of_seven_tenths(khat, trusted):
    sampled = Sampled(np.zeros((1, 1, 1)), {}, khat, np.nan, (), 0, 1, "test")
    assert sampled.trusted is trusted


@pytest.mark.slow
def test_chunks_change_no_density():
    density = joint(Folded(), folded_record())
    places = np.linspace(-2.0, 2.0, 7)[:, None]
    np.testing.assert_allclose(densities_at(density, places), [density.log_density(p) for p in places], rtol=1e-12)


def test_modes_come_most_probable_first():
    modes, *_ = find_modes(joint(Folded(), folded_record()), 8, 60, key=jax.random.key(8))
    assert modes[0].position[0] > 0 > modes[1].position[0]


def test_a_generator_continues_its_key_alone():
    first, second = (generator(jax.random.key(9)).normal() for _ in range(2))
    assert first == second
