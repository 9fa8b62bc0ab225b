"""Levels under scatter that lasts, bands told from the past, and changes at a stated false rate, against known laws."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from twinprob.breaths import bands, levels
from twinprob.breaths.bands import band
from twinprob.breaths.tracking import KEPT, begin, follow


def autoregression(count, lasting, chance, freedom=math.inf):
    """Return a stationary autoregression of the first order with unit variance."""
    steps = chance.standard_normal(count)
    if math.isfinite(freedom):
        steps = chance.standard_t(freedom, count) * math.sqrt(1.0 - 2.0 / freedom)
    found = np.empty(count)
    found[0] = steps[0]
    for k in range(1, count):
        found[k] = lasting * found[k - 1] + math.sqrt(1.0 - lasting**2) * steps[k]
    return found


def follow_all(belief, values):
    for value in values:
        belief = follow(belief, float(value), 0.02)
    return belief


# ---- levels --------------------------------------------------------------------------------------------------------


def test_a_level_and_a_deviation_run_ahead_as_simulated():
    chance, draws, ahead = np.random.default_rng(0), 100_000, 7
    state = follow_all(begin(0.0, 0.5), 0.05 * chance.standard_normal(30)).levels
    member = int(np.argmax((levels.LASTING == 0.8) & (levels.SCATTER > 0.03) & (levels.DRIFT > 0.009)))
    covariance = np.array(
        [
            [state.variances[member], state.shared[member]],
            [state.shared[member], state.off_variances[member]],
        ]
    )
    level, off = chance.multivariate_normal([state.means[member], state.offs[member]], covariance, draws).T
    for _ in range(ahead):
        level = level + levels.DRIFT[member] * chance.standard_normal(draws)
        off = 0.8 * off + math.sqrt(1 - 0.8**2) * levels.SCATTER[member] * chance.standard_normal(draws)
    for measured, simulated in ((False, level), (True, level + off)):
        mean, sd = state.ahead(ahead, measured=measured, spread=1.0)
        assert mean[member] == pytest.approx(simulated.mean(), abs=4 * simulated.std() / math.sqrt(draws))
        assert sd[member] == pytest.approx(simulated.std(), rel=4 / math.sqrt(2 * draws))


def test_scatter_that_lasts_leaves_the_level_less_known():
    chance = np.random.default_rng(1)
    widths = []
    for lasting in (0.0, 0.9):
        _, low, high = follow_all(begin(0.0, 0.5), 0.05 * autoregression(300, lasting, chance)).interval(0.9)
        widths.append(high - low)
    assert widths[1] > 2.0 * widths[0]


def test_the_level_lies_in_its_interval():
    chance, hits = np.random.default_rng(2), []
    for _ in range(24):
        _, low, high = follow_all(begin(0.0, 0.5), 0.05 * autoregression(200, 0.6, chance)).interval(0.9)
        hits.append(low < 0.0 < high)
    assert np.mean(hits) > 0.9 - 3 * math.sqrt(0.09 / 24)


# ---- changes -------------------------------------------------------------------------------------------------------


def test_normal_surprises_call_changes_at_the_stated_rate(monkeypatch):
    monkeypatch.setattr(levels, "_SAFETY", 1.0)
    stated, watch, called = 1 / 1000, levels.Watch(1 / 1000), 0
    for surprise in np.random.default_rng(3).standard_normal(60_000):
        watch = levels.watched(watch, surprise)
        called += watch.called
    # Siegmund's formula is an approximation, and nothing counts for more than three SDs.
    assert stated * 60_000 * 0.4 < called < stated * 60_000 * 1.5


def test_surprises_that_last_raise_the_threshold_by_their_long_run_variance():
    chance, lasting = np.random.default_rng(4), 0.5
    watch = levels.Watch(1e-5)
    bars = []
    for surprise in autoregression(6000, lasting, chance):
        watch = levels.watched(watch, surprise)
        bars.append(watch.threshold)
    variance = (1 + lasting) / (1 - lasting)
    expected = 0.5 * variance * math.log(4 / (1e-5 / 30 * variance)) - 1.166 * math.sqrt(variance)
    assert np.mean(bars[2000:]) == pytest.approx(expected, rel=0.1)


def test_no_change_is_called_of_scatter_that_lasts():
    belief, called = begin(3.0, 0.5), 0
    for value in 3.0 + 0.08 * autoregression(4000, 0.6, np.random.default_rng(5), freedom=4.0):
        belief = follow(belief, float(value), 0.02)
        called += belief.changed
    assert called == 0


def test_after_a_change_bands_are_told_from_the_breaths_since():
    chance = np.random.default_rng(6)
    belief = follow_all(begin(3.0, 0.5), 3.0 + 0.03 * chance.standard_normal(300))
    assert belief.past.shape == (2, 300)
    belief = follow_all(belief, 3.5 + 0.03 * chance.standard_normal(60))
    assert 50 <= belief.past.shape[1] <= 61
    _, low, high = belief.interval(0.9, ahead=40, measured=True)
    assert 3.4 < low < 3.5 < high < 3.6


def test_a_false_rate_beyond_reason_is_refused():
    with pytest.raises(ValueError, match=r"`false_changes` must be above 0 and at most 0\.1, but is 0\.5"):
        begin(3.0, 0.5, false_changes=0.5)


# ---- bands ---------------------------------------------------------------------------------------------------------


def expected_score(low, high, mean=0.0, sd=1.0, ci_prob=0.9):
    """The interval score that a normal value has in expectation (Gneiting and Raftery, JASA 2007)."""
    a, b = (low - mean) / sd, (high - mean) / sd
    outside = sd * (a * norm.cdf(a) + norm.pdf(a) + norm.pdf(b) - b * norm.sf(b))
    return high - low + 2.0 / (1.0 - ci_prob) * outside


@pytest.mark.parametrize(("lasting", "ahead"), [(0.3, 40), (0.9, 40), (0.9, 800)])
def test_bands_of_a_lung_about_a_long_run_level_beat_quantiles_of_the_last_hundred(lasting, ahead):
    chance, held = np.random.default_rng(7), []
    scores: dict[str, list[float]] = {"band": [], "last 100": []}
    for _ in range(16):
        past = autoregression(1500, lasting, chance)
        _, low, high = band(past, ahead, 0.9)
        held.append(norm.cdf(high) - norm.cdf(low))  # so far ahead, the last breath says nothing
        scores["band"].append(expected_score(low, high))
        scores["last 100"].append(expected_score(*np.quantile(past[-100:], [0.05, 0.95])))
    assert 0.87 < np.mean(held) < 0.95
    assert np.mean(scores["band"]) < np.mean(scores["last 100"])


def test_bands_of_a_level_that_wanders_are_as_wide_as_they_had_to_be():
    chance, near = np.random.default_rng(8), 0.998
    held: dict[int, list[float]] = {40: [], 800: []}
    for _ in range(12):
        level = 1.5 * autoregression(6000, near, chance)
        past = level + chance.standard_normal(6000)
        for ahead, found in held.items():
            _, low, high = band(past, ahead, 0.9)
            mean, sd = level[-1] * near**ahead, math.sqrt(1.0 + 1.5**2 * (1.0 - near ** (2 * ahead)))
            found.append(norm.cdf((high - mean) / sd) - norm.cdf((low - mean) / sd))
    assert 0.85 < np.mean(held[40]) < 0.95
    assert 0.80 < np.mean(held[800]) < 0.97


def test_breaths_that_are_alike_count_for_fewer():
    chance = np.random.default_rng(9)
    for lasting in (0.0, 0.6, 0.9):
        counts = [bands._independent(autoregression(4000, lasting, chance)) for _ in range(12)]
        assert np.mean(counts) == pytest.approx(4000 * (1 - lasting) / (1 + lasting), rel=0.25)


def test_a_band_of_few_breaths_is_a_prediction_interval_of_normal_values():
    chance, held = np.random.default_rng(10), []
    for _ in range(400):
        _, low, high = band(chance.standard_normal(25), 1, 0.9)
        held.append(norm.cdf(high) - norm.cdf(low))
    assert 0.88 < np.mean(held) < 0.94


def test_breaths_with_the_same_flags_have_a_band_of_their_own():
    chance, belief = np.random.default_rng(11), begin(3.0, 0.5)
    for k in range(240):
        flagged = k % 3 == 0
        belief = follow(belief, 3.0 + (0.2 if flagged else 0.02) * chance.standard_normal(), 0.02, spread=4.0**flagged)
    widths = [np.diff(belief.interval(0.9, ahead=40, measured=True, spread=spread)[1:])[0] for spread in (1.0, 4.0)]
    assert widths[1] > 4.0 * widths[0]


def test_what_is_kept_does_not_grow():
    belief = begin(3.0, 0.5)
    filled = np.zeros((2, 256))
    belief = type(belief)(belief.levels, belief.watch, (filled,) * (KEPT // 256), np.zeros((2, 255)))
    assert follow(belief, 3.0, 0.02).past.shape[1] <= KEPT
