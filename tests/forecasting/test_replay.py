"""The past again under another treatment: against the closed form of a linear model, and what it refuses."""

import jax
import numpy as np
import pytest

import twinprob as tp
from tests.tank import DECAY, OWN, Tank, stay

KEY = jax.random.key(3)
FROM, MORE = 240.0, 0.05  # min; 1/min beyond the 0.05 that was given


@pytest.fixture(scope="module")
def twin():
    return tp.fit(Tank(), stay(8)[0], key=KEY, method=tp.Laplace(draws=100, proposals=400))


@pytest.fixture(scope="module")
def replayed(twin):
    return tp.replay(twin, tp.Inputs.infusions("drive", FROM, np.inf, 0.05 + MORE, "1/min", own=OWN))


def test_every_draw_differs_by_what_the_equation_says(replayed):
    difference = replayed.group("replayed")["level"].values - replayed.group("as_given")["level"].values
    expected = MORE / DECAY * (1.0 - np.exp(-DECAY * np.maximum(replayed.times - FROM, 0.0)))
    np.testing.assert_allclose(difference, np.broadcast_to(expected, difference.shape), rtol=1e-5, atol=1e-8)


def test_the_past_as_given_is_the_twins_own(twin, replayed):
    own = twin.group("trajectory")
    places = [int(np.argmin(np.abs(own["time"].values - time))) for time in replayed.times]
    assert np.allclose(own["time"].values[places], replayed.times)
    np.testing.assert_allclose(own["level"].values[..., places], replayed.group("as_given")["level"].values, rtol=1e-9)


def test_a_summary_tells_the_difference_draw_by_draw(replayed):
    last = replayed.summary().groupby("variable").tail(1).set_index("variable")
    assert last["difference_upper"]["level"] - last["difference_lower"]["level"] < 1e-6
    assert last["as_given_upper"]["level"] - last["as_given_lower"]["level"] > 0.1


def test_what_is_not_named_stays_as_it_was(twin):
    same = tp.replay(twin, twin.record.inputs)
    assert np.array_equal(same.group("replayed")["level"].values, same.group("as_given")["level"].values)


def test_it_says_what_it_assumes(replayed):
    said = repr(replayed)
    assert "0 min to 8 h, otherwise: drive" in said
    assert "supply moved as the data told" in said


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        (tp.Inputs.infusions("insulin", 0, 60, 1.0, "U/h"), "no input `insulin`"),
        (tp.Inputs.infusions("drive", 600, 660, 0.1, "1/min", own=OWN), "the twin's past ends at 480 min"),
        (tp.Inputs(), "names no input"),
    ],
)
def test_what_cannot_be_replayed_is_refused(twin, inputs, says):
    with pytest.raises(ValueError, match=says):
        tp.replay(twin, inputs)


def test_an_updated_twin_is_refused_with_the_remedy(twin):
    quiet = tp.Record({}, tp.Inputs(), {}, twin.now, twin.now + 60.0)
    with pytest.raises(ValueError, match="the twin as `fit` returned it"):
        tp.replay(tp.update(twin, quiet, key=KEY), twin.record.inputs)
