"""Plans in the record's time: written from now on, refused where they miss the present, said where they stop short."""

import dataclasses

import equinox as eqx
import jax
import numpy as np
import pytest
from jaxtyping import Array

import twinprob as tp
from tests.cases import Washout
from tests.inference.test_fit import record, twin  # noqa: F401  fixtures shared with the fit's tests

KEY = jax.random.key(7)


def followed(twin, **given):  # noqa: F811
    """What is given when the plan is followed, as the forecast takes it."""
    return twin.record.inputs.then(tp.plan(twin, **given), twin.now)


def rate(course, twin, *minutes):  # noqa: F811
    return [
        float(tp.patient.units.convert(course.at(twin.now + m), course.unit, "U/h", variable="insulin"))
        for m in minutes
    ]


@pytest.fixture
def drip(twin):  # noqa: F811
    """The twin with 2 U/h of insulin running."""
    inputs = tp.Inputs.infusions("insulin", 60.0, np.inf, 2.0, "U/h") | tp.Inputs.settings("peep", 0.0, 5.0, "cmH2O")
    return dataclasses.replace(twin, record=dataclasses.replace(twin.record, inputs=inputs))


def test_a_rate_holds_from_now_on(drip):
    assert rate(followed(drip, insulin="3 U/h")["insulin"], drip, -1, 0, 600) == [2.0, 3.0, 3.0]


def test_what_runs_runs_on_until_a_later_step(drip):
    course = followed(drip, insulin=[("3 U/h", "+30 min"), "0 U/h at +2 h"])["insulin"]
    assert rate(course, drip, 29, 30, 119, 121) == [2.0, 3.0, 3.0, 0.0]


@pytest.mark.parametrize(
    "step", ["5 U at +15 min over 2 min", ("5 U", "+15 min", "2 min"), ("5 U over 2 min", "735 min")]
)
def test_a_dose_is_given_beside_what_runs(drip, step):
    assert drip.now == 720
    course = followed(drip, insulin=step)["insulin"]
    assert rate(course, drip, 14, 16, 18) == pytest.approx([2.0, 152.0, 2.0])


def test_a_rate_over_a_duration_is_zero_then(drip):
    assert rate(followed(drip, insulin="3 U/h over 30 min")["insulin"], drip, 29, 31) == [3.0, 0.0]


def test_units_with_spaces_and_other_units_are_read(drip):
    assert rate(followed(drip, insulin="50 mU / min")["insulin"], drip, 1) == pytest.approx([3.0])


def test_inputs_that_are_not_named_are_not_in_the_plan(drip):
    assert tp.plan(drip, enteral_glucose="0.3 mmol/min").names == ("enteral_glucose",)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"insulim": "3 U/h"}, "has no input `insulim`; did you mean `insulin`"),
        ({"insulin": "three"}, "must read like '3 U/h'"),
        ({"insulin": 3.0}, "must read like '3 U/h'"),
        ({"insulin": []}, "is empty"),
        ({"insulin": ("3 U/h", "30 min")}, "begins at 30 min, before the twin's present at 720 min"),
        ({"insulin": ["3 U/h at +2 h", "4 U/h at +1 h"]}, "must go forward in time"),
        ({"insulin": "3 mmHg"}, "insulin"),
    ],
)
def test_a_plan_that_cannot_be_read_is_refused_by_name(drip, given, message):
    with pytest.raises(ValueError, match=message):
        tp.plan(drip, **given)


@pytest.mark.slow
def test_a_setting_has_no_duration():
    model = tp.models.respiratory.GasExchange()
    oxygen = tp.Inputs.settings("inspired_oxygen", 0, 40, "%") | tp.Inputs.settings(
        "alveolar_ventilation", 0, 5, "L/min"
    )
    twin = tp.fit(  # noqa: F811
        model, tp.Record.admission(inputs=oxygen, time=10.0), key=KEY, method=tp.Laplace(draws=50, proposals=300)
    )
    course = followed(twin, inspired_oxygen=[("60 %", "+30 min"), ("30 %", "+60 min")])["inspired_oxygen"]
    assert [float(course.at(10 + m)) for m in (0, 29, 31, 61)] == pytest.approx([40, 40, 60, 30])
    with pytest.raises(ValueError, match="`inspired_oxygen` holds until the next"):
        tp.plan(twin, inspired_oxygen="60 % over 30 min")


@pytest.mark.slow
def test_a_balloon_pumps_ratio_is_planned_as_it_is_set():
    class Assisted(Washout):
        """A washout beside a balloon pump."""

        class Input(eqx.Module):
            """What drives it."""

            drive: Array = tp.quantity("1/min", "drive")
            balloon_ratio: Array = tp.quantity("1", "share of beats assisted")

    running = tp.Record.admission(inputs=tp.Inputs.settings("balloon_ratio", 0, "1:1", "1"), time=10.0)
    twin = tp.fit(Assisted(), running, key=KEY, method=tp.Laplace(draws=50, proposals=300))  # noqa: F811
    course = followed(twin, balloon_ratio=["1:2 at +30 min", "1:4 at +60 min"])["balloon_ratio"]
    assert [float(course.at(10 + m)) for m in (29, 31, 61)] == pytest.approx([1.0, 0.5, 0.25])


# ---- a plan and the present ----------------------------------------------------------------------------------------


def test_a_plan_written_in_time_from_now_is_refused_with_the_remedy(drip):
    late = tp.Inputs.infusions("insulin", 0, 240, 3.0, "U/h")
    with pytest.raises(
        ValueError, match=r"ends at 240 min, before the twin's present at 720 min.*`tp.plan\(twin, insulin="
    ):
        tp.forecast(drip, hours=2, inputs=late, key=KEY)


def test_the_records_own_history_is_no_such_plan(drip):
    ahead = tp.forecast(drip, hours=2, inputs=tp.Inputs.infusions("insulin", 60, 700, 2.0, "U/h"), key=KEY)
    assert ahead.inputs["insulin"].at(730) == 0


def test_the_same_history_in_other_rows_is_no_such_plan(drip):
    rows = tp.Inputs.infusions("insulin", [60, 300, 500], [300, 500, 720], [2.0, 2.0, 2.0], "U/h")
    ahead = tp.forecast(drip, hours=2, inputs=rows, key=KEY)
    assert ahead.inputs["insulin"].at(730) == 0


def test_what_a_plan_says_of_the_past_and_where_it_stops_is_said(drip):
    ahead = tp.forecast(drip, hours=4, inputs=tp.Inputs.infusions("insulin", 600, 780, 3.0, "U/h"), key=KEY)
    assert "What the plan says of insulin before the twin's present at 720 min is not used." in ahead.notes
    assert "The plan of insulin ends at 780 min, before the forecast at 960 min: it is 0 then." in ahead.notes


def test_a_forecast_says_how_old_the_last_measurement_is(twin):  # noqa: F811
    old = dataclasses.replace(twin, record=dataclasses.replace(twin.record, end=twin.now + 60))
    assert "The last glucose is 1 h old." in repr(tp.forecast(old, hours=1, key=KEY))


# ---- risk ----------------------------------------------------------------------------------------------------------


def test_a_horizon_before_the_first_forecast_time_is_refused_with_the_remedy(twin):  # noqa: F811
    ahead = tp.forecast(twin, hours=2, key=KEY)
    with pytest.raises(ValueError, match=r"lies within 6 min, the first is 10 min ahead.*every='1.5 min'"):
        tp.risk(ahead, "glucose < 4 mmol/L", hours=0.1)


def test_draws_that_could_not_be_solved_are_said_in_the_risk(twin):  # noqa: F811
    ahead = tp.forecast(twin, hours=1, key=KEY)
    outputs = ahead.group("predicted_outputs")
    values = outputs["glucose"].values.copy()
    values[0, :3] = np.nan
    tree = ahead.tree.copy()
    tree["predicted_outputs"] = outputs.assign(glucose=outputs["glucose"].copy(data=values))
    found = tp.risk(dataclasses.replace(ahead, tree=tree), "glucose < 4 mmol/L")
    assert (found.failed, str(found).endswith("397 draws, 3 more could not be solved)")) == (3, True)
    tree["predicted_outputs"] = outputs.assign(glucose=outputs["glucose"].copy(data=np.full_like(values, np.nan)))
    nothing = tp.risk(dataclasses.replace(ahead, tree=tree), "glucose < 4 mmol/L")
    assert (np.isnan(nothing.probability), nothing.failed) == (True, values[..., 0].size)


def test_a_plan_beyond_the_forecast_is_said(drip):
    ahead = tp.forecast(drip, hours=1, inputs=tp.Inputs.infusions("insulin", 900, 1000, 3.0, "U/h"), key=KEY)
    assert "The plan of insulin begins at 900 min, when the forecast has ended: it does not feel it." in ahead.notes
