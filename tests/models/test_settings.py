"""What settings would do: limits, risks and their picture."""

import jax
import numpy as np
import pytest

import twinprob as tp
from twinprob.breaths.tracking import Tracking, update_breath
from twinprob.models.respiratory import ChartedMechanics
from twinprob.models.respiratory.breaths import Breath
from twinprob.models.respiratory.limits import DRIVING, LIMITS, PLATEAU, SATURATION, volume_per_weight
from twinprob.presentation.plots.ventilation import elastance_against_peep

pytestmark = pytest.mark.slow

METHOD = tp.Laplace(draws=200, proposals=1000)


@pytest.fixture(scope="module")
def twin():
    """A stiff lung, known from four plateaus at one PEEP."""
    given = tp.Inputs.constant(
        tidal_volume=(420.0, "mL"), respiratory_rate=(20.0, "1/min"), peep=(10.0, "cmH2O")
    )  # fmt: skip
    times = [0.0, 240.0, 480.0, 720.0]
    record = tp.Record.build({"plateau_pressure": (times, [27.0, 28.0, 28.0, 29.0], "cmH2O")}, given)
    model = ChartedMechanics().fix(resistive_pressure=6.0, volume_response=1.0)  # a passive patient
    return tp.fit(model, record, key=jax.random.key(0), method=METHOD)


@pytest.fixture(scope="module")
def ahead(twin):
    """Forecasts under two tidal volumes."""
    plans = {"420 mL": 0.42, "560 mL": 0.56}
    return {
        name: tp.forecast(
            twin, hours=2, inputs=tp.Inputs.constant(tidal_volume=(volume, "L")), every="30 min", key=jax.random.key(1)
        )
        for name, volume in plans.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("limit", [PLATEAU, DRIVING], ids=lambda limit: limit.event)
def test_a_larger_breath_is_a_larger_risk(ahead, limit):
    low, high = (tp.risk(one, limit.event).probability for one in ahead.values())
    assert low < high
    assert high > 0.9


@pytest.mark.slow
def test_the_drift_of_elastance_widens_the_forecast(twin):
    ahead = tp.forecast(twin, times=[twin.now + 60.0, twin.now + 2800.0], key=jax.random.key(1))
    low, high = ahead.quantiles("plateau_pressure", [0.05, 0.95])
    assert high[0] - low[0] < high[1] - low[1]


def test_every_limit_says_where_it_comes_from():
    assert all("setting" in limit.source for limit in LIMITS)


@pytest.mark.slow
def test_the_fan_has_a_panel_for_each_limit_and_setting(ahead):
    figure = tp.plots.settings_fan(ahead)
    # Plateau, driving pressure and power; the mechanics alone have no saturation.
    assert len(figure.axes) == 3 * 2
    titles = [axis.get_title() for axis in figure.axes[:2]]
    assert [title.split("\n")[0] for title in titles] == ["420 mL", "560 mL"]
    assert f"{tp.risk(ahead['560 mL'], PLATEAU.event).probability:.2f}" in titles[1]


def test_a_fan_of_nothing_is_refused():
    with pytest.raises(ValueError, match="must hold at least one forecast"):
        tp.plots.settings_fan({})


@pytest.mark.slow
def test_a_fan_without_a_limited_output_is_refused(ahead):
    with pytest.raises(ValueError, match="No forecast has any of the limited outputs: pulse_saturation"):
        tp.plots.settings_fan(ahead, limits=[SATURATION])


def test_a_tidal_volume_in_milliliters_is_refused():
    with pytest.raises(ValueError, match="must be in L, but is 420"):
        volume_per_weight(420.0, 70.0)


def test_a_weight_of_zero_is_refused():
    with pytest.raises(ValueError, match="`predicted_weight` must be above zero"):
        volume_per_weight(0.42, 0.0)


# ---- elastance against PEEP ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def staircase(twin):
    """Forecasts at three levels of PEEP, two hours on."""
    return {
        peep: tp.forecast(
            twin, hours=2, every="1 h", inputs=tp.Inputs.constant(peep=(peep, "cmH2O")), key=jax.random.key(1)
        )
        for peep in (14.0, 6.0, 10.0)
    }


def test_the_curve_is_driving_pressure_over_tidal_volume_in_order_of_peep(staircase):
    middle = elastance_against_peep(staircase, tidal_volume=0.42).axes[0].lines[0]
    np.testing.assert_array_equal(middle.get_xdata(), [6.0, 10.0, 14.0])
    expected = [
        np.median(staircase[peep].group("predicted_outputs")["driving_pressure"].values[..., -1]) / 0.42
        for peep in (6.0, 10.0, 14.0)
    ]
    np.testing.assert_allclose(np.asarray(middle.get_ydata()), expected, rtol=1e-6)


def test_the_probabilities_of_the_lowest_elastance_add_up_to_one(staircase):
    texts = [text.get_text() for text in elastance_against_peep(staircase, tidal_volume=0.42).axes[0].texts]
    assert len(texts) == 3
    assert sum(map(float, texts)) == pytest.approx(1.0, abs=0.011)


def test_measured_breaths_stand_at_the_peep_they_had(staircase):
    t = np.arange(0.0, 3.0, 0.02)
    flow = np.where(t < 1.0, 0.5, -0.5 * np.exp(-2.5 * (t - 1.0)))
    volume = np.append(0.0, np.cumsum(0.5 * (flow[1:] + flow[:-1]) * 0.02))
    breath = Breath(t, 7.0 + 25.0 * volume + 10.0 * flow, flow, 50)
    tracking = update_breath(Tracking(), breath)
    dots = elastance_against_peep(staircase, tidal_volume=0.42, history=[Tracking(), tracking]).axes[0].lines[1]
    assert tracking.fit is not None
    np.testing.assert_allclose(np.asarray(dots.get_xdata()), [tracking.fit.peep])
    np.testing.assert_allclose(np.asarray(dots.get_ydata()), [25.0], rtol=0.02)


def test_one_peep_is_no_curve(staircase):
    with pytest.raises(ValueError, match="two levels of PEEP or more, but holds 1"):
        elastance_against_peep({6.0: staircase[6.0]}, tidal_volume=0.42)


def test_a_curve_at_a_volume_in_milliliters_is_refused(staircase):
    with pytest.raises(ValueError, match=r"must be in L, above 0 and below 3, but is 420"):
        elastance_against_peep(staircase, tidal_volume=420.0)
