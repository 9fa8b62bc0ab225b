"""Both tiers of data in one record: what breaths say stands among what was charted."""

import jax
import numpy as np
import pytest

import twinprob as tp
from tests.breaths.test_waveform import read, waveform
from twinprob.breaths.breath_chart import chart_breaths
from twinprob.models.respiratory import ChartedMechanics
from twinprob.models.respiratory.breaths import segment

SETTINGS = tp.Inputs.constant(
    peep=(6.0, "cmH2O"), tidal_volume=(480.0, "mL"), respiratory_rate=(20.0, "1/min")
)  # fmt: skip
CHARTED = {"plateau_pressure": ([30.0, 300.0], [20.0, 17.0], "cmH2O")}
# 6 + 25 · 0.48; the peak has (8 + 5 · 0.6) · 0.6 on top of it
PLATEAU, PEAK = 18.0, 24.6


def both(**options):
    """A charted record that also holds half a minute of waveform, from two hours on."""
    wave = read(waveform(breaths=10, noise=0.1, **options), begin="2 h")
    series = {name: (one.times, one.values, one.unit) for name, one in wave.observations.items()}
    return tp.Record.build(CHARTED, SETTINGS).with_observations(series)


def test_one_record_holds_both_tiers():
    record = both()
    assert {"plateau_pressure", "airway_pressure", "airway_flow"} <= set(record.observations)
    assert len(segment(record)) == 9


def test_breaths_become_one_value_among_those_charted():
    record = both()
    found = chart_breaths(record, segment(record)).observations
    plateau, peak = found["plateau_pressure"], found["peak_pressure"]
    np.testing.assert_allclose(plateau.times, [30.0, 120.45, 300.0], atol=0.02)
    np.testing.assert_allclose(plateau.values, [20.0, PLATEAU, 17.0], atol=0.3)
    np.testing.assert_allclose(peak.values, [PEAK], atol=0.4)


def test_windows_are_as_long_as_asked_for():
    record = both()
    times = chart_breaths(record, segment(record), every="8 s").observations["peak_pressure"].times
    np.testing.assert_allclose(np.diff(times), [9.0 / 60.0] * 2, atol=1e-6)


def test_whole_breaths_speak_for_a_window_with_effort():
    pulled, plain = both(effort=range(2, 8)), both()
    assert segment(pulled).flagged == {"effort": 6}
    means = [chart_breaths(one, segment(one)).observations["mean_airway_pressure"].values[0] for one in (pulled, plain)]
    assert means[0] == pytest.approx(means[1], abs=0.05)


def test_a_breath_without_expiration_is_counted():
    table = waveform(breaths=5).drop(index=range(712, 899)).reset_index(drop=True)
    table["time"] = np.arange(len(table)) / 100.0
    record = read(table)
    found = chart_breaths(record, segment(record))
    assert found.skipped["breaths without a plateau: gap or one phase missing"] == 1


def test_what_was_charted_at_the_very_time_stays():
    record = both()
    breaths = segment(record)
    at = float(breaths[-1].times[-1]) / 60.0
    record = record.with_observations({"plateau_pressure": ([at], [25.0], "cmH2O")})
    found = chart_breaths(record, breaths)
    assert found.observations["plateau_pressure"].values.tolist() == [25.0]
    assert found.skipped["plateau_pressure: window of breaths without a value of its own"] == 1


@pytest.mark.slow
def test_a_fit_to_both_tiers_is_surer_than_one_to_the_chart():
    model, method = ChartedMechanics().fix(resistive_pressure=6.6), tp.Laplace(draws=200, proposals=1000)
    record = both()
    told = chart_breaths(record, segment(record), every="9 s")
    spreads = [
        np.std(np.log(tp.fit(model, one, key=jax.random.key(0), method=method).group("posterior")["elastance"]))
        for one in (tp.Record.build(CHARTED, SETTINGS), told)
    ]
    assert float(spreads[1]) < float(spreads[0])


def test_no_breaths_are_refused():
    with pytest.raises(ValueError, match="`breaths` holds no breath"):
        chart_breaths(both(), [])


def test_a_window_of_no_length_is_refused():
    with pytest.raises(ValueError, match="`every` must be above zero, but is 0 min"):
        chart_breaths(both(), segment(both()), every=0.0)
