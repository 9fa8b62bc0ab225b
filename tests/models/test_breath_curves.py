"""Curves of a breath against integration of the equation of motion, and against the closed forms of the summary."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from twinprob.models.respiratory import curves as drawn
from twinprob.models.respiratory.curves import Muscle, PressureControl, VolumeControl, breathe, follow_breaths
from twinprob.models.respiratory.mechanics import Patient, pressure_control, volume_control

ROUGH = Patient(40.0, 8.0, 9.0)
SQUARE = PressureControl(peep=6.0, driving=15.0, rate=30.0, inspiratory_time=0.8)
FLOW = VolumeControl(peep=8.0, tidal_volume=0.4, rate=20.0, inspiratory_time=0.9, pause=0.3)
PULL = Muscle(effort=8.0, onset=0.1, rise=0.4, release=0.12)
chart = jax.jit(drawn.chart)


def integrate(patient, ventilator, muscle, start):
    """End-inspiratory and end-expiratory volume of one pressure-controlled breath, by LSODA."""
    E, R, K = patient

    def pull(t):
        since = t - muscle.onset
        up = np.sin(0.5 * np.pi * np.clip(since / muscle.rise, 0.0, 1.0))
        return muscle.effort * up * np.exp(-max(since - muscle.rise, 0.0) / muscle.release)

    def rate(t, V, above):
        drop = above + pull(t) - E * V
        return np.sign(drop) * (np.sqrt(R**2 + 4 * K * np.abs(drop)) - R) / (2 * K)

    ends, volume = [], start
    period = 60.0 / ventilator.rate
    for begin, end, above in ((0.0, ventilator.inspiratory_time, ventilator.driving),
                              (ventilator.inspiratory_time, period, 0.0)):  # fmt: skip
        volume = solve_ivp(
            rate, (begin, end), [volume], args=(above,), method="LSODA", rtol=1e-10, atol=1e-12, max_step=0.005
        ).y[0, -1]
        ends.append(volume)
    return ends


def test_a_pulled_breath_is_that_of_the_integrated_equation():
    curves = breathe(ROUGH, SQUARE, muscle=PULL, start=0.05, samples=400)
    full, empty = integrate(ROUGH, SQUARE, PULL, 0.05)
    found = curves.volumes[400], curves.volumes[-1]
    np.testing.assert_allclose(found, (full, empty), rtol=2e-5)


def test_the_error_of_a_pulled_breath_falls_with_the_square_of_the_interval():
    full = integrate(ROUGH, SQUARE, PULL, 0.05)[0]
    off = [abs(float(breathe(ROUGH, SQUARE, muscle=PULL, start=0.05, samples=n).volumes[n]) - full) for n in (16, 32)]
    assert 3.0 < off[0] / off[1] < 5.0


def test_a_passive_breath_of_pressure_control_has_the_summary_of_the_closed_form():
    curves = breathe(ROUGH, SQUARE, samples=800)
    closed = jax.jit(lambda lung, of: pressure_control(lung, **of._asdict()))(ROUGH, SQUARE)
    found = chart(curves, ROUGH, SQUARE)
    np.testing.assert_allclose(found, closed, rtol=1e-5, atol=1e-6)


def test_a_passive_breath_of_volume_control_has_the_summary_of_the_closed_form():
    stiff = Patient(30.0, 25.0)
    closed = jax.jit(lambda lung, of: volume_control(lung, **of._asdict()))(stiff, FLOW)
    assert float(closed.intrinsic_peep) > 1.0
    np.testing.assert_allclose(chart(breathe(stiff, FLOW), stiff, FLOW), closed, rtol=1e-4)


def test_under_imposed_flow_the_airway_pressure_falls_by_what_the_muscles_pull():
    passive, pulled = (breathe(ROUGH, FLOW, muscle=muscle, start=0.0) for muscle in (None, PULL))
    inspired = passive.times < FLOW.inspiratory_time
    np.testing.assert_allclose((passive.pressures - pulled.pressures)[inspired], pulled.muscle_pressures[inspired])


def test_every_sample_obeys_the_equation_of_motion():
    curves = breathe(ROUGH, SQUARE, muscle=PULL)
    E, R, K = ROUGH
    resistive = (R + K * np.abs(curves.flows)) * curves.flows
    right = SQUARE.peep + E * curves.volumes + resistive - curves.muscle_pressures
    np.testing.assert_allclose(curves.pressures, right, atol=1e-9)


def test_effort_raises_the_volume_and_lowers_the_work_per_liter_of_the_ventilator():
    def told(muscle):
        return chart(breathe(ROUGH, FLOW, muscle=muscle), ROUGH, FLOW)

    assert float(told(PULL).mechanical_power) < float(told(None).mechanical_power)
    volumes = [float(breathe(ROUGH, SQUARE, muscle=muscle).volumes.max()) for muscle in (None, PULL)]
    assert volumes[0] < volumes[1]


def test_breaths_of_a_still_lung_settle_into_the_periodic_one():
    curves = follow_breaths(Patient(jnp.full(30, 20.0), 30.0, 5.0), SQUARE)
    steady = breathe(Patient(20.0, 30.0, 5.0), SQUARE)
    np.testing.assert_allclose(curves.volumes[-1], steady.volumes, rtol=1e-6)
    assert float(curves.volumes[0, -1]) < float(steady.volumes[-1])


def test_each_breath_begins_with_what_the_one_before_left():
    drifting = Patient(jnp.linspace(20.0, 40.0, 5), jnp.linspace(25.0, 10.0, 5), 5.0)
    volumes = follow_breaths(drifting, SQUARE).volumes
    np.testing.assert_allclose(volumes[1:, 0], volumes[:-1, -1])
    alone = breathe(Patient(40.0, 10.0, 5.0), SQUARE, start=volumes[3, -1]).volumes
    np.testing.assert_allclose(volumes[4], alone)


def test_one_lung_is_no_sequence_of_breaths():
    with pytest.raises(ValueError, match="must hold a field with a value for each breath"):
        follow_breaths(ROUGH, SQUARE)


@pytest.mark.parametrize("make", [pressure_control, lambda lung, **of: breathe(lung, PressureControl(**of))])
def test_a_breath_without_expiration_is_refused(make):
    with pytest.raises(
        ValueError, match=r"must leave time to expire, but 2\.5 s .* fill the 2\.4 s of a breath at 25/m"
    ):
        make(ROUGH, peep=5.0, driving=15.0, rate=25.0, inspiratory_time=2.5)


def test_a_pause_counts_against_expiration():
    with pytest.raises(ValueError, match=r"a pause of 1\.5 s fill the 3 s"):
        volume_control(ROUGH, peep=5.0, tidal_volume=0.4, rate=20.0, inspiratory_time=1.5, pause=1.5)


def test_a_tidal_volume_in_milliliters_is_refused():
    with pytest.raises(ValueError, match="`tidal_volume` must be in L, but is 420"):
        volume_control(ROUGH, peep=5.0, tidal_volume=420.0, rate=20.0, inspiratory_time=1.0)


def test_a_traced_breath_without_expiration_is_not_a_number():
    def plateau(inspired):
        return volume_control(ROUGH, peep=5.0, tidal_volume=0.4, rate=20.0, inspiratory_time=inspired).plateau

    found = jax.jit(jax.vmap(plateau))(jnp.array([1.0, 3.5]))
    assert np.isfinite(found[0])
    assert np.isnan(found[1])
