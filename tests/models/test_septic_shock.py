"""The synthetic septic stays, the bedside model fitted to them, and the pictures of its doses."""

import importlib.util

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import twinprob as tp
from tests import ROOT
from twinprob.models.sepsis import VasopressorPressure
from twinprob.models.sepsis.baroreflex import VagalPressure
from twinprob.models.sepsis.pressure import equivalent
from twinprob.readers import hemodynamics

FOLDER = ROOT / "datasets" / "septic_shock"
MAP = "mean_arterial_pressure"


def stay(number):
    return tp.read_tidy(FOLDER / f"stay_{number}.csv", own=hemodynamics.NAMES)


@pytest.fixture(scope="module")
def twin():
    """One patient's first six hours."""
    method = tp.Laplace(draws=400, proposals=2000)
    return tp.fit(VasopressorPressure(), stay(6).until("6 h"), key=jax.random.key(0), method=method)


# ---- the data --------------------------------------------------------------------------------------------------------


def test_the_generator_makes_a_stay_again(tmp_path):
    spec = importlib.util.spec_from_file_location("generate_septic_shock", FOLDER / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.write_stay(tmp_path, 2)
    assert (tmp_path / "stay_2.csv").read_bytes() == (FOLDER / "stay_2.csv").read_bytes()


def test_the_dataset_says_where_it_comes_from():
    assert "**License.**" in (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("number", range(1, 7))
def test_a_stay_has_a_day_of_pressures_doses_and_boluses(number):
    record = stay(number)
    assert np.all(np.diff(record.observations[MAP].times) == 30.0)
    assert record.end >= 23.5 * 60
    assert {"norepinephrine", "crystalloid"} <= set(record.inputs.names)


# ---- the bedside model -----------------------------------------------------------------------------------------------


def test_half_the_greatest_rise_comes_at_the_half_rate():
    model = VasopressorPressure(greatest_rise=30.0, half_rate=0.2)
    assert float(model.rise(0.2)) == pytest.approx(15.0)


def test_other_pressors_count_as_norepinephrine():
    inputs = VasopressorPressure.Input(*jnp.array([0.1, 0.04, 1.0, 0.05, 10.0, 0.0, 0.0, 0.0]))
    assert float(equivalent(inputs)) == pytest.approx(0.1 + 0.1 + 0.1 + 0.05 + 0.1)


def test_a_step_of_the_rate_arrives_with_the_half_life():
    model = VasopressorPressure()
    given = tp.Inputs.infusions("norepinephrine", 0.0, np.inf, 0.2, "ug/kg/min", own=("norepinephrine",))
    run = tp.simulate(model, given, np.array([0.0, 3.5, 7.0]))
    np.testing.assert_allclose(run.state.pressor[1:], [0.1, 0.15], rtol=2e-3)


def test_the_typical_rise_is_oualha_s_at_the_same_dose():
    # Plasma is rate over clearance: 4.11 ug/L at 6.6 L/h/kg^0.75 in 70 kg.
    rate = 4.11 * 6.6 * 70.0**0.75 / 60.0 / 70.0
    assert float(VasopressorPressure().rise(rate)) == pytest.approx(6.0, rel=2e-2)


def test_volume_raises_pressure_by_its_gain():
    model = VasopressorPressure(level=60.0, swing=0.0, volume_gain=10.0)
    state = model.State(jnp.asarray(0.0), jnp.asarray(500.0), jnp.asarray(0.0))
    none = model.Input(*(jnp.asarray(0.0) for _ in range(8)))
    assert float(model.output(state, none).mean_arterial_pressure) == pytest.approx(65.0)


def test_the_heart_slows_where_pressure_rises():
    patient = VagalPressure()
    rest = patient.Input(**{n: jnp.asarray(q.default, float) for n, q in patient.quantities(patient.Input).items()})
    pressed = eqx.tree_at(lambda given: given.resistance_factor, rest, jnp.asarray(1.5))
    low, high = (patient.output(patient.initial(given), given) for given in (rest, pressed))
    assert float(high.mean_arterial_pressure) > float(low.mean_arterial_pressure)
    assert float(high.heart_rate) < float(low.heart_rate)


@pytest.mark.slow
def test_the_next_hours_lie_in_the_forecast(twin):
    record = stay(6)
    times = record.observations[MAP].times
    ahead = times[(times > twin.now) & (times <= twin.now + 120.0)]
    plan = record.inputs.until(float(ahead[-1]))
    found = tp.forecast(twin, times=ahead, inputs=plan, key=jax.random.key(1))
    judged = tp.score(found, record).summary(ci_prob=0.99)
    assert judged["coverage"].iloc[0] == 1.0


@pytest.mark.slow
def test_more_norepinephrine_makes_hypotension_less_likely(twin):
    risks = []
    for rate in (0.2, 0.8, 2.0):
        plan = tp.Inputs.infusions("norepinephrine", twin.now, np.inf, rate, "ug/kg/min", own=("norepinephrine",))
        ahead = tp.forecast(twin, hours=1.0, inputs=plan, key=jax.random.key(2))
        risks.append(tp.risk(ahead, f"{MAP} < 65 mmHg").probability)
    assert risks[0] > risks[1] > risks[2]


# ---- pictures --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_dose_response_has_a_posterior_a_prior_and_the_present_rate(twin):
    axis = tp.plots.dose_response(twin).axes[0]
    assert len(axis.collections) == 3
    assert [line.get_linestyle() for line in axis.lines[1:4]] == [":", "--", ":"]
    assert axis.get_xlim()[1] == pytest.approx(1.6)


@pytest.mark.slow
def test_the_median_dose_response_passes_through_the_draws(twin):
    axis = tp.plots.dose_response(twin, highest=0.8).axes[0]
    line = axis.lines[0]
    posterior = twin.group("posterior")
    draws = [posterior[name].values[..., -1].ravel() for name in ("level", "swing")]
    draws += [posterior[name].values.ravel() for name in ("greatest_rise", "half_rate")]
    wanted = np.median(draws[0] + draws[1] + draws[2] * 0.8 / (draws[3] + 0.8))
    assert np.asarray(line.get_ydata())[-1] == pytest.approx(wanted)


@pytest.mark.slow
def test_a_twin_of_another_model_has_no_dose_response():
    empty = tp.fit(tp.models.metabolic.ICING(), tp.Record.admission(), key=jax.random.key(0))
    with pytest.raises(ValueError, match="Model `ICING` has no dose response: it lacks `level`"):
        tp.plots.dose_response(empty)


@pytest.mark.slow
def test_fans_stand_side_by_side_with_their_risks(twin):
    plans = {}
    for rate in (0.2, 0.8):
        plan = tp.Inputs.infusions("norepinephrine", twin.now, np.inf, rate, "ug/kg/min", own=("norepinephrine",))
        plans[f"{rate} ug/kg/min"] = tp.forecast(twin, hours=1.0, inputs=plan, key=jax.random.key(2))
    axes = tp.plots.pressure_fans(plans).axes
    wanted = tp.risk(plans["0.8 ug/kg/min"], f"{MAP} < 65 mmHg").probability
    assert len(axes) == 2
    assert f"P(< 65) = {wanted:.2f}" in axes[1].get_title()


def test_no_forecast_is_refused():
    with pytest.raises(ValueError, match="at least one forecast"):
        tp.plots.pressure_fans({})
