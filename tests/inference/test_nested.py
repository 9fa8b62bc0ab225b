"""Nodes around a mode: what Laplace's approximation makes of a path, and of one whose curvature is none."""

import numpy as np
import pytest

from twinprob.inference.methods.climb import Split
from twinprob.inference.methods.nested import evaluate
from twinprob.inference.methods.pool import Climb, Climbed

PARTS = Split(np.array([True, True, False]), np.zeros(3, bool))
SOUND = np.array([[2.0, 0.5, 0.3], [0.5, 1.0, -0.2], [0.3, -0.2, 1.5]])


def nodes_of(curvatures):
    """The nodes that follow from climbs that end with these curvatures, at log densities 0, -1, -2, …"""
    asked = evaluate(PARTS, np.zeros((len(curvatures), 3)))
    assert isinstance(next(asked), Climb)
    count = len(curvatures)
    with pytest.raises(StopIteration) as end:
        asked.send(Climbed(np.zeros((count, 3)), -np.arange(count, dtype=float), np.zeros((count, 3)), curvatures))
    return end.value.value


def test_the_volume_around_a_path_is_that_of_its_normal():
    found = nodes_of(np.stack([SOUND, 4.0 * SOUND]))
    exact = [np.log(2 * np.pi) - 0.5 * np.log(np.linalg.det(scale * SOUND[:2, :2])) for scale in (1.0, 4.0)]
    assert found.log_marginals == pytest.approx(np.array(exact) - [0.0, 1.0])
    assert found.slopes[0] == pytest.approx(-np.linalg.solve(SOUND[:2, :2], SOUND[:2, 2:]))


@pytest.mark.parametrize("corner", [-1.0, np.nan, np.inf])
def test_a_node_whose_curvature_is_no_normals_has_no_volume_and_spares_the_others(corner):
    broken = SOUND.copy()
    broken[0, 0] = corner
    found = nodes_of(np.stack([SOUND, broken]))
    assert found.log_marginals[1] == -np.inf
    assert found.log_marginals[0] == pytest.approx(nodes_of(SOUND[None]).log_marginals[0])
    assert np.all(np.isfinite(found.slopes))
