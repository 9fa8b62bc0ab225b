"""A monitor steps from news to news: risks are those of a forecast, alarms keep their policy, changes are told late."""

import dataclasses
import json
from functools import cache

import jax
import numpy as np
import pytest
from scipy import stats

import twinprob as tp
from tests.tank import OWN, Tank, stay
from twinprob.decisions.change import LIMIT, rising, shifted
from twinprob.decisions.monitor import Monitor, Policy
from twinprob.inference.outcomes import GROUP, Outcomes
from twinprob.labels import tree

KEY = jax.random.key(4)
HIGH = tp.Watch("level > 8 1", since="4 h", silence="150 min", grace="0 min")


@cache
def record():
    return stay(12)[0]


@cache
def twin():
    return tp.fit(Tank(), record().until("4 h"), key=KEY)


def news(first=4, last=8):
    return [record().between(60.0 * h, 60.0 * (h + 1)) for h in range(first, last)]


def watched(threshold=1e-9, **policy):
    return Monitor({"high": Policy(HIGH, 2.0, threshold, **policy)}, KEY, (1.0, 2.0))


@cache
def followed():
    return tuple(tp.monitor(twin(), news(), watch={"high": Policy(HIGH, 2.0, 1e-9)}, key=KEY, horizons=(1.0, 2.0)))


def test_a_risk_is_that_of_a_forecast_of_the_updated_twin():
    state, said = watched().step(watched().begin(twin()), news()[0])
    ahead = tp.forecast(state.twin, hours=2.0, every="15 min", key=jax.random.key(9))
    alone = tp.risk(ahead, "level > 8 1")
    one = next(risk for risk in said.risks["high"] if risk.hours == 2.0)
    assert 0.01 < one.probability < 0.99
    assert one.probability == pytest.approx(alone.probability, abs=4 * (one.mcse + alone.mcse))
    near = tp.risk(ahead, "level > 8 1", hours=1.0)
    assert said.risks["high"][0].probability == pytest.approx(near.probability, abs=4 * (one.mcse + near.mcse))
    assert said.risks["high"][0].probability < one.probability - 2 * one.mcse


def test_a_silence_is_kept_and_an_urgent_alarm_breaks_it():
    assert [len(said.alarms) for said in followed()] == [1, 0, 0, 1]
    loud = [said.alarms for said in tp.monitor(
        twin(), news(), watch={"high": Policy(HIGH, 2.0, 1e-9, urgent=1e-9)}, key=KEY, horizons=(1.0, 2.0)
    )]  # fmt: skip
    assert [len(alarms) for alarms in loud] == [1, 1, 1, 1]
    assert [alarms[0].urgent for alarms in loud] == [False, True, True, True]


def test_no_alarm_about_what_is_there_already():
    there = dataclasses.replace(HIGH, event="level > 1 1", grace="10 h")
    said = list(tp.monitor(twin(), news(last=5), watch={"high": Policy(there, 2.0, 1e-9)}, key=KEY))
    assert said[0].alarms == ()
    assert said[0].risks["high"][0].probability > 0.9


@pytest.mark.parametrize(("grace", "sounds"), [("10 min", True), ("3 h", False)])
def test_no_alarm_soon_after_it_was_there(grace, sounds):
    ready = Monitor({"high": Policy(dataclasses.replace(HIGH, grace=grace), 2.0, 1e-9)}, KEY, (2.0,))
    state = dataclasses.replace(ready.begin(twin()), there={"high": twin().now})
    _, said = ready.step(state, news()[0])
    assert bool(said.alarms) == sounds


def test_a_step_leaves_the_state_before_as_it_was():
    ready = watched()
    state = ready.begin(twin())
    one, other = ready.step(state, news()[0])[1], ready.step(state, news()[0])[1]
    assert one.to_json() == other.to_json()
    assert state.steps == 0


def test_news_that_cannot_be_taken_in_end_nothing():
    early = tp.Record.build({"level": ([-60.0], [5.0], "1")}, own=OWN, start=-60.0)
    said = list(tp.monitor(twin(), [early, *news(last=5)], watch={"high": HIGH}, key=KEY))
    assert said[0].refused
    assert not said[1].refused
    assert "not taken in" in str(said[0])


def test_what_is_said_is_one_line_and_json():
    said = followed()[0]
    assert "\n" not in str(said)
    assert "ALARM high" in str(said)
    told = json.loads(json.dumps(said.to_json(), allow_nan=False))
    assert told["alarms"][0]["event"] == "high"
    assert told["notice"].endswith("not a medical device.")


@pytest.mark.parametrize(
    ("watch", "says"),
    [
        ("hypotensoin", "did you mean `hypotension`"),
        ((), "Nothing is watched"),
        (("hypotension",), "no output of the model"),
        ({"other": tp.Watch("glucose < 4 mmol/L")}, "no output"),
    ],
)
def test_what_cannot_be_watched_is_refused_before_anything_is_read(watch, says):
    with pytest.raises(ValueError, match=says):
        tp.monitor(twin(), iter(()), watch=watch, key=KEY)


@pytest.mark.parametrize("settings", [{"threshold": 1.5}, {"threshold": 0.5, "urgent": 0.2}, {"hours": 0.0}])
def test_a_policy_that_is_none_is_refused(settings):
    with pytest.raises(ValueError, match=r"threshold|urgent|hours"):
        Policy(HIGH, **settings)


# ---- change ----------------------------------------------------------------------------------------------------------


def erring(scores):
    """The twin after own forecasts whose values lay so many standard deviations from their medians."""
    count = len(scores)
    kept = Outcomes(60.0 * np.arange(count), np.full(count, 60.0), stats.norm.cdf(scores), np.full(count, "level"))
    groups = {name: node.to_dataset() for name, node in twin().tree.children.items()}
    return dataclasses.replace(twin(), tree=tree({**groups, GROUP: kept.labeled()}, twin().tree.attrs))


WHITE = np.random.default_rng(3).permutation(stats.norm.ppf((np.arange(16) + 0.5) / 16))


def test_a_cumulative_sum_is_that_by_hand():
    assert rising(np.array([0.0, 1.0, 2.0, -1.0])) == (1, 0.5, 1)
    assert rising(np.array([0.0, -2.0, -2.0])) == (-1, 3.0, 1)
    assert rising(np.array([0.0, 0.2, 0.1]))[1] == 0.0


def test_values_that_come_higher_than_forecast_are_told_with_when_it_began():
    (found,), loose = shifted(erring([*WHITE, *[2.5] * 4]))
    assert (found.output, found.side, loose) == ("level", 1, [])
    assert found.since == pytest.approx(60.0 * 16, abs=60.0)
    assert found.sum > LIMIT
    assert "higher than forecast" in str(found)


def test_values_that_come_as_forecast_tell_of_no_change():
    assert shifted(erring(WHITE)) == ((), [])


@pytest.mark.parametrize(
    ("before", "why"),
    [
        ([0.1, -0.2, 0.3, -0.1, 0.0], "only 5 earlier forecasts"),
        (2.0 * WHITE, "too narrow"),
        (np.repeat(np.sort(WHITE)[1::2], 2) * 0.5, "errors of earlier forecasts last"),
    ],
)
def test_a_twin_that_was_not_calibrated_tells_of_no_change(before, why):
    found, (said,) = shifted(erring([*before, *[3.0] * 4]))
    assert found == ()
    assert why in said
