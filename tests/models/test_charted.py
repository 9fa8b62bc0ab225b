"""The charted lung against the closed-form breath, and against what its settings must do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import twinprob as tp
from twinprob.models.respiratory import ChartedMechanics, ChartedOxygenation, GasExchange
from twinprob.models.respiratory.mechanics import Patient, volume_control

LUNG = ChartedMechanics(elastance=30.0, peep_effect=-0.02, expiratory_time=0.6, resistive_pressure=6.0)
SETTINGS = tp.Inputs.constant(tidal_volume=(420.0, "mL"), respiratory_rate=(20.0, "1/min"))


def at(peep=8.0, tidal=0.42, rate=20.0, lung=LUNG):
    """The outputs of a lung that is used to its PEEP."""
    inputs = lung.Input(jnp.asarray(peep), jnp.asarray(tidal), jnp.asarray(rate))
    return lung.output(lung.initial(inputs), inputs)


@pytest.mark.parametrize("rate", [12.0, 20.0, 35.0])
def test_plateau_and_trapped_air_are_those_of_the_closed_form_breath(rate):
    # R = E tau_e, and an inspiration that leaves two thirds of the breath to expire.
    breath = volume_control(
        Patient(elastance=30.0, resistance=18.0), peep=8.0, tidal_volume=0.42, rate=rate, inspiratory_time=20.0 / rate
    )
    found = at(rate=rate)
    np.testing.assert_allclose(found.intrinsic_peep, breath.intrinsic_peep, rtol=1e-4)
    np.testing.assert_allclose(found.plateau_pressure, breath.plateau, rtol=1e-4)


def test_a_step_of_peep_shows_at_once_and_what_it_recruits_later():
    raised = SETTINGS | tp.Inputs.infusions("peep", [-1e6, 10.0], [10.0, np.inf], [8.0, 14.0], "cmH2O")
    run = tp.simulate(LUNG, raised, np.array([0.0, 10.0, 10.01, 25.01, 300.0]))
    plateau = np.asarray(run.output.plateau_pressure)
    assert plateau[2] - plateau[1] == pytest.approx(6.0, abs=0.02)
    # After fifteen minutes, one time constant, 63 % of the six cmH2O have become the lung's habit.
    habit = np.asarray(run.state.accustomed_peep)
    assert (habit[3] - 8.0) / 6.0 == pytest.approx(1.0 - np.exp(-1.0), abs=1e-3)
    assert plateau[4] == pytest.approx(float(at(peep=14.0).plateau_pressure), rel=1e-6)


def test_the_power_is_the_work_of_the_breath():
    found = at()
    mean = 8.0 + float(found.intrinsic_peep) + 6.0 + 0.5 * 30.0 * 0.42
    assert float(found.mechanical_power) == pytest.approx(0.0980665 * 20.0 * 0.42 * mean, rel=1e-6)


def test_of_a_charted_change_of_volume_a_share_arrives():
    lung = ChartedMechanics(elastance=30.0, volume_response=0.5, expiratory_time=1e-2)
    driving = [float(at(tidal=tidal, lung=lung).driving_pressure) for tidal in (0.25, 0.5, 1.0)]
    np.testing.assert_allclose(driving, [15.0 / np.sqrt(2), 15.0, 15.0 * np.sqrt(2)], rtol=1e-6)


def test_no_ventilation_gives_finite_pressures_and_gradients():
    def total(elastance):
        out = at(0.0, 0.0, 0.0, ChartedMechanics(elastance=elastance))
        return out.plateau_pressure + out.alveolar_ventilation

    value, slope = jax.value_and_grad(total)(25.0)
    assert np.isfinite(value)
    assert np.isfinite(slope)


@pytest.mark.slow
def test_mechanics_drive_gas_exchange_through_alveolar_ventilation():
    lung = tp.couple(LUNG, GasExchange(), links={"alveolar_ventilation": "alveolar_ventilation"})
    given = SETTINGS | tp.Inputs.constant(peep=(8.0, "cmH2O"), inspired_oxygen=(0.5, "1"))
    run = tp.simulate(lung, given, np.array([0.0, 600.0]))
    # 0.863 VCO2 / V_A, with V_A = 20 (0.42 - 0.2) L/min
    assert float(run.output.arterial_carbon_dioxide[-1]) == pytest.approx(0.863 * 200.0 / 4.4, rel=1e-6)


def test_lungs_of_charts_say_whose_effect_they_do_not_know():
    lung, gas = ChartedMechanics(), ChartedOxygenation()
    assert lung.told_by_charts() == {"tidal_volume": "volume_response"}
    assert gas.told_by_charts() == {"inspired_oxygen": "oxygen_response"}
    assert lung.fix(volume_response=1.0).told_by_charts() == {}
    joined = tp.couple(lung, GasExchange(), links={"alveolar_ventilation": "alveolar_ventilation"})
    assert joined.told_by_charts() == lung.told_by_charts()
