"""What became of a twin's own forecasts, against the exact predictive of a Kalman filter."""

import math

import jax
import numpy as np
import pytest
from scipy import stats

from tests.tank import NOISE, OWN, Tank, kalman, predictive, stay
from twinprob.inference.fit import fit
from twinprob.inference.outcomes import Outcomes, outcomes_of
from twinprob.inference.twin import load
from twinprob.inference.update import update
from twinprob.patient.record import Record

FIRST, LAST = 4, 10


@pytest.fixture(scope="module")
def later():
    """The tank after six hourly updates."""
    record, _ = stay(LAST)
    twin = fit(Tank(), record.until(60.0 * FIRST), key=jax.random.key(1))
    assert len(outcomes_of(twin)) == 0
    for hour in range(FIRST + 1, LAST + 1):
        twin = update(twin, record.between(twin.now, 60.0 * hour), key=jax.random.key(hour))
    return twin


@pytest.fixture(scope="module")
def surprised(later):
    """The tank after a value so far off that the whole record was fitted again."""
    gross = Record.build({"level": ([later.now + 60.0], [40.0], "1")}, own=OWN, start=later.now)
    return update(later, gross, key=jax.random.key(0))


def test_each_value_lies_where_the_exact_predictive_has_it(later):
    _, values = stay(LAST)
    found, answers = outcomes_of(later).of("level"), kalman(values)
    assert np.allclose(found.times, 60.0 * np.arange(FIRST + 1, LAST + 1))
    assert np.allclose(found.ahead, 60.0)
    for hour, pit in zip(range(FIRST + 1, LAST + 1), found.pits, strict=True):
        mean, variance = predictive(answers, values, hour)
        expected = stats.norm(mean, math.sqrt(variance + NOISE**2)).cdf(values[hour])
        # Of the draws a fit began with; a PIT moves by less than their standardized mean does.
        assert abs(pit - expected) < 5 * 0.5 / math.sqrt(later.effective_draws)


def test_they_outlive_a_fit_of_the_whole_record(later, surprised):
    assert surprised.provenance["updates"][-1]["refit"] is not None
    before, after = outcomes_of(later), outcomes_of(surprised)
    assert np.array_equal(after.pits[:-1], before.pits)
    assert after.pits[-1] > 0.9999


def test_a_file_gives_them_back(surprised, tmp_path):
    surprised.save(tmp_path / "twin.nc")
    again = outcomes_of(load(tmp_path / "twin.nc", own=(Tank,)))
    assert again.variables.tolist() == outcomes_of(surprised).variables.tolist()
    assert np.array_equal(again.pits, outcomes_of(surprised).pits)


def test_of_one_value_the_first_forecast_counts():
    first, second = (Outcomes(np.array([60.0]), np.array([60.0]), np.array([p]), np.array(["x"])) for p in (0.1, 0.9))
    assert first.then(second).pits.tolist() == [0.1]


def test_how_surprising_a_value_was_counts_both_sides(later):
    pit = outcomes_of(later).pits[-1]
    assert later.provenance["updates"][-1]["tail"] == pytest.approx(2.0 * min(pit, 1.0 - pit), rel=1e-6)
