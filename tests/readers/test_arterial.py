"""The reader of arterial waveforms against beats that were made one by one, and the artefacts of a line."""

import numpy as np
import pandas as pd
import pytest

from twinprob.patient.inputs import Inputs
from twinprob.patient.series import Series
from twinprob.readers import arterial

RATE = 125
BEAT = 0.8  # s


def shape(phase):
    """A pulse between 0 (its foot) and 1, with a dicrotic wave."""
    rising = np.sin(0.5 * np.pi * np.minimum(phase / 0.15, 1.0))
    falling = np.where(phase > 0.15, (1.0 - phase) / 0.85, 1.0)
    return rising * falling + 0.15 * np.exp(-(((phase - 0.55) / 0.04) ** 2))


def waveform(diastolic, pulse):
    """Samples of one beat after the other, (beat,) each."""
    count = int(BEAT * RATE)
    phase = np.arange(count) / count
    return np.concatenate([d + p * shape(phase) for d, p in zip(diastolic, pulse, strict=True)])


def table(values):
    return pd.DataFrame({"t": np.arange(len(values)) / RATE, "abp": values})


def read(values, **options):
    return arterial.read(table(values), pressure=("abp", "mmHg"), time=("t", "s"), **options)


@pytest.fixture
def steady():
    """Two minutes of one beat: 60 mmHg, a pulse of 50."""
    return waveform(np.full(150, 60.0), np.full(150, 50.0))


def test_every_beat_is_found_with_its_own_pressures():
    chance = np.random.default_rng(0)
    diastolic, pulse = chance.uniform(58.0, 68.0, 40), chance.uniform(35.0, 60.0, 40)
    values = waveform(diastolic, pulse)
    found = arterial.find_beats(np.arange(len(values)) / RATE / 60.0, values)
    # A foot needs a peak before it: the first beat is lost, and the last has no foot after it.
    assert np.all(found.fault == "")
    np.testing.assert_allclose(found.systolic, (diastolic + pulse * shape(np.arange(100) / 100).max())[1:-1], atol=1e-9)
    means = values.reshape(40, -1).mean(axis=1)[1:-1]
    np.testing.assert_allclose(found.mean, means, atol=0.5)
    np.testing.assert_allclose(60.0 * (found.ends - found.begins), BEAT, atol=2.5 / RATE)


def test_a_window_shows_what_a_monitor_would(steady):
    record = read(steady)
    shown = {name: series.values for name, series in record.observations.items()}
    assert shown["diastolic_pressure"] == pytest.approx(np.full(2, 60.0), abs=0.2)
    assert shown["systolic_pressure"] == pytest.approx(np.full(2, 60.0 + 50.0 * shape(np.arange(100) / 100).max()))
    assert shown["mean_arterial_pressure"] == pytest.approx(np.full(2, steady[:100].mean()), abs=0.2)
    assert shown["heart_rate"] == pytest.approx(np.full(2, 75.0))
    assert record.observations["heart_rate"].times == pytest.approx([1.0, 2.0], abs=1e-3)


@pytest.mark.parametrize(
    ("artefact", "why"),
    [
        (lambda t, x: np.where((t > 20) & (t < 26), 300.0, x), "no pulse for too long"),
        (lambda t, x: np.where((t > 20) & (t < 26), x + 180.0, x), "flush or open line"),
        (lambda t, x: np.where((t > 20) & (t < 21.5), np.nan, x), "a gap in the samples"),
    ],
)
def test_an_artefact_is_counted_and_moves_no_median(steady, artefact, why):
    dirty = artefact(np.arange(len(steady)) / RATE, steady)
    clean, found = read(steady), read(dirty)
    assert found.skipped[f"beat: {why}"] >= 1
    for name in ("systolic_pressure", "mean_arterial_pressure", "heart_rate"):
        np.testing.assert_allclose(found.observations[name].values, clean.observations[name].values, atol=0.5)


def test_a_damped_line_is_left_out_and_counted(steady):
    damped = np.append(steady, waveform(np.full(75, 80.0), np.full(75, 9.0)))
    sharp = np.append(damped, steady)
    record = read(sharp)
    assert record.skipped["arterial waveform: window with too few good beats"] == 1
    assert record.observations["mean_arterial_pressure"].times == pytest.approx([1.0, 2.0, 4.0, 5.0], abs=1e-3)


def test_samples_without_a_number_are_counted(steady):
    steady[500:510] = np.nan
    assert read(steady).skipped["arterial waveform: sample is not a number"] == 10


def test_variation_is_that_of_the_largest_and_smallest_pulse_of_each_breath():
    # Five beats of 0.8 s are one breath at 15 a minute.
    pulse = np.tile([40.0, 44.0, 48.0, 44.0, 42.0], 30)
    found = read(waveform(np.full(150, 60.0), pulse), respiratory_rate=15.0).observations["pulse_pressure_variation"]
    assert found.unit == "%"
    np.testing.assert_allclose(found.values, 100.0 * (48.0 - 40.0) / 44.0, rtol=0.03)


def test_without_a_respiratory_rate_there_is_no_variation(steady):
    assert "pulse_pressure_variation" not in read(steady).observations


def test_a_unit_is_converted(steady):
    kilopascal = arterial.read(table(steady / 7.50062), pressure=("abp", "kPa"), rate=RATE)
    expected = read(steady).observations["mean_arterial_pressure"].values
    np.testing.assert_allclose(kilopascal.observations["mean_arterial_pressure"].values, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (np.full(2000, 80.0), {"rate": RATE}, "No two beats are found"),
        (np.tile([80.0, 120.0], 100), {"rate": 2.0}, "at least 20 samples a second"),
        (np.full(2000, 80.0), {}, "exactly one of `time`"),
        (np.full(2000, 80.0), {"rate": -1.0}, "`rate` must be above zero"),
        (np.full(2000, 80.0), {"time": ("clock", "s")}, "no column 'clock'"),
    ],
)
def test_what_is_no_arterial_waveform_is_refused(values, options, message):
    with pytest.raises(ValueError, match=message):
        arterial.read(table(values), pressure=("abp", "mmHg"), **options)


# ---- weak beats, early ones, and second waves ------------------------------------------------------------------------


def rhythm(sizes, gaps, second=None, seconds=120.0):
    """Pulses of these sizes (mmHg) and lengths (s) in turn, each with a dicrotic wave, on 80 mmHg; with some noise."""
    times = np.arange(0.0, seconds, 1 / RATE)
    values, begin, turn = np.full(times.size, 80.0), 0.0, 0
    while begin < times[-1]:
        size, gap = sizes[turn % len(sizes)], gaps[turn % len(gaps)]
        phase = (times - begin) / gap
        mine = (phase >= 0) & (phase < 1)
        pulse = np.exp(-(((phase - 0.18) / 0.09) ** 2)) + 0.25 * np.exp(-(((phase - 0.45) / 0.08) ** 2))
        values[mine] += (size * pulse + (second(phase) if second else 0.0))[mine]
        begin, turn = begin + gap, turn + 1
    return values + 0.3 * np.random.default_rng(0).normal(size=times.size)


@pytest.mark.parametrize(
    ("sizes", "gaps", "rate"),
    [
        ([40.0, 10.0], [0.9, 0.6], 80.0),
        ([40.0, 20.0], [0.9, 0.6], 80.0),
        ([40.0, 15.0], [0.5, 1.0], 80.0),
        ([40.0, 40.0, 12.0], [0.8, 0.6, 1.1], 72.0),
        ([40.0, 30.0], [0.75], 80.0),
        ([40.0], [1.5], 40.0),
        ([30.0], [0.4], 150.0),
    ],
)
def test_every_beat_counts_in_the_heart_rate_weak_or_not(sizes, gaps, rate):
    rates = read(rhythm(sizes, gaps)).observations["heart_rate"].values
    np.testing.assert_allclose(rates, rate, rtol=0.02)


def test_weak_and_early_beats_are_said():
    notes = " ".join(read(rhythm([40.0, 10.0], [0.9, 0.6])).notes)
    assert "beats are weak, less than half of the usual pulse" in notes
    assert "an extrasystole or an irregular rhythm" in notes


def test_a_regular_pulse_has_no_notes():
    assert read(rhythm([40.0], [0.8])).notes == ()


@pytest.mark.parametrize(("place", "gap"), [(0.5, 1.0), (0.6, 0.75), (0.5, 1.2)])
def test_a_balloon_pumps_second_peak_is_no_beat_and_is_said(place, gap):
    pumped = rhythm([40.0], [gap], lambda phase: 45.0 * np.exp(-(((phase - place) / 0.08) ** 2)))
    record = read(pumped)
    np.testing.assert_allclose(record.observations["heart_rate"].values, 60.0 / gap, rtol=0.02)
    assert record.skipped["wave: second within a beat, as of a balloon pump, not counted as a beat"] > 50
    assert any("balloon pump (assist)" in note for note in record.notes)


def test_a_fast_irregular_pulse_is_counted_beat_by_beat():
    gaps = np.random.default_rng(3).uniform(0.36, 0.75, 400)
    rates = read(rhythm([40.0], gaps)).observations["heart_rate"].values
    np.testing.assert_allclose(rates.mean(), 60.0 / gaps[: int(120 / gaps.mean())].mean(), rtol=0.03)


def test_waves_too_small_to_be_told_from_dicrotic_ones_are_said():
    record = read(rhythm([40.0, 3.0], [0.9, 0.6]))
    assert record.skipped["wave: too small to be a beat or a dicrotic wave for certain, not counted"] > 50
    assert any("the heart may beat more often" in note for note in record.notes)


@pytest.mark.parametrize("kind", ["series", "course"])
def test_the_respiratory_rate_may_change(kind):
    """Breaths of five beats, then of twenty: by the first rate most of the later groups would not vary."""
    slow = np.repeat([40.0, 48.0], 10)
    pulse = np.concatenate([np.tile([40.0, 44.0, 48.0, 44.0, 42.0], 45), np.tile(slow, 15)])
    times, rates = [0.0, 3.0], [15.0, 3.75]
    rate = (
        Series(np.array(times), np.array(rates), "1/min")
        if kind == "series"
        else Inputs.settings("respiratory_rate", times, rates, "1/min")["respiratory_rate"]
    )
    values = waveform(np.full(pulse.size, 60.0), pulse)
    found = read(values, respiratory_rate=rate).observations["pulse_pressure_variation"]
    assert found.times.size == 7
    np.testing.assert_allclose(found.values, 100.0 * (48.0 - 40.0) / 44.0, rtol=0.03)
