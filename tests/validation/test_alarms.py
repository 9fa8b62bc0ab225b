"""Alarms counted by hand, and areas under curves against pairs counted one by one."""

import numpy as np
import pandas as pd
import pytest

from twinprob.forecasting.watch import Watch
from twinprob.patient.record import Series
from twinprob.validation.alarms import auroc, judge_alarms, opponents

WATCH = Watch("mean_arterial_pressure < 65 mmHg", silence="60 min", grace="10 min")


def chart(*values):
    return Series(60.0 * np.arange(len(values)), np.array(values, float), "mmHg")


def scored(*scores, who="a"):
    return pd.DataFrame({"patient": who, "time": 60.0 * np.arange(len(scores)), "risk": scores})


# Good, good, bad, good, good, good, good, good.
ONE = chart(70, 70, 60, 70, 70, 70, 70, 70)


def at(found, threshold):
    curve = found.curves
    return curve[(curve["threshold"] - threshold).abs() < 1e-9].iloc[0]


def test_alarms_are_counted_as_by_hand():
    found = judge_alarms(WATCH, {"a": ONE}, scored(0.1, 0.9, 0.9, 0.1, 0.1, 0.9, 0.1, 0.1), horizon="2 h")
    high = at(found, 0.9)
    # Alarms at 60 and 300 min; at 120 the event is there. The first is true and catches the onset, the second not.
    assert (high["recall"], high["precision"], high["lead"]) == (1.0, 0.5, 60.0)
    assert high["alarms_per_day"] == pytest.approx(2 / (7 / 24))
    assert high["false_per_day"] == pytest.approx(1 / (7 / 24))


def test_a_silent_alarm_does_not_sound_and_what_nothing_followed_is_not_judged():
    watch = Watch("mean_arterial_pressure < 65 mmHg", silence="61 min")
    found = judge_alarms(watch, {"a": chart(70, 70, 70, 60)}, scored(0.9, 0.9, 0.9, 0.9), horizon="1 h")
    counts = found.counts["risk", "a"][0]
    # 0 min, then 120 min after the silence; that at 180 min is in the event. Only the second catches it.
    assert counts.tolist() == [1, 1, 1, 2, 2]


def test_an_alarm_after_the_onset_catches_nothing():
    found = judge_alarms(WATCH, {"a": ONE}, scored(0.1, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1, 0.1), horizon="2 h")
    assert at(found, 0.9)["recall"] == 0.0


def test_areas_under_the_curve_are_shares_of_pairs():
    chance = np.random.default_rng(0)
    scores, positive = chance.integers(0, 5, 60).astype(float), chance.random(60) < 0.3
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[positive] for b in scores[~positive]]
    assert auroc(scores, positive) == pytest.approx(np.mean(pairs))
    assert np.isnan(auroc(scores, np.zeros(60, bool)))


def test_times_in_the_event_are_not_judged():
    found = judge_alarms(WATCH, {"a": ONE}, scored(*[0.5] * 8), horizon="1 h")
    # Of 8 times that at 120 min is in the event, and after the last one nothing came.
    assert found.frame.loc["risk", "points"] == 6
    assert found.frame.loc["risk", "positive"] == pytest.approx(1 / 6)
    assert found.frame.loc["risk", "auroc"] == 0.5


def test_probabilities_are_judged_as_probabilities():
    chance, readings, rows = np.random.default_rng(1), {}, []
    for i in range(60):
        values = np.where(chance.random(40) < 0.3, 60.0, 70.0)
        readings[str(i)] = chart(*values)
        rows.append(scored(*[0.3] * 40, who=str(i)))
    found = judge_alarms(WATCH, readings, pd.concat(rows), horizon="1 h", probabilities=["risk"]).frame.loc["risk"]
    assert found["observed_over_expected"] == pytest.approx(1.0, abs=3 * np.sqrt(0.7 / 0.3 / found["points"]))
    assert found["observed_over_expected_low"] < 1.0 < found["observed_over_expected_high"]
    assert found["brier"] == pytest.approx(0.21, abs=0.02)


def test_alarms_permuted_in_time_score_like_chance():
    chance, readings, rows = np.random.default_rng(2), {}, []
    for i in range(150):
        pressure = 70.0 + np.cumsum(chance.normal(0, 2.0, 60)) * 0.5
        readings[str(i)] = chart(*pressure)
        told = opponents(WATCH, readings[str(i)], readings[str(i)].times)
        rows.append(told.assign(patient=str(i), permuted=chance.permutation(told["last value"])))
    found = judge_alarms(WATCH, readings, pd.concat(rows), horizon="2 h").frame
    assert found.loc["last value", "within"] > 0.6
    assert found.loc["permuted", "within"] == pytest.approx(0.5, abs=0.06)


def test_opponents_know_the_past_alone():
    late = Series(
        np.array([0.0, 60.0, 120.0]), np.array([80.0, 70.0, 60.0]), "mmHg", known=np.array([0.0, 90.0, 120.0])
    )
    told = opponents(WATCH, late, np.array([60.0, 90.0, 120.0]))
    assert told["last value"].tolist() == [-80.0, -70.0, -60.0]
    assert told["mean of three"].tolist() == [-80.0, -75.0, -70.0]
    assert told["trend"].round(9).tolist() == [-80.0, -60.0, -50.0]


def test_the_rate_of_alarms_is_kept_and_recall_has_an_interval():
    found = judge_alarms(WATCH, {"a": ONE, "b": ONE}, pd.concat([
        scored(0.1, 0.9, 0.9, 0.1, 0.1, 0.5, 0.1, 0.1), scored(0.1, 0.9, 0.9, 0.1, 0.1, 0.5, 0.1, 0.1, who="b"),
    ]), horizon="2 h").at(3.5)  # fmt: skip
    assert found.loc["risk", "threshold"] == 0.9
    assert (found.loc["risk", "recall_low"], found.loc["risk", "recall_high"]) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"scores": scored(0.1).drop(columns="time")}, "lacks"),
        ({"scores": scored(0.1, who="b")}, "1 patients have scores and no readings"),
        ({"scores": scored(0.1, np.nan)}, "no number in row 1"),
        ({"scores": scored(1.5, 0.1), "probabilities": ["risk"]}, "not within 0 and 1"),
        ({"scores": scored(0.1)[:0]}, "No score can be judged"),
    ],
)
def test_tables_that_cannot_be_judged_are_refused(change, says):
    with pytest.raises(ValueError, match=says):
        judge_alarms(WATCH, {"a": ONE}, **{"scores": scored(0.1, 0.2), **change})
