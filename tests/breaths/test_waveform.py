"""Waveforms: reading, cutting into breaths, and estimates breath by breath."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import twinprob as tp
from twinprob.breaths.estimates import estimate, pool
from twinprob.breaths.tracking import Tracking, begin, follow, update_breath
from twinprob.models.respiratory.breaths import _phases, segment

COLUMNS = {"pressure": ("pressure", "cmH2O"), "flow": ("flow", "L/s")}
RATE = 100


def waveform(elastance=25.0, resistance=8.0, rohrer=5.0, *, breaths=6, noise=0.0, effort=(), seed=0, peep=6.0):
    """Samples of volume-controlled breaths with a pause; `effort` lists breaths that begin with a pull of 14 cmH2O."""
    t = np.arange(0.0, 3.0, 1.0 / RATE)
    flow = np.where(t < 0.8, 0.6, np.where(t < 1.0, 0.0, -1.0))
    V, q = 0.48, []
    for _ in range(int(np.sum(t >= 1.0))):
        q.append(-(np.sqrt(resistance**2 + 4 * rohrer * elastance * V) - resistance) / (2 * rohrer))
        V += q[-1] / RATE
    flow[t >= 1.0] = q
    volume = np.append(0.0, np.cumsum(0.5 * (flow[1:] + flow[:-1]) / RATE))
    one = peep + elastance * volume + (resistance + rohrer * np.abs(flow)) * flow
    chance = np.random.default_rng(seed)
    parts = []
    for k in range(breaths):
        pressure = one + noise * chance.normal(size=t.size)
        if k in effort:
            pressure = pressure - np.where(t < 0.4, 14.0 * np.sin(np.pi * t / 0.4), 0.0)
        parts.append(pd.DataFrame({"pressure": pressure, "flow": flow}))
    table = pd.concat(parts, ignore_index=True)
    table["time"] = np.arange(len(table)) / RATE
    return table


def read(table, **options):
    return tp.readers.waveform.read(table, **{"time": ("time", "s"), **COLUMNS, **options})


def test_resistance_grows_with_flow_as_rohrer_has_it():
    (breath, *_) = segment(read(waveform(breaths=3)))
    fit = estimate(breath)
    assert fit.resistance(0.5) == pytest.approx(8.0 + 5.0 * 0.5, rel=0.05)
    assert fit.resistance(1.0) - fit.resistance(0.0) == pytest.approx(fit.mean[2])


# ---- the reader ----------------------------------------------------------------------------------------------------


def test_samples_keep_their_clock_and_their_values():
    record = read(waveform(breaths=2))
    series = record.observations["airway_pressure"]
    np.testing.assert_allclose(series.times * 60.0, np.arange(600) / RATE, atol=1e-9)
    assert series.values[0] == pytest.approx(6.0 + 8.0 * 0.6 + 5.0 * 0.36)


def test_a_rate_stands_for_a_clock():
    table = waveform(breaths=2)
    by_rate, by_clock = (
        record.observations["airway_flow"] for record in (read(table, time=None, rate=RATE), read(table))
    )
    np.testing.assert_allclose(by_rate.times, by_clock.times, atol=1e-12)


def test_neither_clock_nor_rate_is_refused():
    with pytest.raises(ValueError, match="exactly one of `time`"):
        read(waveform(breaths=1), time=None)


def test_flow_in_liters_per_minute_called_per_second_names_the_factor_60():
    table = waveform(breaths=1)
    table["flow"] *= 60
    with pytest.raises(ValueError, match=r"60 times what breaths have \(a factor of 60\): is their unit L/min"):
        read(table)


def test_flow_in_liters_per_second_called_per_minute_names_the_factor_60():
    with pytest.raises(ValueError, match=r"a 60th of what breaths have \(a factor of 60\): is their unit L/s"):
        read(waveform(breaths=1), flow=("flow", "L/min"))


def test_pressure_in_millibar_becomes_centimeters_of_water():
    table = waveform(breaths=3)
    table["pressure"] *= 0.980665
    found = segment(read(table, pressure=("pressure", "mbar")))[0].pressures
    np.testing.assert_allclose(found, segment(read(waveform(breaths=3)))[0].pressures, rtol=1e-5)


def test_a_clock_that_jumps_back_is_refused_by_sample():
    table = waveform(breaths=2)
    table.loc[300:, "time"] -= 2.0
    with pytest.raises(ValueError, match="sample 300 is not later than sample 299"):
        read(table)


def test_a_missing_column_lists_those_there_are():
    with pytest.raises(ValueError, match="no column 'paw'; it has pressure, flow, time"):
        read(waveform(breaths=1), pressure=("paw", "cmH2O"))


def test_a_sample_without_pressure_is_counted_and_not_filled_in():
    table = waveform(breaths=2)
    table.loc[40, "pressure"] = np.nan
    record = read(table)
    assert record.skipped == {"airway_pressure: not a number": 1}
    assert record.observations["airway_flow"].times.size == len(table) - 1


# ---- breaths -------------------------------------------------------------------------------------------------------


def test_breaths_are_cut_where_flow_begins():
    breaths = segment(read(waveform(breaths=5, noise=0.1)))
    assert [len(breath.times) for breath in breaths] == [300] * 4


def test_a_slow_expiration_ends_a_fast_inspiration():
    one = np.concatenate([np.full(50, 1.0), np.full(250, -0.2)])
    inspirations, expirations = _phases(np.tile(one, 4))
    assert inspirations.tolist() == [0, 300, 600, 900]
    assert expirations.tolist() == [50, 350, 650, 950]


def test_the_pause_belongs_to_inspiration():
    assert abs(segment(read(waveform()))[0].turn - 100) <= 1


def test_samples_outside_whole_breaths_are_counted():
    breaths = segment(read(waveform(breaths=4)))
    inside = sum(len(breath.times) for breath in breaths)
    assert breaths.skipped["samples outside whole breaths"] == 1200 - inside


def test_a_breath_with_a_gap_is_kept_and_flagged():
    table = waveform(breaths=5)
    breaths = segment(read(table.drop(index=range(750, 790))))
    assert (breaths.flagged, breaths.skipped["gaps"]) == ({"gap": 1}, 1)


def test_an_effort_breath_is_kept_and_flagged():
    breaths = segment(read(waveform(breaths=6, effort=(2, 3))))
    assert breaths.flagged == {"effort": 2}
    assert sum("effort" in breath.flags for breath in breaths) == 2


def test_a_breath_without_expiration_is_flagged():
    table = waveform(breaths=5)
    cut = table.drop(index=range(712, 899)).reset_index(drop=True)  # expiration of the third breath ends after 0.12 s
    cut["time"] = np.arange(len(cut)) / RATE
    assert segment(read(cut)).flagged["no expiration"] == 1


def test_waveforms_sampled_apart_are_refused():
    record = read(waveform(breaths=2))
    flow = record.observations["airway_flow"]
    shifted = record.with_observations({"airway_flow": (flow.times + 1e-5, flow.values, flow.unit)})
    with pytest.raises(ValueError, match="must be sampled at the same times"):
        segment(shifted)


def test_a_record_without_flow_is_refused_by_name():
    with pytest.raises(ValueError, match="holds no `airway_flow`"):
        segment(tp.Record.build({"airway_pressure": ([0.0, 1.0], [5.0, 6.0], "cmH2O")}))


# ---- estimates -----------------------------------------------------------------------------------------------------


def test_a_clean_breath_gives_back_the_lung_that_made_it():
    fit = estimate(segment(read(waveform()))[1])
    np.testing.assert_allclose(fit.mean, [25.0, 8.0, 5.0, 6.0], rtol=0.01)
    assert fit.intrinsic_peep == pytest.approx(0.0, abs=0.1)


def test_the_estimate_without_prior_weight_equals_least_squares():
    breath = segment(read(waveform(noise=0.3)))[1]
    V, Q = breath.volumes, breath.flows
    X = np.column_stack([V, Q, Q * np.abs(Q), np.ones_like(V)])
    np.testing.assert_allclose(estimate(breath).mean, np.linalg.lstsq(X, breath.pressures)[0], rtol=0.02)


def test_correlated_residuals_widen_the_interval():
    chance, table = np.random.default_rng(3), waveform(breaths=4)
    white = chance.normal(size=len(table))
    red = np.convolve(white, np.exp(-np.arange(40) / 10.0), mode="same")
    errors = []
    for noise in (white / white.std(), red / red.std()):
        breath = segment(read(table.assign(pressure=table["pressure"] + 0.5 * noise)))[1]
        errors.append(np.sqrt(estimate(breath).covariance[0, 0]))
    assert errors[1] > 1.5 * errors[0]


def test_intervals_cover_the_truth_under_correlated_noise():
    chance, table = np.random.default_rng(4), waveform(breaths=60)
    red = np.convolve(chance.normal(size=len(table)), np.exp(-np.arange(60) / 8.0), mode="same")
    breaths = segment(read(table.assign(pressure=table["pressure"] + 0.6 * red / red.std())))
    hits = np.mean([low < 25.0 < high for low, high in (estimate(b).interval(0.9) for b in breaths)])
    assert hits > 0.9 - 5 * np.sqrt(0.09 / len(breaths))


def test_a_negative_rohrer_constant_is_held_at_zero():
    breath = segment(read(waveform(rohrer=0.001)))[1]
    bent = breath.pressures - 3.0 * breath.flows * np.abs(breath.flows)
    assert estimate(type(breath)(breath.times, bent, breath.flows, breath.turn)).mean[2] == 0.0


def test_an_effort_no_longer_biases_a_breath_whose_muscles_are_in_the_model():
    breath = segment(read(waveform(breaths=4, noise=0.2, effort=(1,))))[1]
    assert "effort" in breath.flags
    passive, pulled = estimate(breath), estimate(breath, muscle=True)
    assert abs(pulled.elastance - 25.0) < 1.5 < abs(passive.mean[0] - 25.0)
    assert passive.mean[1] < 0.0 < pulled.resistance(0.0)
    # Half a sine of 14 cmH2O over the first 0.4 s of one: the first fifth lies at its top.
    assert pulled.pulls[0] == pytest.approx(14.0, abs=3.0)
    assert pulled.pulls[2] == pytest.approx(0.0, abs=3.0)


def test_a_supported_breath_reports_no_elastance_without_an_effort_model():
    breath = segment(read(waveform(breaths=4, noise=0.2, effort=(1,))))[1]
    fit = estimate(breath)
    assert fit.supported
    assert np.isnan([fit.elastance, fit.resistance(), fit.intrinsic_peep, *fit.interval()]).all()
    before = update_breath(Tracking(), segment(read(waveform(breaths=3, noise=0.2)))[1])
    after = update_breath(before, breath)
    assert (after.supported, after.elastance) == (1, before.elastance)
    assert update_breath(before, breath, muscle=True).supported == 0


def test_muscles_that_do_not_pull_cost_certainty_and_no_bias():
    breath = segment(read(waveform(noise=0.3)))[1]
    passive, pulled = estimate(breath), estimate(breath, muscle=True)
    assert pulled.covariance[0, 0] > passive.covariance[0, 0]
    assert abs(pulled.elastance - 25.0) < 4 * np.sqrt(pulled.covariance[0, 0])


def test_tracking_can_let_the_flagged_breaths_pull():
    breath = segment(read(waveform(breaths=4, noise=0.2, effort=(1,))))[1]
    fits = [update_breath(Tracking(), breath, muscle=muscle).fit for muscle in (False, True)]
    assert [fit.pulls.size for fit in fits if fit is not None] == [0, 4]


def test_what_breaths_share_does_not_average_out():
    fits = [estimate(breath) for breath in segment(read(waveform(breaths=40, noise=0.3)))]
    center, low, high = pool(fits, gain=0.03).compliance(0.9)
    assert np.log(high / low) > 2 * 1.64 * 0.03
    assert center == pytest.approx(40.0, rel=0.01)


def test_a_flagged_breath_moves_the_belief_less():
    breaths = segment(read(waveform(breaths=6, noise=0.3)))
    stiff = segment(read(waveform(elastance=32.0, breaths=3, noise=0.3)))[1]
    tracking = Tracking()
    for breath in breaths:
        tracking = update_breath(tracking, breath)
    before = tracking.elastance.interval()[0]
    flagged, plain = (
        update_breath(tracking, replace(stiff, flags=flags)).elastance.interval()[0] - before
        for flags in (("volume lost",), ())
    )
    assert 0 < flagged < 0.5 * plain


def test_tracking_follows_a_lung_that_stiffens():
    tracking = Tracking()
    for elastance in np.linspace(20.0, 40.0, 40):
        breath = segment(read(waveform(elastance=elastance, breaths=3, noise=0.2)))[1]
        tracking = update_breath(tracking, breath)
    median, low, high = np.exp(tracking.elastance.interval(0.95))
    assert low < 40.0 < high * 1.02
    assert median > 37.0


def test_the_belief_about_a_still_level_equals_the_mean_of_many():
    chance, belief = np.random.default_rng(5), begin(0.0, 1.0)
    values = 0.3 + 0.05 * chance.normal(size=300)
    for value in values:
        belief = follow(belief, float(value), 0.01)
    assert belief.interval()[0] == pytest.approx(values.mean(), abs=0.02)


def test_bands_ahead_cover_a_random_walk():
    chance, hits = np.random.default_rng(6), []
    for _ in range(4):
        level = np.cumsum(0.01 * chance.normal(size=240))
        seen = level + 0.05 * chance.normal(size=240)
        belief = begin(0.0, 0.5)
        for k in range(200):
            belief = follow(belief, float(seen[k]), 0.01)
            if k >= 60 and k % 5 == 0:
                _, low, high = belief.interval(0.9, ahead=40, measured=True)
                hits.append(low < seen[k + 40] < high)
    assert 0.75 <= np.mean(hits) <= 1.0


def test_a_jump_is_called_a_change():
    belief, called = begin(0.0, 0.5), []
    chance = np.random.default_rng(7)
    for k in range(80):
        belief = follow(belief, (0.0 if k < 40 else 0.6) + 0.03 * chance.normal(), 0.01)
        called.append(belief.changed)
    assert any(called[40:50])
    assert not any(called[:40])


# ---- pictures ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def breaths():
    return segment(read(waveform(breaths=6, noise=0.3, effort=(3,))))


def test_every_breath_is_a_loop(breaths):
    axis = tp.plots.loops(breaths).axes[0]
    assert len(axis.lines) == len(breaths) + 1
    np.testing.assert_allclose(np.asarray(axis.lines[0].get_xdata()), breaths[0].pressures)


def test_the_strip_names_the_flags(breaths):
    texts = [text.get_text() for text in tp.plots.strip(breaths).axes[0].texts]
    assert texts == ["effort"]


def test_the_elastance_picture_shows_each_breath_once(breaths):
    history = [Tracking()]
    for breath in breaths:
        history.append(update_breath(history[-1], breath))
    lines = tp.plots.elastance(history).axes[0].lines
    assert np.size(lines[0].get_xdata()) + np.size(lines[1].get_xdata()) == len(breaths)
