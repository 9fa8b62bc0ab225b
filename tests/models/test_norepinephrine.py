"""Norepinephrine against closed forms, published numbers, and two mistakes that published code has made."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm

import twinprob as tp
from tests.validation import v05_04, v05_05
from twinprob.models.cardiovascular import Preload
from twinprob.models.sepsis import Norepinephrine, VagalPressure
from twinprob.models.sepsis.norepinephrine import JOACHIM, SEPTIC_RESPONSIVENESS

POPULATIONS = {
    "Beloeil": Norepinephrine.beloeil(weight=70.0),
    "Oualha": Norepinephrine.oualha(weight=70.0),
    "Joachim": Norepinephrine.joachim(),
    "Li": Norepinephrine.li(),
}


def infused(model, rate, times, *, start=0.0, end=np.inf, drug="norepinephrine", unit="ug/min"):
    given = tp.Inputs.infusions(drug, start, end, rate, unit, own=(drug,))
    return tp.simulate(model, given, np.asarray(times, float)).output


# ---- kinetics --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", POPULATIONS)
def test_the_clearance_of_an_adult_is_one_that_exists(name):
    assert 0.5 < POPULATIONS[name].clearance() < 6.0


@pytest.mark.parametrize("name", POPULATIONS)
def test_the_steady_concentration_is_the_endogenous_one_and_rate_over_clearance(name):
    model = POPULATIONS[name]
    plasma = infused(model, 7.0, [0.0, 300.0]).plasma_norepinephrine
    assert float(plasma[1]) == pytest.approx(float(model.endogenous() + 7.0 / model.clearance()), rel=1e-4)


@pytest.mark.parametrize("name", POPULATIONS)
def test_without_an_infusion_nothing_changes(name):
    run = tp.simulate(POPULATIONS[name], tp.Inputs(), np.array([0.0, 60.0]))
    np.testing.assert_allclose(run.output.resistance_factor, 1.0, rtol=1e-12)
    np.testing.assert_allclose(run.output.plasma_norepinephrine, POPULATIONS[name].endogenous(), rtol=1e-9)


def test_joachim_follows_the_matrix_exponential_of_rates_per_second():
    ka, k12, k21, kel = 0.02, 0.06, 0.04, 0.05  # per second
    rates = np.array([[-ka, 0, 0, 1.0], [ka, -k12 - kel, k21, 0], [0, k12, -k21, 0], [0, 0, 0, 0]])
    times = np.array([0.5, 1.0, 3.0, 10.0])
    wanted = [(expm(rates * 60.0 * t) @ [0, 0, 0, 7.0 / 60.0])[1] / 0.49 + 0.81 * 0.16918 for t in times]
    found = infused(Norepinephrine.joachim(), 7.0, np.append(0.0, times)).plasma_norepinephrine[1:]
    np.testing.assert_allclose(found, wanted, rtol=2e-3)


def test_joachim_raises_pressure_as_its_published_curve_does():
    # Closed form: 28.1 nmol/L above the endogenous 0.81, E0 57.09, ceiling 113.52, EC50 15.7 nmol/L.
    def pressure(C):
        return 57.09 + (113.52 - 57.09) * C / (C + 15.7)

    rate = 28.1 * 0.16918 * 1.47
    rise = infused(Norepinephrine.joachim(), rate, [0.0, 120.0]).pressure_rise[1]
    assert float(rise) == pytest.approx(pressure(28.91) - pressure(0.81), rel=1e-3)


def test_a_rate_constant_per_hour_would_be_seen_in_the_clearance():
    slow = dataclasses.replace(JOACHIM, clearance=JOACHIM.clearance / 3600.0)
    assert not 0.5 < Norepinephrine.joachim(kinetics=slow).clearance() < 6.0


def test_oualha_clears_by_the_three_quarter_power_of_weight():
    light, heavy = Norepinephrine.oualha(weight=10.0), Norepinephrine.oualha(weight=20.0)
    assert float(light.clearance()) == pytest.approx(6.6 / 60.0 * 10.0**0.75)
    assert float(heavy.clearance() / light.clearance()) == pytest.approx(2.0**0.75)
    assert float(light.endogenous()) == pytest.approx(3.12 / 6.6)


def test_four_failing_organs_leave_oualha_a_rise_of_twelve():
    assert Norepinephrine.oualha(4).greatest_rise == 12.0
    assert Norepinephrine.oualha(3).greatest_rise == 32.0


# ---- Beloeil, and the two mistakes -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_beloeil_has_the_published_half_lives_and_rise():
    assert v05_05.holds(lambda saps: Norepinephrine.beloeil(saps=saps))


def test_half_an_effect_at_ten_times_the_concentration_is_caught():
    assert not v05_05.holds(v05_05.with_wrong_half_effect)
    assert v05_05.rise(v05_05.with_wrong_half_effect(20.0)) < 1.0


def test_an_elimination_3600_times_slower_is_caught():
    assert not v05_05.holds(v05_05.with_wrong_rate_constant)


# ---- effects ---------------------------------------------------------------------------------------------------------


def test_resistance_rises_by_the_rise_of_pressure_over_the_driving_pressure():
    output = infused(Norepinephrine.beloeil(driving_pressure=50.0), 7.0, [0.0, 60.0])
    np.testing.assert_allclose(output.resistance_factor, 1.0 + output.pressure_rise / 50.0, rtol=1e-12)


def test_down_regulation_halves_both_effects():
    whole, septic = (
        infused(Norepinephrine.joachim().fix(responsiveness=r), 7.0, [0.0, 60.0]) for r in (1.0, SEPTIC_RESPONSIVENESS)
    )
    for name in ("pressure_rise", "unstressed_change"):
        ratio = float(getattr(septic, name)[1] / getattr(whole, name)[1])
        assert ratio == pytest.approx(39.0 / 84.0, rel=1e-9)


def test_norepinephrine_recruits_unstressed_volume():
    assert float(infused(Norepinephrine.beloeil(), 7.0, [0.0, 60.0]).unstressed_change[1]) < -50.0


def test_vasopressin_raises_resistance_and_leaves_plasma_norepinephrine():
    model = Norepinephrine.beloeil()
    output = infused(model, 0.04, [0.0, 200.0], drug="vasopressin", unit="U/min")
    assert float(output.resistance_factor[1]) == pytest.approx(1.0 + 0.4 / 2.0, rel=1e-4)
    np.testing.assert_allclose(output.plasma_norepinephrine, model.endogenous(), atol=1e-12)


@pytest.mark.slow
def test_an_effect_site_delays_the_effect_and_not_the_plasma():
    direct, delayed = (infused(Norepinephrine.beloeil(delayed=d), 7.0, [0.0, 1.0, 300.0]) for d in (False, True))
    np.testing.assert_allclose(delayed.plasma_norepinephrine, direct.plasma_norepinephrine, rtol=1e-12)
    assert float(delayed.pressure_rise[1]) < 0.5 * float(direct.pressure_rise[1])
    assert float(delayed.pressure_rise[2]) == pytest.approx(float(direct.pressure_rise[2]), rel=1e-4)


def test_a_dose_per_kilogram_needs_the_weight():
    model = Norepinephrine.beloeil()
    given = tp.Inputs.constant(norepinephrine=(0.1, "ug/kg/min"), own=("norepinephrine",))
    with pytest.raises(ValueError, match="norepinephrine from ug/kg/min to ug/min needs the patient's weight"):
        tp.simulate(model, given, np.array([0.0, 1.0]))


# ---- joined to a circulation -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_volunteers_of_ensinger_are_met_in_at_least_eighteen_of_twenty():
    assert len(v05_04.misses(v05_04.responses(v05_04.VOLUNTEER))) <= 2


def test_without_a_vagus_the_heart_does_not_slow():
    inputs = VagalPressure.Input(jnp.asarray(1.3), jnp.asarray(0.0))
    numb, awake = (VagalPressure(vagal_gain=gain) for gain in (1e-9, 9.0))
    rates = [float(m.output(m.initial(inputs), inputs).heart_rate) for m in (numb, awake)]
    assert rates[0] == pytest.approx(58.0, abs=1e-3)
    assert rates[1] < 54.0


def test_the_reflex_lengthens_the_beat_by_its_gain_for_a_small_rise():
    model = VagalPressure()
    assert float(model._answer(89.0)) == pytest.approx(9.0, rel=2e-3)


@pytest.mark.slow
def test_norepinephrine_raises_pressure_and_flow_of_a_preload_dependent_patient():
    model = tp.couple(
        Norepinephrine.beloeil(),
        Preload(),
        links={"resistance_factor": "resistance_factor", "unstressed_change": "unstressed_change"},
    )
    output = infused(model, 7.0, [0.0, 60.0])
    assert float(output.mean_arterial_pressure[1]) > float(output.mean_arterial_pressure[0]) + 10.0
    assert float(output.central_venous_pressure[1]) > float(output.central_venous_pressure[0])
