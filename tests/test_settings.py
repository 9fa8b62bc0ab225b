"""What settings would do: limits, risks and their picture."""

import jax
import pytest

import twinprob as tp
from twinprob.models.respiratory import ChartedMechanics
from twinprob.models.respiratory.limits import DRIVING, LIMITS, PLATEAU, SATURATION, volume_per_weight

METHOD = tp.Laplace(draws=200, proposals=1000)


@pytest.fixture(scope="module")
def ahead():
    """Forecasts of a stiff lung under two tidal volumes."""
    given = tp.Inputs.constant(
        tidal_volume=(420.0, "mL"), respiratory_rate=(20.0, "1/min"), peep=(10.0, "cmH2O")
    )  # fmt: skip
    times = [0.0, 240.0, 480.0, 720.0]
    record = tp.Record.build({"plateau_pressure": (times, [27.0, 28.0, 28.0, 29.0], "cmH2O")}, given)
    model = ChartedMechanics().fix(resistive_pressure=6.0)
    twin = tp.fit(model, record, key=jax.random.key(0), method=METHOD)
    plans = {"420 mL": 0.42, "560 mL": 0.56}
    return {
        name: tp.forecast(
            twin, hours=2, inputs=tp.Inputs.constant(tidal_volume=(volume, "L")), every="30 min", key=jax.random.key(1)
        )
        for name, volume in plans.items()
    }


@pytest.mark.parametrize("limit", [PLATEAU, DRIVING], ids=lambda limit: limit.event)
def test_a_larger_breath_is_a_larger_risk(ahead, limit):
    low, high = (tp.risk(one, limit.event).probability for one in ahead.values())
    assert low < high
    assert high > 0.9


def test_every_limit_says_where_it_comes_from():
    assert all("setting" in limit.source for limit in LIMITS)


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


def test_a_fan_without_a_limited_output_is_refused(ahead):
    with pytest.raises(ValueError, match="No forecast has any of the limited outputs: pulse_saturation"):
        tp.plots.settings_fan(ahead, limits=[SATURATION])


def test_a_tidal_volume_in_milliliters_is_refused():
    with pytest.raises(ValueError, match="must be in L, but is 420"):
        volume_per_weight(420.0, 70.0)


def test_a_weight_of_zero_is_refused():
    with pytest.raises(ValueError, match="`predicted_weight` must be above zero"):
        volume_per_weight(0.42, 0.0)
