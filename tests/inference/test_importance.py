"""Proposals and their weights against SciPy and closed forms."""

import numpy as np
import pytest
import scipy.special
import scipy.stats

from twinprob.inference.methods.importance import Mixture, kernels
from twinprob.inference.methods.nuts import _stats

CHANCE = np.random.default_rng(5)


def test_the_density_of_a_mixture_is_that_of_its_student_t():
    root = np.array([[2.0, 0.0], [0.7, 0.3]])
    centers, weights = np.array([[0.0, 1.0], [4.0, -2.0]]), np.array([0.3, 0.7])
    points = CHANCE.normal(size=(20, 2)) * 3.0
    each = [scipy.stats.multivariate_t(center, root @ root.T, df=5.0).logpdf(points) for center in centers]
    expected = scipy.special.logsumexp(np.stack(each), b=weights[:, None], axis=0)
    np.testing.assert_allclose(Mixture(centers, root, weights, 5.0).log_density(points), expected, rtol=1e-10)


@pytest.mark.parametrize("width", [0.3, 0.8])
def test_kernels_keep_mean_and_covariance_of_the_points(width):
    points, weights = CHANCE.normal(size=(50, 2)) @ np.array([[1.0, 0.4], [0.0, 2.0]]), CHANCE.dirichlet(np.ones(50))
    mixture = kernels(points, weights, width, 1e9)  # so many degrees of freedom that a kernel is normal
    mean = weights @ points
    away = mixture.centers - weights @ mixture.centers
    spread = (weights[:, None] * away).T @ away + mixture.root @ mixture.root.T
    np.testing.assert_allclose(weights @ mixture.centers, mean, atol=1e-12)
    np.testing.assert_allclose(spread, (weights[:, None] * (points - mean)).T @ (points - mean), rtol=1e-6)


def test_a_tree_that_is_full_has_reached_its_depth():
    # A tree of depth d takes 2^d - 1 steps.
    steps = np.array([1022, 1023])
    names = ("potential_energy", "diverging", "accept_prob", "energy", "step_size")
    found = _stats({"num_steps": steps, **{name: np.zeros(2) for name in names}}, 10)
    assert found["reached_max_treedepth"].tolist() == [False, True]
