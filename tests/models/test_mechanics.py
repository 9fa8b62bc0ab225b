"""Breaths in closed form against integration, special cases and published formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import twinprob as tp
from twinprob.models.respiratory import SingleCompartment
from twinprob.models.respiratory.mechanics import (
    JOULE,
    Patient,
    becher,
    gattinoni,
    giosa,
    predicted_weight,
    pressure_control,
    relax,
    volume_control,
)

STIFF, ROUGH = Patient(30.0, 10.0), Patient(40.0, 8.0, 9.0)


def integrate(patient, pressure, volume, duration):
    """The equation of motion by LSODA: pressure above PEEP held, volume above relaxed."""
    E, R, K = patient

    def rate(_, V):
        drop = pressure - E * V
        flow = (np.sqrt(R**2 + 4 * K * np.abs(drop)) - R) / (2 * K) if K else np.abs(drop) / R
        return np.sign(drop) * flow

    return solve_ivp(rate, (0.0, duration), [volume], method="LSODA", rtol=1e-10, atol=1e-12).y[0, -1]


def test_a_linear_lung_empties_exponentially():
    left, flow = relax(STIFF, 0.5, 0.4)
    assert float(left) == pytest.approx(0.5 * np.exp(-0.4 * 3.0), rel=1e-5)
    assert float(flow) == pytest.approx(float(left) * 3.0, rel=1e-5)


@pytest.mark.parametrize("time", [0.01, 0.3, 2.0])
def test_a_rohrer_lung_empties_as_the_integrated_equation_does(time):
    assert float(relax(ROUGH, 0.5, time)[0]) == pytest.approx(integrate(ROUGH, 0.0, 0.5, time), rel=1e-7)


def test_after_no_time_everything_is_left():
    assert float(relax(ROUGH, 0.5, 0.0)[0]) == pytest.approx(0.5)


@pytest.mark.parametrize("patient", [STIFF, ROUGH, Patient(20.0, 30.0, 5.0)])
def test_pressure_control_reaches_the_periodic_breath_of_the_integrated_equation(patient):
    V = 0.0
    for _ in range(60):
        full = integrate(patient, 15.0, V, 0.8)
        V = integrate(patient, 0.0, full, 1.2)
    breath = pressure_control(patient, peep=6.0, driving=15.0, rate=30.0, inspiratory_time=0.8)
    assert float(breath.tidal_volume) == pytest.approx(full - V, rel=1e-5)
    assert float(breath.intrinsic_peep) == pytest.approx(patient.elastance * V, rel=1e-4, abs=1e-6)


def test_auto_peep_is_that_of_the_closed_form():
    breath = volume_control(Patient(30.0, 20.0), peep=5.0, tidal_volume=0.5, rate=30.0, inspiratory_time=0.8)
    fraction = np.exp(-1.2 * 30.0 / 20.0)
    assert float(breath.intrinsic_peep) == pytest.approx(30.0 * 0.5 * fraction / (1 - fraction), rel=1e-6)


def test_constant_flow_gives_the_textbook_pressures():
    breath = volume_control(ROUGH, peep=8.0, tidal_volume=0.4, rate=10.0, inspiratory_time=0.8, pause=0.3)
    assert float(breath.plateau) == pytest.approx(8.0 + 16.0, abs=1e-3)
    assert float(breath.peak - breath.plateau) == pytest.approx(8.0 * 0.5 + 9.0 * 0.25)
    assert float(breath.driving_pressure) == pytest.approx(16.0)


def test_mean_pressure_is_the_time_average_of_the_waveform():
    breath = volume_control(STIFF, peep=8.0, tidal_volume=0.4, rate=15.0, inspiratory_time=1.0, pause=0.5)
    times = np.linspace(0, 1.0, 2001)
    inspired = 8.0 + float(breath.intrinsic_peep) + 30.0 * 0.4 * times + 10.0 * 0.4
    average = (np.trapezoid(inspired, times) + 0.5 * float(breath.plateau) + 2.5 * 8.0) / 4.0
    assert float(breath.mean) == pytest.approx(average, rel=1e-9)


def test_gradients_pass_through_the_periodic_breath():
    def plateau(E):
        return pressure_control(Patient(E, 12.0, 6.0), peep=5.0, driving=15.0, rate=30.0, inspiratory_time=0.6).plateau

    values, slopes = jax.jit(jax.vmap(jax.value_and_grad(plateau)))(jnp.array([29.999, 30.0, 30.001]))
    assert float(slopes[1]) == pytest.approx(float(values[2] - values[0]) / 0.002, rel=1e-5)


@pytest.mark.parametrize("patient", [Patient(5.0, 60.0, 30.0), Patient(300.0, 1.0, 0.0), Patient(20.0, 500.0, 0.0)])
def test_an_extreme_lung_has_a_finite_breath_with_finite_gradients(patient):
    value, slopes = breath_and_slopes(jnp.array(patient))
    assert np.isfinite(value)
    assert np.all(np.isfinite(slopes))


@jax.jit
@jax.value_and_grad
def breath_and_slopes(lung):
    """Return the sum of what a breath has, and its slopes by elastance, resistance and Rohrer's constant."""
    return sum(pressure_control(Patient(*lung), peep=5.0, driving=15.0, rate=40.0, inspiratory_time=0.4))


# The worked value of the domain page: VT .42, RR 20, E 30, R 10, PEEP 10, I:E 0.5
def test_power_without_intrinsic_peep_is_that_of_gattinoni():
    breath = volume_control(STIFF, peep=10.0, tidal_volume=0.42, rate=20.0, inspiratory_time=1.0)
    own = float(breath.mechanical_power) - JOULE * 20.0 * 0.42 * float(breath.intrinsic_peep)
    formula = gattinoni(
        elastance=30.0, resistance=10.0, peep=10.0, tidal_volume=0.42, rate=20.0, inspiratory_to_expiratory=0.5
    )
    assert formula == pytest.approx(16.9, abs=0.05)
    assert own == pytest.approx(formula, rel=1e-3)  # 0.098 stands for 0.0980665


def test_the_surrogate_of_giosa_lies_near_the_power():
    breath = volume_control(STIFF, peep=10.0, tidal_volume=0.42, rate=20.0, inspiratory_time=1.0)
    surrogate = giosa(peak=breath.peak, peep=10.0, minute_volume=8.4, flow=25.2)
    assert float(surrogate) == pytest.approx(float(breath.mechanical_power), rel=0.05)


def test_pressure_control_has_the_power_of_becher():
    breath = pressure_control(STIFF, peep=10.0, driving=15.0, rate=20.0, inspiratory_time=1.0)
    formula = becher(driving=15.0, peep=10.0, tidal_volume=breath.tidal_volume, rate=20.0)
    assert float(breath.mechanical_power) == pytest.approx(float(formula), rel=1e-3)


def test_a_sex_of_another_word_is_refused():
    with pytest.raises(ValueError, match='must be "female" or "male", but is \'m\''):
        predicted_weight(170.0, "m")


@pytest.mark.slow
def test_a_fit_to_two_breaths_finds_the_lung_that_made_them():
    times = np.arange(0.0, 4.0, 0.04)
    phase = times % 2.0
    flow = np.where(phase < 0.8, 0.5, np.where(phase < 1.0, 0.0, -0.4 * np.exp(-(phase - 1.0) / 0.4)))
    clean = SingleCompartment(elastance=28.0, resistance=9.0, rohrer=4.0, offset=7.0)
    series = {"airway_flow": tp.Series(times / 60.0, flow, "L/s")}
    run = tp.simulate(clean, tp.Inputs(), times / 60.0, measured=series)
    noise = 0.3 * np.random.default_rng(2).normal(size=times.size)
    record = tp.Record.build(
        {
            "airway_flow": (times / 60.0, flow, "L/s"),
            "airway_pressure": (times / 60.0, np.asarray(run.output.airway_pressure) + noise, "cmH2O"),
        }
    )
    density = tp.joint(SingleCompartment().vary(elastance=None), record)
    sampled = tp.Laplace(draws=200, proposals=1000).sample(density, key=jax.random.key(1))
    posterior = jax.jit(jax.vmap(density.constrain))(sampled.positions.reshape(-1, density.size))
    for name, value in (("elastance", 28.0), ("resistance", 9.0), ("offset", 7.0)):
        low, high = np.quantile(posterior[name], [0.005, 0.995])
        assert low < value < high
