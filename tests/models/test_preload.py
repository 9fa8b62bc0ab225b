"""The bedside circulation against its own definitions, its limits, and the directions a circulation is known to go."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

import twinprob as tp
from tests.circulation import level
from twinprob.models.cardiovascular import Preload, limits
from twinprob.models.respiratory import ChartedMechanics

PATIENT = Preload()


def at(patient=PATIENT, activity=0.0, **given):
    """The outputs at one instant, the inputs not given at their defaults."""
    inputs = {name: declared.default for name, declared in patient.quantities(patient.Input).items()} | given
    state = patient.State(jnp.asarray(activity))
    return patient.output(state, patient.Input(**{name: jnp.asarray(value, float) for name, value in inputs.items()}))


@pytest.mark.parametrize("driving", [0.5, 5.0, 14.0, 60.0])
@pytest.mark.parametrize("half", [0.5, 5.0, 40.0])
def test_venous_return_meets_the_heart_where_a_search_in_scipy_finds_it(driving, half):
    patient = PATIENT.fix(half_filling=half)

    def excess(P):
        return (driving - P) / 1.2 - 75.0 * 130.0 * P / (P + half) / 1000.0

    smooth = 0.5 * (driving + np.sqrt(driving**2 + 0.01))
    found = patient.meet(driving, 75.0)
    assert float(found.filling) == pytest.approx(brentq(excess, 0.0, driving), abs=1.1 * (smooth - driving))
    assert float(found.cardiac_output) == pytest.approx(float(found.stroke_volume) * 0.075)


def test_an_empty_circulation_has_a_solution_with_a_gradient():
    value, slope = jax.value_and_grad(lambda d: PATIENT.meet(d, 75.0).cardiac_output)(-50.0)
    assert 0.0 <= float(value) < 0.01
    assert np.isfinite(float(slope))


def test_pressures_are_those_of_the_definitions():
    shown = at(volume_change=100.0)
    mean = (1100.0 + 100.0) / 80.0
    assert float(shown.central_venous_pressure) == pytest.approx(mean - 1.2 * float(shown.cardiac_output), rel=1e-3)
    expected = float(shown.central_venous_pressure) + 14.0 * float(shown.cardiac_output)
    assert float(shown.mean_arterial_pressure) == pytest.approx(expected)
    pulse = float(shown.systolic_pressure - shown.diastolic_pressure)
    assert pulse == pytest.approx(0.8 * float(shown.stroke_volume))


def test_mean_pressure_lies_its_form_factor_above_the_diastolic():
    found = at()
    pulse = found.systolic_pressure - found.diastolic_pressure
    above = found.mean_arterial_pressure - found.diastolic_pressure
    assert float(above / pulse) == pytest.approx(float(PATIENT.form_factor), rel=1e-6)


def test_stroke_volume_never_exceeds_where_the_curve_ends():
    assert float(at(volume_change=1e6).stroke_volume) == pytest.approx(130.0, rel=2e-3)
    assert float(at(volume_change=1e6).stroke_volume) < 130.0


def test_the_fuller_patient_responds_less():
    def response(before):
        return float(at(volume_change=before + 250.0).stroke_volume / at(volume_change=before).stroke_volume - 1.0)

    responses = [response(v) for v in (-400.0, 0.0, 800.0, 2500.0)]
    assert responses == sorted(responses, reverse=True)
    assert responses[0] > 0.10 > 0.03 > responses[-1] > 0.0


def test_unstressed_volume_takes_away_what_fluid_gives():
    moved, none = at(volume_change=300.0, unstressed_change=300.0), at()
    assert float(moved.stroke_volume) == pytest.approx(float(none.stroke_volume), rel=1e-12)


def test_resistance_raises_pressure_and_not_flow():
    tight, loose = at(resistance_factor=1.5), at()
    assert float(tight.cardiac_output) == pytest.approx(float(loose.cardiac_output))
    raised = float(tight.mean_arterial_pressure - tight.central_venous_pressure)
    assert raised == pytest.approx(1.5 * float(loose.mean_arterial_pressure - loose.central_venous_pressure))


def test_intrathoracic_pressure_lowers_flow_and_raises_central_venous_pressure():
    high, low = at(intrathoracic_pressure=6.0), at()
    assert float(high.cardiac_output) < float(low.cardiac_output)
    assert float(high.central_venous_pressure) > float(low.central_venous_pressure)


def test_peep_acts_as_its_transmitted_share():
    peep = at(peep=10.0)
    same = at(intrathoracic_pressure=10.0 * 0.73556 * 0.35)
    assert float(peep.cardiac_output) == pytest.approx(float(same.cardiac_output), rel=1e-9)


def test_without_a_breath_only_the_floor_of_variation_is_left():
    assert float(at().pulse_pressure_variation) == pytest.approx(1.5)


def test_variation_is_that_of_the_two_ends_of_the_breath():
    patient = PATIENT.fix(variation_floor=1e-9, breath_delay=1e-9, yielding_volume=1e9)
    swing = 0.73556 * 4.0 * 0.6
    ends = [float(at(patient, intrathoracic_pressure=p).stroke_volume) for p in (0.0, swing)]
    expected = 200.0 * (ends[0] - ends[1]) / (ends[0] + ends[1])
    found = at(patient, tidal_volume=0.6, respiratory_rate=12.0).pulse_pressure_variation
    assert float(found) == pytest.approx(expected, rel=1e-6)


def test_a_breath_of_the_yielding_volume_swings_the_pressure_half_as_much_as_in_proportion():
    yielding, proportional = PATIENT.fix(yielding_volume=0.6), PATIENT.fix(yielding_volume=1e9)
    whole = at(yielding, tidal_volume=0.6, respiratory_rate=12.0).pulse_pressure_variation
    half = at(proportional, tidal_volume=0.3, respiratory_rate=12.0).pulse_pressure_variation
    assert float(whole) == pytest.approx(float(half), rel=1e-6)


def test_variation_grows_with_the_breath_and_falls_with_filling():
    breaths = [float(at(tidal_volume=v, respiratory_rate=10.0).pulse_pressure_variation) for v in (0.3, 0.5, 0.7)]
    assert breaths == sorted(breaths)
    full = at(tidal_volume=0.7, respiratory_rate=10.0, volume_change=1500.0)
    assert float(full.pulse_pressure_variation) < breaths[-1]


def test_the_reflex_is_off_unless_asked_for():
    bled = tp.simulate(PATIENT, level("volume_change", [1.0], [-700.0], "mL"), np.array([0.0, 30.0]))
    assert float(bled.state.baroreflex[-1]) == 0.0


@pytest.mark.slow
def test_the_reflex_holds_pressure_by_rate_resistance_and_veins():
    awake = PATIENT.fix(reflex_strength=1.0)
    bleeding = level("volume_change", [1.0], [-500.0], "mL")
    with_reflex, without = (tp.simulate(p, bleeding, np.array([0.0, 40.0])).output for p in (awake, PATIENT))
    lost = [float(o.mean_arterial_pressure[-1] / o.mean_arterial_pressure[0]) for o in (with_reflex, without)]
    assert lost[0] > lost[1] + 0.1
    assert float(with_reflex.heart_rate[-1]) > float(with_reflex.heart_rate[0]) + 5.0


def test_the_reflex_starts_settled():
    awake = PATIENT.fix(reflex_strength=1.0, set_pressure=100.0)
    inputs = awake.Input(*(jnp.asarray(d.default) for d in awake.quantities(awake.Input).values()))
    slope = awake.vector_field(0.0, awake.initial(inputs), inputs)
    assert abs(float(slope.baroreflex)) < 1e-9


@pytest.mark.slow
def test_fixed_steps_follow_the_reflex_as_an_adaptive_solver_does():
    awake = PATIENT.fix(reflex_strength=1.0)
    run = tp.simulate(awake, level("volume_change", [0.0], [-500.0], "mL"), np.array([-1.0, 0.5, 2.0, 10.0]))
    given = {name: jnp.asarray(d.default, float) for name, d in awake.quantities(awake.Input).items()}
    inputs = awake.Input(**given | {"volume_change": jnp.asarray(-500.0)})
    field = jax.jit(lambda z: awake.vector_field(0.0, awake.State(z), inputs).baroreflex)
    start = float(run.state.baroreflex[0])
    oracle = solve_ivp(
        lambda t, z: [float(field(z[0]))], (0, 10), [start], t_eval=[0.5, 2, 10], method="LSODA", rtol=1e-9, atol=1e-11
    )
    np.testing.assert_allclose(np.asarray(run.state.baroreflex)[1:], oracle.y[0], atol=2e-3)


# ---- what 250 mL would do --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [-300.0, 0.0, 2000.0])
def test_the_fluid_response_is_what_250_ml_do(before):
    expected = 100.0 * (at(volume_change=before + 250.0).stroke_volume / at(volume_change=before).stroke_volume - 1.0)
    assert float(at(volume_change=before).fluid_response) == pytest.approx(float(expected), rel=1e-9)


def test_every_limit_names_an_output_and_says_where_it_comes_from():
    outputs = PATIENT.quantities(PATIENT.Output)
    for limit in (*limits.LIMITS, limits.RESPONSE):
        assert limit.event.split()[0] in outputs
        assert "doi:" in limit.source or "abstract" in limit.source


# ---- beside a lung ---------------------------------------------------------------------------------------------------

LINKS = {"driving_pressure": "driving_pressure", "intrinsic_peep": "intrinsic_peep"}
LUNG = ChartedMechanics().fix(elastance=25.0)


def ventilated(lung=LUNG, tidal_volume=0.5, rate=14.0, share=0.2):
    """The outputs of heart and lung together."""
    both = tp.couple(lung, Preload.with_lung(chest_wall_share=share), links=LINKS)
    breath = tp.Inputs.constant(tidal_volume=(tidal_volume, "L"), respiratory_rate=(rate, "1/min"), peep=(8.0, "cmH2O"))
    with jax.enable_x64(True):
        return jax.tree.map(lambda x: float(x[-1]), tp.simulate(both, breath, np.array([0.0, 10.0])).output)


@pytest.mark.slow
def test_beside_a_lung_the_breath_is_that_share_of_its_elastance():
    lung = LUNG.fix(expiratory_time=1e-3)  # traps nothing
    joined = ventilated(lung)
    alone = at(PATIENT.fix(chest_wall_elastance=0.2 * 25.0), tidal_volume=0.5, respiratory_rate=14.0, peep=8.0)
    for name in ("pulse_pressure_variation", "mean_arterial_pressure", "central_venous_pressure"):
        assert getattr(joined, name) == pytest.approx(float(getattr(alone, name)), rel=1e-6), name


def test_variation_emerges_from_tidal_volume_elastance_and_rate():
    usual = ventilated().pulse_pressure_variation
    assert ventilated(tidal_volume=0.3).pulse_pressure_variation < usual
    assert ventilated(lung=LUNG.fix(elastance=15.0)).pulse_pressure_variation < usual
    assert ventilated(rate=30.0).pulse_pressure_variation < usual


def test_trapped_air_costs_flow_as_peep_does():
    slow, trapping = ventilated(LUNG.fix(expiratory_time=1e-3)), ventilated(LUNG.fix(expiratory_time=1.5), rate=25.0)
    assert trapping.intrinsic_peep > 3.0
    assert trapping.cardiac_output < slow.cardiac_output


@pytest.mark.slow
def test_heart_and_lung_have_one_posterior_in_which_airway_pressures_teach_about_the_heart():
    lung = LUNG.free("elastance").vary(elastance=None)
    both = tp.couple(lung, Preload.with_lung(), links=LINKS)
    breath = tp.Inputs.constant(tidal_volume=(0.5, "L"), respiratory_rate=(14.0, "1/min"), peep=(8.0, "cmH2O"))
    times = 10.0 * np.arange(1.0, 7.0)
    seen = tp.simulate(both.fix(elastance=35.0), breath, np.append(0.0, times)).output
    series = {
        name: (times, np.asarray(getattr(seen, name))[1:], both.quantities(both.Output)[name].unit)
        for name in (
            "plateau_pressure",
            "pulse_pressure_variation",
            "mean_arterial_pressure",
            "central_venous_pressure",
        )
    }
    twin = tp.fit(both, tp.Record.build(series, breath), key=jax.random.key(0), method=tp.Laplace(draws=300))
    posterior = twin.group("posterior")
    elastance, share = (np.log(posterior[n].values.ravel()) for n in ("elastance", "chest_wall_share"))
    assert np.exp(np.median(elastance)) == pytest.approx(35.0, rel=0.1)
    # Only their product swings the heart: what one takes the other gives, so that they are correlated below zero.
    assert np.corrcoef(elastance, share)[0, 1] < -0.1


# ---- a line that lies ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_flushed_line_moves_the_twin_little():
    times = 10.0 * np.arange(1.0, 9.0)
    values = np.array([62.0, 64.0, 63.0, 61.0, 64.0, 62.0, 63.0, 62.0])
    flushed = np.where(times == 40.0, 140.0, values)
    patient = PATIENT.fix(**{name: getattr(PATIENT, name) for name in PATIENT.unknowns()}).free("arterial_resistance")
    means = []
    for pressures in (values, flushed):
        record = tp.Record.build({"mean_arterial_pressure": (times, pressures, "mmHg")})
        twin = tp.fit(patient, record, key=jax.random.key(0), method=tp.Laplace(draws=300, proposals=1000))
        means.append(twin.group("posterior")["arterial_resistance"].values)
    assert abs(means[1].mean() - means[0].mean()) < means[0].std()


def test_an_own_delay_spreads_what_a_faster_breath_is_foretold_and_not_how_it_is_at_none():
    patient = Preload.ventilated()
    assert {"yielding_volume", "breath_delay"} <= set(patient.unknowns())
    # A small swing is heard through a first-order filter; the floor is taken out.
    rates, breath = np.array([0.1, 31.0]), 0.05
    for place in (0.05, 0.5, 0.95):
        delay = float(patient.priors["breath_delay"].icdf(place))
        own = patient.fix(breath_delay=delay, variation_floor=1e-6)
        slow, fast = (float(at(own, tidal_volume=breath, respiratory_rate=r).pulse_pressure_variation) for r in rates)
        assert fast / slow == pytest.approx(1.0 / np.sqrt(1.0 + (2.0 * np.pi * 31.0 * delay) ** 2), rel=0.01)
