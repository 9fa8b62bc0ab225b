import jax
import numpy as np
import pytest
from arviz_stats.base.array import array_stats

from tests.cases import Drift, Folded, drift_posterior, drift_record, folded_record
from tests.twins import KNOWN
from twinprob.inference.fit import fit
from twinprob.inference.joint import joint
from twinprob.inference.methods.nuts import NUTS
from twinprob.inference.methods.variational import Variational
from twinprob.models.metabolic import ICING
from twinprob.readers.examples import load_example

pytestmark = pytest.mark.slow

FIVE_ERRORS = 5.0


def errors(sampled, mean):
    """How many Monte Carlo standard errors the means of the draws are off."""
    draws = sampled.positions.reshape(-1, sampled.positions.shape[-1])
    return np.abs(draws.mean(0) - mean) / (draws.std(0) * np.sqrt(1 / sampled.importance_ess + 1 / len(draws)))


@pytest.fixture(scope="module", params=[0, 3], ids=["full", "low rank"])
def linear(request):
    record, values = drift_record()
    density = joint(Drift(), record)
    sampled = Variational(rank=request.param, draws=1000).sample(density, key=jax.random.key(1))
    return sampled, drift_posterior(values, dict(density.knots)["slope"])


def test_a_linear_gaussian_posterior_has_its_exact_means(linear):
    sampled, (mean, _, _) = linear
    assert np.max(errors(sampled, mean)) < FIVE_ERRORS


def test_a_linear_gaussian_posterior_has_its_exact_spreads(linear):
    sampled, (mean, covariance, _) = linear
    draws = (sampled.positions.reshape(-1, len(mean)) - mean) ** 2
    off = np.abs(draws.mean(0) - np.diag(covariance)) / (draws.std(0) * np.sqrt(2 / sampled.importance_ess))
    assert np.max(off) < FIVE_ERRORS


def test_a_linear_gaussian_posterior_is_trusted(linear):
    assert linear[0].khat < 0.5


def test_nearly_every_proposal_counts_where_the_posterior_is_normal(linear):
    assert linear[0].importance_ess > 0.9 * 4000


def test_the_bound_stays_below_the_evidence_and_close(linear):
    # The bound is a mean of noisy estimates over the last steps.
    sampled, (_, _, evidence) = linear
    assert -0.2 < sampled.settings["evidence_bound"] - evidence < 0.02


def test_a_trusted_fit_has_nothing_to_say(linear):
    assert linear[0].notes == ()


@pytest.fixture(scope="module")
def folded():
    return Variational(draws=50).sample(joint(Folded(), folded_record()), key=jax.random.key(2))


def test_a_mode_that_is_not_covered_is_reported(folded):
    assert "covers one mode of 2; the others hold 31 %" in folded.notes[-1]


def test_a_posterior_that_is_not_normal_is_reported_in_the_twin():
    twin = fit(Folded(), folded_record(), key=jax.random.key(2), method=Variational(draws=50))
    assert any("its normal density misses the posterior" in note for note in twin.provenance["notes"])


def test_the_same_key_gives_the_same_draws():
    density, method = joint(Folded(), folded_record()), Variational(steps=100, draws=50, proposals=200)
    first, second = (method.sample(density, key=jax.random.key(4)).positions for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.slow
def test_a_real_model_agrees_with_no_u_turn_chains():
    density = joint(ICING(), load_example("icu_glucose", stay=3).until(KNOWN))
    ours = Variational().sample(density, key=jax.random.key(5))
    assert ours.trusted
    chains = NUTS(draws=300).sample(density, key=jax.random.key(6)).positions
    reference = chains.reshape(-1, chains.shape[-1])
    ess = np.array([array_stats.ess(chains[..., i], method="mean") for i in range(chains.shape[-1])])
    off = ours.positions.reshape(-1, chains.shape[-1]).mean(0) - reference.mean(0)
    error = reference.std(0) * np.sqrt(1 / ess + 1 / ours.importance_ess + 1 / 2000)
    assert np.max(np.abs(off) / error) < FIVE_ERRORS
