"""What begins an event, by hand."""

import numpy as np
import pytest

from twinprob.forecasting.watch import WATCHED, Watch
from twinprob.patient.record import Series

MAP = Watch("mean_arterial_pressure < 65 mmHg")


def series(*pairs, unit="mmHg"):
    times, values = np.array(pairs, float).T
    return Series(times, values, unit)


@pytest.mark.parametrize(
    ("pairs", "begun"),
    [
        ([(0, 70), (60, 60), (120, 60)], [60.0]),  # the second is the same event
        ([(0, 60), (60, 60)], []),  # nothing good came before
        ([(0, 70), (121, 60)], []),  # too long before
        ([(0, 70), (60, 60), (90, 70), (100, 60)], [60.0]),  # bad again within the hour
        ([(0, 70), (60, 60), (90, 70), (121, 60)], [60.0, 121.0]),
        ([(0, 70), (60, 65)], []),  # the limit itself is not below it
    ],
)
def test_a_bad_reading_after_a_good_one_begins_an_event(pairs, begun):
    assert MAP.onsets(series(*pairs)).tolist() == begun


def test_an_event_of_two_readings_needs_both():
    two = Watch("mean_arterial_pressure < 65 mmHg", readings=2)
    assert two.onsets(series((0, 70), (60, 60), (120, 70), (180, 60), (240, 60))).tolist() == [180.0]
    assert two.onsets(series((0, 70), (60, 60))).tolist() == []


def test_a_limit_in_another_unit_is_the_same_limit():
    low = Watch("glucose < 70 mg/dL")
    assert low.bad(series((0, 3.88), (60, 3.89), unit="mmol/L")).tolist() == [True, False]
    assert low.bad(series((0, 69.9), (60, 70.1), unit="mg/dL")).tolist() == [True, False]


def test_named_watches_can_be_read():
    assert {watch.read().output for watch in WATCHED.values()} >= {
        "mean_arterial_pressure",
        "glucose",
        "plateau_pressure",
    }


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Watch("low"), "must read like"),
        (lambda: Watch("own < 3"), "no variable `own`"),
        (lambda: Watch("glucose < 4 mmol/L", silence="soon"), "soon"),
        (lambda: Watch("glucose < 4 mmol/L", readings=0), "readings"),
    ],
)
def test_what_cannot_be_watched_is_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()
