"""Pictures of a watch: what stands in them is what was said and counted."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

import twinprob as tp
from twinprob.decisions.monitor import Alarm, Said
from twinprob.forecasting.risk import Risk
from twinprob.presentation import plots

WATCH = tp.WATCHED["hypoglycemia"]
SERIES = tp.Series(60.0 * np.arange(4), np.array([6.0, 5.0, 3.5, 5.0]), "mmol/L")


def said(time, probability, sounded=False):
    risks = tuple(Risk(p, 0.01, WATCH.event, h, 100, 100.0, 0) for h, p in ((1.0, probability / 2), (4.0, probability)))
    alarms = (Alarm("low", risks[1]),) if sounded else ()
    return Said(time, {}, {"low": risks}, alarms, (), ())


TOLD = [said(0.0, 0.1), said(60.0, 0.8, sounded=True), said(180.0, 0.2)]


def points(line: Any) -> tuple[list[float], list[float]]:
    return np.asarray(line.get_xdata(), float).tolist(), np.asarray(line.get_ydata(), float).tolist()


def test_risks_alarms_and_onsets_stand_where_they_were():
    above, below = plots.watched(TOLD, "low", watch=WATCH, series=SERIES).axes
    risks = {str(line.get_label()): points(line)[1] for line in below.lines if str(line.get_label()).endswith("h")}
    assert risks == {"1 h": [0.05, 0.4, 0.1], "4 h": [0.1, 0.8, 0.2]}
    (onset,) = [line for line in above.lines if line.get_marker() == "v"]
    assert points(onset)[0] == [2.0]
    assert [points(line)[0] for line in below.lines if len(points(line)[0]) == 2] == [[1.0, 1.0]]


def test_what_was_not_watched_is_refused():
    with pytest.raises(ValueError, match=r"Nothing was said of 'high': the monitor watched low"):
        plots.watched(TOLD, "high", watch=WATCH, series=SERIES)
    with pytest.raises(ValueError, match="give what `monitor` yielded"):
        plots.watched([], "low", watch=WATCH, series=SERIES)


def test_curves_are_those_of_the_table():
    scores = pd.DataFrame({"patient": "a", "time": SERIES.times, "risk": [0.1, 0.9, 0.9, 0.2]})
    found = tp.judge_alarms(dataclasses.replace(WATCH, silence="30 min"), {"a": SERIES}, scores, horizon="2 h")
    left, right = plots.alarm_curves(found).axes
    assert points(left.lines[0]) == (found.curves["recall"].tolist(), found.curves["precision"].tolist())
    assert points(right.lines[0]) == (found.curves["alarms_per_day"].tolist(), found.curves["recall"].tolist())
    assert left.lines[0].get_label() == "risk"
