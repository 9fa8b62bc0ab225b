import jax
import numpy as np
import pytest
from arviz_stats.base.array import array_stats

from tests.cases import Drift, Folded, drift_posterior, drift_record, folded_posterior, folded_record
from twinprob.inference.joint import joint
from twinprob.inference.methods.nuts import NUTS

FIVE_ERRORS = 5.0


@pytest.fixture(scope="module")
def linear():
    record, values = drift_record()
    density = joint(Drift(), record)
    sampled = NUTS(draws=500).sample(density, key=jax.random.key(1))
    return sampled, drift_posterior(values, dict(density.knots)["slope"])


def errors(positions, mean):
    """How many Monte Carlo standard errors the means of (chain, draw, unknown) are off, by the chains' own ESS."""
    ess = [array_stats.ess(positions[..., i], method="mean") for i in range(positions.shape[-1])]
    draws = positions.reshape(-1, positions.shape[-1])
    return np.abs(draws.mean(0) - mean) / (draws.std(0) / np.sqrt(ess))


def test_a_linear_gaussian_posterior_has_its_exact_means(linear):
    sampled, (mean, _, _) = linear
    assert np.max(errors(sampled.positions, mean)) < FIVE_ERRORS


def test_a_linear_gaussian_posterior_has_its_exact_spreads(linear):
    sampled, (mean, covariance, _) = linear
    assert np.max(errors((sampled.positions - mean) ** 2, np.diag(covariance))) < FIVE_ERRORS


def test_whitening_makes_short_trees(linear):
    assert np.mean(linear[0].stats["n_steps"]) < 16


def test_chains_agree(linear):
    sampled, _ = linear
    worst = max(array_stats.rhat(sampled.positions[..., i]) for i in range(sampled.positions.shape[-1]))
    assert worst < 1.02


def test_statistics_carry_the_names_of_the_schema(linear):
    expected = {
        "lp",
        "diverging",
        "n_steps",
        "tree_depth",
        "reached_max_treedepth",
        "acceptance_rate",
        "energy",
        "step_size",
    }
    assert set(linear[0].stats) == expected


def test_statistics_have_a_value_per_draw(linear):
    assert {values.shape for values in linear[0].stats.values()} == {(4, 500)}


@pytest.mark.slow
def test_the_log_density_is_that_of_the_draws(linear):
    sampled, _ = linear
    density = joint(Drift(), drift_record()[0])
    np.testing.assert_allclose(sampled.stats["lp"][0, 0], density.log_density(sampled.positions[0, 0]), rtol=1e-8)


@pytest.mark.slow
def test_chains_start_in_modes_by_their_weight():
    # A chain stays in the mode it starts in; with many chains the shares of the modes are those of their weights.
    chains = 40
    sampled = NUTS(chains=chains, draws=50, warmup=50).sample(joint(Folded(), folded_record()), key=jax.random.key(2))
    grid = np.linspace(-4.0, 4.0, 4001)
    exact = folded_posterior(grid)[grid > 0].sum()
    share = np.mean(np.mean(sampled.positions > 0, axis=(1, 2)))
    assert abs(share - exact) < FIVE_ERRORS * np.sqrt(exact * (1 - exact) / chains)


@pytest.mark.slow
def test_an_odd_number_of_chains_and_draws_comes_back_whole():
    sampled = NUTS(chains=3, draws=70, warmup=30).sample(joint(Folded(), folded_record()), key=jax.random.key(3))
    assert sampled.positions.shape == (3, 70, 1)


@pytest.mark.slow
def test_progress_ends_at_one():
    stages = []
    NUTS(chains=2, draws=20, warmup=30).sample(
        joint(Folded(), folded_record()),
        key=jax.random.key(4),
        progress=lambda stage, done: stages.append((stage, done)),
    )
    assert stages[-1] == ("sample", 1.0)
