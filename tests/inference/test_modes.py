"""Modes of a density whose noise has an unknown size: weighed at the size that fits."""

import jax
import numpy as np
import pytest

import twinprob as tp
from tests.own_models import Bent, bent_posterior, bent_record
from twinprob.inference.joint import joint
from twinprob.inference.methods.climb import Split
from twinprob.inference.methods.laplace import Explored, Laplace, weighed_again
from twinprob.inference.methods.modes import Mode, at_sizes
from twinprob.inference.methods.nested import Nodes
from twinprob.inference.methods.pool import Climbed

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def record():
    return bent_record()


@pytest.fixture(scope="module")
def fitted(record):
    return [tp.fit(Bent(), record, key=jax.random.key(k), method=Laplace(draws=250)) for k in range(3)]


def test_the_smaller_mode_has_its_exact_weight_for_every_key(fitted, record):
    roots, _, weights = bent_posterior(record)
    exact = weights[roots < 0].sum()
    assert exact > 0.1
    for twin in fitted:
        share = float(np.mean(twin.tree["posterior"]["root"].values < 0))
        assert abs(share - exact) < 5 * np.sqrt(exact * (1 - exact) / twin.effective_draws)


def test_the_modes_of_the_tree_are_maxima(fitted, record):
    modes, density = fitted[0].tree["modes"], joint(Bent(), record)
    for root, size in zip(modes["root"].values, modes["level_additive"].values, strict=True):
        position = density.unconstrain({"root": root, "level_additive": size})
        np.testing.assert_allclose(jax.jit(jax.grad(density.log_density))(position), 0.0, atol=1e-2)


def _ends(method, answers):
    """Run a method that asks for climbs, each answered by the next function of its question."""
    question = next(method)
    for answer in answers:
        try:
            question = method.send(answer(question))
        except StopIteration as end:
            return end.value
    raise AssertionError("the method asked for more")


def test_beside_a_path_a_mode_is_weighed_again_at_the_fitted_sizes():
    parts = Split(np.array([True, False, False]), np.array([False, False, True]))
    best, minor = (Mode(np.array([0.0, x, 0.0]), value, np.eye(3)) for x, value in ((2.0, 0.0), (-2.0, -50.0)))
    nodes = Nodes(np.array([[0.0, 2.0, 1.0], [0.0, 2.0, 2.0]]), np.zeros(2), np.empty((2, 1, 2)), np.empty((2, 1, 1)))
    found = [Explored(best, nodes, np.array([0.25, 0.75]), 0.0)]

    def closer(question):
        assert np.all(question.starts[:, 2] == 1.75)
        values = np.where(question.starts[:, 1] > 0, 0.0, -2.0)
        return Climbed(question.starts, values, np.zeros((2, 3)), np.broadcast_to(np.eye(3), (2, 3, 3)))

    again, left = _ends(weighed_again(parts, found, [minor], Laplace()), [closer])
    assert [mode.position[1] for mode in again] == [-2.0]
    assert left == []


def test_scales_are_held_where_modes_are_weighed_at_given_sizes():
    parts = Split(np.array([False, False]), np.array([False, True]))
    mode = Mode(np.zeros(2), 0.0, np.eye(2))

    def held(question):
        np.testing.assert_array_equal(question.moving, [True, False])
        return Climbed(question.starts, np.zeros(1), np.zeros((1, 2)), np.eye(2)[None])

    (there,) = _ends(at_sizes(parts, [mode], np.array([3.0]), 5, 1e-6), [held])
    assert there.position[1] == 3.0
