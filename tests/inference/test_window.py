"""Twins of long records, of which the end is fitted at once: against the Kalman filter of the whole."""

import dataclasses
import math

import jax
import numpy as np
import pytest

import twinprob as tp
from tests.tank import DECAY, NOISE, Tank, beliefs, kalman, stay
from twinprob.inference.twin import load
from twinprob.inference.window import begin_of, windowed
from twinprob.modeling.process import OrnsteinUhlenbeck, RandomWalk

HOURS, WINDOW = 24, 8.0


@pytest.fixture(scope="module")
def data():
    return stay(HOURS, seed=3)


@pytest.fixture(scope="module")
def twin(data):
    return tp.fit(Tank(), data[0], key=jax.random.key(0), window=WINDOW)


def require_near(draws, mean, sd, count):
    """Mean and spread of draws (draw, unknown) within five Monte Carlo errors."""
    assert np.max(np.abs(draws.mean(0) - mean) / sd) < 5 / math.sqrt(count)
    assert np.max(np.abs(np.log(draws.std(0) / sd))) < 5 / math.sqrt(2 * count)


def test_the_beliefs_are_those_of_the_whole_record(twin, data):
    mean, sd = kalman(data[1])[-1]
    require_near(beliefs(twin), mean, sd, twin.effective_draws)


def test_the_forecast_is_that_of_the_whole_record(twin, data):
    mean, _ = kalman(data[1])[-1]
    ahead = tp.forecast(twin, hours=1, every="60 min", key=jax.random.key(1))
    found = ahead.group("predictions")["level"].values.reshape(-1, 1)
    draws = beliefs(twin)  # its own correlations stand in for the exact ones, which `kalman` does not return
    gain, fade = (1 - math.exp(-60 * DECAY)) / DECAY, math.exp(-60 * DECAY)
    spread = np.var(gain * draws[:, 2] + fade * draws[:, 3]) + NOISE**2 + (gain * 0.5 * 0.03) ** 2
    require_near(found, gain * (mean[2] + 0.05) + fade * mean[3], np.sqrt(spread), twin.effective_draws)


def test_the_twin_says_what_was_fitted_how(twin):
    assert twin.provenance["notes"][0].startswith("The last 8 h were fitted at once; what the 16 h before say")
    assert twin.past.time == 16 * 60.0
    assert twin.provenance["khat"] < 0.7
    assert twin.recent.start == twin.past.time
    assert twin.record.start == 0.0


def test_a_file_gives_it_back(twin, tmp_path):
    twin.save(tmp_path / "twin.nc")
    again = load(tmp_path / "twin.nc", own=(Tank,))
    assert again.past is not None
    np.testing.assert_array_equal(again.past.root, twin.past.root)
    assert again.recent == twin.recent


def test_an_update_goes_on_from_it(twin):
    record, values = stay(HOURS + 1, seed=3)
    later = tp.update(twin, record.between(twin.now, record.end), key=jax.random.key(2))
    mean, sd = kalman(values)[-1]
    require_near(beliefs(later)[:, 2:], mean[2:], sd[2:], twin.effective_draws / 2)


def test_identify_counts_what_is_known_from_before(twin):
    found = tp.identify(twin, key=jax.random.key(3))
    assert "first" in repr(found)


def test_twins_of_other_windows_are_not_compared(twin, data):
    moved = dataclasses.replace(twin, past=dataclasses.replace(twin.past, time=17 * 60.0))
    with pytest.raises(ValueError, match="fit both with one `window`"):
        tp.compare({"one": twin, "other": moved})


def test_nothing_from_the_window_enters_what_was_known_before(data):
    record, _ = data
    series = record.observations["level"]
    values = np.where(series.times >= 16 * 60.0, 50.0, series.values)
    other = record.with_observations({"level": (series.times, values, "1")}, own=("level",))
    found = [windowed(Tank(), r, None, None, WINDOW, key=jax.random.key(0)) for r in (record, other)]
    pasts = [jax.tree.leaves(window.past) for window in found if window is not None]
    assert len(pasts) == 2
    for a, b in zip(*pasts, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("process", "hours", "asked", "begin"),
    [
        (RandomWalk(sd=0.1, every="1 h"), 96, None, 0.0),
        (RandomWalk(sd=0.1, every="1 h"), 97, None, 65.0),
        (OrnsteinUhlenbeck(sd=0.1, timescale="90 min", every="15 min"), 30.1, None, 22.0),
        (RandomWalk(sd=0.1, every="4 h"), 24, 10.0, 12.0),
        (RandomWalk(sd=0.1, every="1 h"), 500, math.inf, 0.0),
        (None, 500, None, 0.0),
    ],
)
def test_a_window_begins_at_a_knot_and_only_in_a_long_record(process, hours, asked, begin):
    record = dataclasses.replace(stay(2)[0], end=60.0 * hours)
    assert begin_of(Tank().vary(supply=process), record, asked) == 60.0 * begin


@pytest.mark.parametrize("window", [0, -1.0, "24 h", True])
def test_a_window_that_is_no_time_is_refused(window, data):
    with pytest.raises(ValueError, match="Argument `window` must be a number of hours above zero"):
        tp.fit(Tank(), data[0], key=jax.random.key(0), window=window)
