"""Will fluid help, and what would tell: the named limits, and the next maneuver."""

import jax
import numpy as np
import pytest

import twinprob as tp
from tests.circulation import level
from twinprob.models.cardiovascular import Preload
from twinprob.models.cardiovascular.limits import CONGESTION, HYPOTENSION, OVERSHOOT, RESPONSE

TIMES = 30.0 * np.arange(5)
SETTINGS = tp.Inputs.constant(tidal_volume=(0.42, "L"), respiratory_rate=(16.0, "1/min"))


@pytest.fixture(scope="module")
def twin():
    """Two hours of mean and central venous pressure, which say little of who responds."""
    patient = Preload().fix(arterial_elastance=0.8, resting_heart_rate=98.0, chest_wall_elastance=4.0)
    record = tp.Record.build(
        {
            "mean_arterial_pressure": (TIMES, [71.0, 74.0, 72.0, 70.0, 73.0], "mmHg"),
            "central_venous_pressure": (TIMES, [9.0, 10.0, 8.0, 9.0, 9.0], "mmHg"),
        },
        SETTINGS,
    )
    return tp.fit(patient, record, key=jax.random.key(0), method=tp.Laplace(draws=300, proposals=1500))


@pytest.fixture(scope="module")
def ranking(twin):
    """Four maneuvers, each with a stroke volume or a variation before and after."""
    legs = level("volume_change", [twin.now, twin.now + 10.0], [300.0, 0.0], "mL")
    fluid = level("volume_change", [twin.now], [250.0], "mL")
    larger = tp.Inputs.constant(tidal_volume=(0.56, "L"))
    candidates = [
        tp.Candidate("pressure again", {"mean_arterial_pressure": "+6 min"}),
        tp.Candidate("legs raised", {"stroke_volume": ["now", "+6 min"]}, extra=legs),
        tp.Candidate("250 mL", {"stroke_volume": ["now", "+6 min"]}, extra=fluid),
        tp.Candidate("tidal-volume challenge", {"pulse_pressure_variation": ["now", "+6 min"]}, inputs=larger),
    ]
    question = tp.Future("fluid_response", "+1 min")
    return tp.next_measurement(twin, candidates, quantity=question, key=jax.random.key(1), nested=50)


@pytest.mark.slow
def test_the_risk_of_a_response_is_the_share_of_draws_that_a_bolus_moves(twin):
    ahead = tp.forecast(twin, times=[twin.now + 1.0], key=jax.random.key(2))
    told = tp.risk(ahead, RESPONSE.event)
    given = tp.forecast(
        twin, times=[twin.now + 1.0], inputs=level("volume_change", [twin.now], [250.0], "mL"), key=jax.random.key(2)
    )
    before, after = (one.group("predicted_outputs")["stroke_volume"].values.ravel() for one in (ahead, given))
    expected = np.mean(after / before > 1.10)
    assert 0.05 < told.probability < 0.95
    assert told.probability == pytest.approx(expected)


@pytest.mark.slow
def test_named_limits_are_risks_of_a_forecast(twin):
    plans = (tp.Inputs(), level("volume_change", [twin.now], [500.0], "mL"))
    without, given = (tp.forecast(twin, times=[twin.now + 1.0], inputs=plan, key=jax.random.key(2)) for plan in plans)
    assert tp.risk(given, HYPOTENSION.event).probability <= tp.risk(without, HYPOTENSION.event).probability
    assert tp.risk(given, CONGESTION.event).probability >= tp.risk(without, CONGESTION.event).probability
    assert tp.risk(given, OVERSHOOT.event).probability >= tp.risk(without, OVERSHOOT.event).probability


@pytest.mark.slow
@pytest.mark.parametrize("maneuver", ["legs raised", "250 mL"])
def test_a_known_volume_tells_more_of_the_response_than_pressure_again(ranking, maneuver):
    frame = ranking.frame.set_index("candidate")
    error = 2.0 * frame.loc[maneuver, "mcse"]
    assert frame.loc[maneuver, "expected"] + error < frame.loc["pressure again", "expected"]


@pytest.mark.slow
def test_all_maneuvers_are_ranked(ranking):
    assert set(ranking.frame["candidate"]) == {"pressure again", "legs raised", "250 mL", "tidal-volume challenge"}
