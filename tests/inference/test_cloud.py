"""A cloud of particles: its effective number, and how draws are spread to it."""

import numpy as np
import pytest

from twinprob.inference.methods.cloud import Cloud, _spread
from twinprob.inference.methods.filter import Filter


def test_the_effective_number_is_that_of_the_weights():
    weights = np.array([0.7, 0.1, 0.1, 0.1])
    assert Cloud(0.0, np.zeros((4, 1)), np.log(weights)).effective == pytest.approx(1.0 / np.sum(weights**2))


def test_a_particle_keeps_as_much_of_its_draw_as_its_kernel_leaves():
    settings, draws = Filter(particles=4000, width=0.8), np.random.default_rng(0).normal(size=(4000, 1))
    spread = _spread(draws, 0, settings, np.random.default_rng(7))
    own = draws[np.random.default_rng(7).permutation(4000)]
    # Kernels .8 as wide as the draws: correlation sqrt(1 - .8²) = .6, five standard errors of it on each side.
    assert np.corrcoef(spread[:, 0], own[:, 0])[0, 1] == pytest.approx(0.6, abs=5 * 0.64 / np.sqrt(4000))
    np.testing.assert_allclose([spread.mean(), spread.std()], [draws.mean(), draws.std()], rtol=1e-6, atol=1e-9)
