import jax
import numpy as np
import pytest

from twinprob.modeling.process import OrnsteinUhlenbeck, RandomWalk

WALK = RandomWalk(sd=0.3, every="30 min")
MEAN_REVERTING = OrnsteinUhlenbeck(sd=0.5, timescale="12 h", every="1 h")
KICKS = np.random.default_rng(0).normal(size=(20000, 25))
ERROR = np.sqrt(2 / len(KICKS))  # relative Monte Carlo error of a variance


def test_a_random_walk_begins_at_its_base():
    assert WALK.path(1.5, np.ones(4), 0.3)[0] == 1.5


def test_a_random_walk_spreads_by_its_sd_in_an_hour():
    paths = jax.vmap(lambda kicks: WALK.path(0.0, kicks, 0.3))(KICKS)
    assert abs(np.var(paths[:, 2]) / 0.3**2 - 1) < 5 * ERROR


@pytest.mark.parametrize("knot", [0, 5, 24])
def test_a_mean_reverting_path_is_stationary(knot):
    paths = jax.vmap(lambda kicks: MEAN_REVERTING.path(2.0, kicks, 0.5))(KICKS)
    assert abs(np.var(paths[:, knot]) / 0.5**2 - 1) < 5 * ERROR


def test_a_mean_reverting_path_forgets_within_its_timescale():
    paths = jax.vmap(lambda kicks: MEAN_REVERTING.path(2.0, kicks, 0.5))(KICKS)
    correlation = np.corrcoef(paths[:, 3], paths[:, 15])[0, 1]
    assert abs(correlation - np.exp(-1)) < 5 / np.sqrt(len(KICKS))


@pytest.mark.parametrize("process", [WALK, MEAN_REVERTING])
def test_a_path_extended_is_the_longer_path(process):
    kicks = KICKS[0, :12]
    whole = process.path(1.0, kicks, 0.4)
    rest = process.extend(1.0, whole[6], kicks[7:], 0.4)
    np.testing.assert_allclose(rest, whole[7:], rtol=1e-12)


def test_the_interval_is_in_minutes():
    assert WALK.interval == 30.0
