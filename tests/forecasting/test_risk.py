import math

import numpy as np
import pytest
import xarray as xr

from twinprob.forecasting.forecast import Forecast
from twinprob.forecasting.risk import risk
from twinprob.patient.inputs import Inputs

HOURS = np.array([1.0, 2.0, 3.0])
LOW, FINE, GONE = [5.0, 3.0, 5.0], [5.0, 4.5, 5.0], [math.nan] * 3  # mmol/L at each hour


def made(draws, effective):
    """A forecast from ten hours on whose draws are given."""
    glucose = xr.DataArray(np.array([draws]), dims=("chain", "draw", "time"), attrs={"units": "mmol/L"})
    outputs = xr.Dataset({"glucose": glucose}, coords={"time": 600.0 + 60.0 * HOURS})
    tree = xr.DataTree.from_dict({"predictions": outputs, "predicted_outputs": outputs})
    return Forecast(tree, 600.0, Inputs(), effective, 0)


def test_draws_that_failed_count_neither_as_the_event_nor_against_it():
    found = risk(made([LOW, FINE, GONE, LOW, FINE, GONE, GONE, FINE], 8.0), "glucose < 4 mmol/L")
    assert (found.probability, found.draws, found.failed) == (2 / 5, 5, 3)
    assert "(5 draws, 3 more could not be solved)" in str(found)


def test_the_error_is_that_of_the_effective_draws_that_were_solved():
    found = risk(made([LOW, FINE, GONE, GONE] * 10, 16.0), "glucose < 4 mmol/L")
    # Half of 16 are left; one event and one non-event more, as Agresti and Coull add: 5 of 10.
    assert found.effective_draws == 8.0
    assert found.mcse == pytest.approx(math.sqrt(0.5 * 0.5 / 10.0))


def test_without_a_draw_that_was_solved_the_risk_is_not_known():
    found = risk(made([GONE, GONE], 2.0), "glucose < 4 mmol/L")
    assert math.isnan(found.probability)
    assert math.isnan(found.mcse)
    assert not found.probability <= 1.0


def test_a_horizon_takes_in_the_times_up_to_its_end():
    ahead = made([LOW, FINE], 2.0)
    within = [risk(ahead, "glucose < 4 mmol/L", hours=hours).probability for hours in (1.0, 1.9, 2.0, 3.0)]
    assert within == [0.0, 0.0, 0.5, 0.5]


@pytest.mark.parametrize(("event", "probability"), [("< 5", 0.5), ("<= 5", 1.0), ("> 3", 0.5), (">= 3", 1.0)])
def test_a_limit_itself_belongs_to_the_comparison_that_names_it(event, probability):
    assert risk(made([[3.0] * 3, [5.0] * 3], 2.0), f"glucose {event} mmol/L").probability == probability


@pytest.mark.parametrize(
    ("event", "hours", "message"),
    [
        ("glucose < 4 mmol/L", 0.5, "No time of the forecast lies within 30 min, the first is 60 min ahead"),
        ("glucose < 4 mmol/L", 3.5, "reaches 3 h ahead"),
        ("glucose < 4.4.4 mmol/L", None, "must read like"),
        ("glucose < 1e999 mmol/L", None, "must read like|Unknown unit"),
    ],
)
def test_what_the_forecast_cannot_answer_is_refused(event, hours, message):
    with pytest.raises(ValueError, match=message):
        risk(made([LOW], 1.0), event, hours=hours)


def test_a_limit_that_no_patient_could_pass_is_a_slip_of_the_unit():
    with pytest.raises(ValueError, match=r"limit of event 'glucose < 4 mg/dL'.* outside the plausible range .*mmol/L"):
        risk(made([LOW, FINE], 2.0), "glucose < 4 mg/dL")


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("glucose < 2 mmol/L", "< 0.14 (95 % sure; none of 40 draws)"),
        ("glucose > 2 mmol/L", "> 0.86 (95 % sure; all of 40 draws)"),
    ],
)
def test_no_draw_of_many_is_a_bound_and_not_zero(event, said):
    # The rule of three, exactly: 1 - 0.05^(1/20) = 0.139 for 20 effective draws.
    assert said in str(risk(made([LOW, FINE] * 20, 20.0), event))


def test_a_summary_holds_the_quantiles_of_the_draws_and_the_hours_from_now():
    values = np.random.default_rng(0).normal(8.0, 1.0, (400, 3))
    frame = made(values.tolist(), 400.0).summary(ci_prob=0.8)
    assert frame["hours_ahead"].tolist() == HOURS.tolist()
    for name, level in (("lower", 0.1), ("median", 0.5), ("upper", 0.9), ("output_lower", 0.1)):
        np.testing.assert_allclose(frame[name], np.quantile(values, level, axis=0))
