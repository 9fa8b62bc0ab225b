from dataclasses import replace

import jax
import numpy as np
import pytest

from tests.tank import Tank, stay
from twinprob.inference.fit import posed
from twinprob.inference.methods.laplace import Laplace
from twinprob.inference.resize import resized


@pytest.fixture(scope="module")
def sampled():
    density, *_ = posed(Tank(), stay(3, seed=0)[0], None, {}, None)
    return density, Laplace(starts=2, chains=2, draws=10, proposals=300, nodes=6).sample(density, key=jax.random.key(0))


@pytest.mark.parametrize("extra", [-3, 7])
def test_a_path_padded_otherwise_has_the_same_density_of_the_data(sampled, extra):
    density, found = sampled
    place = next(place for name, place in density.layout().items() if name.endswith("_innovations"))
    cut = np.concatenate([found.positions[..., : place.stop + min(extra, 0)], np.ones((2, 10, max(extra, 0)))], axis=-1)
    other = np.concatenate([cut, found.positions[..., place.stop :]], axis=-1)
    again = resized(density, replace(found, positions=other, modes=())).positions
    means = [np.asarray(density.means(density.constrain(x[0, 0]))[0]["level"]) for x in (found.positions, again)]
    np.testing.assert_array_equal(means[1], means[0])


def test_draws_of_other_unknowns_are_refused(sampled):
    density, found = sampled
    with pytest.raises(ValueError, match="unknowns, where model `Tank` has"):
        resized(density, replace(found, positions=found.positions[..., :1]))
