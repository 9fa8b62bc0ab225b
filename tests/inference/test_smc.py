import math

import jax
import numpy as np
import numpyro.distributions as dist
import pytest
from arviz_stats.base.array import array_stats

from tests.cases import Drift, Folded, drift_posterior, drift_record, folded_posterior, folded_record
from twinprob.diagnostics.compare import log_evidence
from twinprob.inference.fit import fit
from twinprob.inference.joint import joint
from twinprob.inference.methods.smc import SMC, pool
from twinprob.modeling.process import RandomWalk

pytestmark = pytest.mark.slow

FIVE_ERRORS = 5.0
GRID = np.linspace(-4.0, 4.0, 4001)
FEW = SMC(particles=150, runs=8)


@pytest.fixture(scope="module")
def linear():
    record, values = drift_record()
    density = joint(Drift(), record)
    sampled = FEW.sample(density, key=jax.random.key(1))
    return sampled, drift_posterior(values, dict(density.knots)["slope"])


@pytest.fixture(scope="module")
def folded():
    return FEW.sample(joint(Folded(), folded_record()), key=jax.random.key(2))


@pytest.fixture(scope="module")
def volatile():
    """A drift whose volatility is unknown; its exact log evidence, and posterior of the log volatility on a grid."""
    record, values = drift_record(hours=12, seed=3)
    density = joint(Drift().vary(slope=RandomWalk(sd=dist.LogNormal(math.log(0.01), 0.7))), record)
    logs = np.linspace(-6.0, 6.0, 601) * 0.7 + math.log(0.01)
    knots = dict(density.knots)["slope"]
    likelihoods = np.array([drift_posterior(values, knots, sd=math.exp(v))[2] for v in logs])
    prior = np.exp(-0.5 * ((logs - math.log(0.01)) / 0.7) ** 2)
    weights = prior / prior.sum() * np.exp(likelihoods - likelihoods.max())
    exact = float(np.log(weights.sum()) + likelihoods.max())
    sampled = FEW.sample(density, key=jax.random.key(3))
    place = density.layout()["slope_volatility"].start
    return sampled, exact, sampled.positions[..., place], logs @ weights / weights.sum()


def errors(positions, mean):
    """How many Monte Carlo standard errors the means of (chain, draw, unknown) are off."""
    ess = [array_stats.ess(positions[..., i], method="mean") for i in range(positions.shape[-1])]
    draws = positions.reshape(-1, positions.shape[-1])
    return np.abs(draws.mean(0) - mean) / (draws.std(0) / np.sqrt(ess))


def evidence_errors(sampled, exact):
    """How many Monte Carlo standard errors the log evidence is off."""
    found, error = pool(sampled.stats["log_marginal_likelihood"][:, -1])
    return abs(found - exact) / error


def test_a_linear_gaussian_posterior_has_its_exact_means(linear):
    sampled, (mean, _, _) = linear
    assert np.max(errors(sampled.positions, mean)) < FIVE_ERRORS


def test_a_linear_gaussian_posterior_has_its_exact_spreads(linear):
    sampled, (mean, covariance, _) = linear
    assert np.max(errors((sampled.positions - mean) ** 2, np.diag(covariance))) < FIVE_ERRORS


def test_a_linear_gaussian_model_has_its_exact_evidence(linear):
    sampled, (_, _, exact) = linear
    assert evidence_errors(sampled, exact) < FIVE_ERRORS


def test_the_error_of_the_evidence_is_small(linear):
    assert pool(linear[0].stats["log_marginal_likelihood"][:, -1])[1] < 0.1


def test_most_draws_of_a_linear_gaussian_posterior_are_effective(linear):
    assert linear[0].importance_ess > 0.5 * 150 * 8


def test_the_weights_of_a_linear_gaussian_posterior_are_trusted(linear):
    assert linear[0].trusted


def test_the_log_density_is_that_of_the_draws(linear):
    density = joint(Drift(), drift_record()[0])
    np.testing.assert_allclose(linear[0].stats["lp"][3, 7], density.log_density(linear[0].positions[3, 7]), rtol=1e-8)


def share_errors(sampled):
    """How many standard errors, by the runs' disagreement, the share of the positive root is off."""
    shares = np.mean(sampled.positions > 0, axis=(1, 2))
    exact = folded_posterior(GRID)[GRID > 0].sum()
    return abs(shares.mean() - exact) / (shares.std(ddof=1) / np.sqrt(len(shares)))


def test_both_roots_keep_their_weights(folded):
    assert share_errors(folded) < FIVE_ERRORS


def test_every_run_holds_both_roots(folded):
    assert np.all(np.abs(np.mean(folded.positions > 0, axis=(1, 2)) - 0.5) < 0.45)


def test_modes_carry_the_share_of_the_draws(folded):
    assert folded.modes[0][2] == pytest.approx(np.mean(folded.positions > 0))


def test_a_model_with_two_modes_has_its_exact_evidence(folded):
    logs = sum(-0.5 * ((v - GRID**2) / 0.5) ** 2 - math.log(0.5 * math.sqrt(2 * math.pi)) for v in (4.2, 3.7, 4.1))
    logs = logs - 0.5 * (GRID - 0.2) ** 2 - 0.5 * math.log(2 * math.pi)
    assert evidence_errors(folded, np.log(np.sum(np.exp(logs)) * (GRID[1] - GRID[0]))) < FIVE_ERRORS


@pytest.mark.slow
def test_a_mode_that_the_search_missed_comes_from_the_prior():
    sampled = SMC(particles=150, runs=8, starts=1).sample(joint(Folded(), folded_record()), key=jax.random.key(4))
    assert share_errors(sampled) < FIVE_ERRORS


@pytest.mark.slow
def test_an_unknown_volatility_is_integrated_in_the_evidence(volatile):
    sampled, exact, _, _ = volatile
    assert evidence_errors(sampled, exact) < FIVE_ERRORS


@pytest.mark.slow
def test_an_unknown_volatility_has_its_exact_mean(volatile):
    _, _, logs, mean = volatile
    assert np.abs(logs.mean() - mean) < FIVE_ERRORS * logs.std() / np.sqrt(array_stats.ess(logs, method="mean"))


def test_the_same_key_gives_the_same_draws(folded):
    again = FEW.sample(joint(Folded(), folded_record()), key=jax.random.key(2))
    np.testing.assert_array_equal(again.positions, folded.positions)


@pytest.mark.slow
def test_runs_that_disagree_are_reported():
    starved = SMC(particles=4, runs=8, effective=0.1, moves=1, finish=0)
    sampled = starved.sample(joint(Drift(), drift_record()[0]), key=jax.random.key(6))
    assert "log evidences differ" in sampled.notes[0]


def test_evidences_are_pooled_on_their_own_scale():
    np.testing.assert_allclose(pool(np.log([1.0, 3.0])), [math.log(2.0), 0.5])


def test_fit_takes_it_as_a_method(linear):
    found, error = log_evidence(fit(Drift(), drift_record()[0], key=jax.random.key(7), method=FEW))
    assert abs(found - linear[1][2]) < FIVE_ERRORS * error
