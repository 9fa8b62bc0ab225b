"""Volume kinetics against their closed forms and what a balance must keep."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm

import twinprob as tp
from tests.validation import v05_10
from twinprob.models.sepsis import VolumeKinetics


def given(model, name, rate, times, *, start=0.0, end=np.inf, unit="mL/min"):
    inputs = tp.Inputs.infusions(name, start, end, rate, unit, own=(name,))
    return tp.simulate(model, inputs, np.asarray(times, float)).output


def test_crystalloid_follows_the_matrix_exponential():
    k12, k21, k10 = 0.03, 0.01, 0.02
    rates = np.array([[-k10 - k12, k21, 1.0], [k12, -k21, 0.0], [0.0, 0.0, 0.0]])
    times = np.array([10.0, 30.0, 120.0])
    wanted = [(expm(rates * t) @ [0.0, 0.0, 50.0])[0] for t in times]
    found = given(VolumeKinetics(), "crystalloid", 50.0, np.append(0.0, times)).blood_volume_change[1:]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_without_urine_no_crystalloid_is_lost():
    model = VolumeKinetics().fix(elimination_rate=1e-12)
    inputs = tp.Inputs.bolus("crystalloid", 0.0, 500.0, "mL", duration=10.0, own=("crystalloid",))
    run = tp.simulate(model, inputs, np.array([0.0, 300.0]))
    assert float(run.state.plasma[-1] + run.state.tissue[-1]) == pytest.approx(500.0, rel=1e-6)


def test_blood_stays():
    inputs = tp.Inputs.bolus("blood", 0.0, 300.0, "mL", duration=30.0, own=("blood",))
    run = tp.simulate(VolumeKinetics(), inputs, np.array([0.0, 30.0, 600.0]))
    np.testing.assert_allclose(run.output.blood_volume_change[1:], 300.0, rtol=1e-9)


def test_albumin_escapes_at_its_published_share_an_hour_in_sepsis():
    inputs = tp.Inputs.bolus("albumin", 0.0, 500.0, "mL", duration=1.0, own=("albumin",))
    run = tp.simulate(VolumeKinetics.septic(), inputs, np.array([0.0, 1.0, 61.0]))
    left = float(run.state.colloid[2] / run.state.colloid[1])
    assert left == pytest.approx(np.exp(-0.067), rel=1e-4)


def test_albumin_that_escapes_takes_its_volume_to_the_tissue():
    model = VolumeKinetics().fix(elimination_rate=1e-12)
    inputs = tp.Inputs.bolus("albumin", 0.0, 500.0, "mL", duration=1.0, own=("albumin",))
    run = tp.simulate(model, inputs, np.array([0.0, 600.0]))
    total = run.state.plasma[-1] + run.state.tissue[-1] + run.state.colloid[-1]
    assert float(total) == pytest.approx(500.0, rel=1e-6)


def test_raised_legs_are_a_bolus_that_goes_back():
    model = VolumeKinetics().fix(relaxed_share=1e-9)
    flat = model.State(*jnp.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0]))
    up = model.Input(*jnp.array([0.0, 0.0, 0.0, 0.0, 1.0]))
    down = model.Input(*jnp.array([0.0, 0.0, 0.0, 0.0, 0.0]))
    assert float(model.vector_field(0.0, flat, up).legs) == pytest.approx(300.0 / 0.5)
    full = model.State(*jnp.array([0.0, 0.0, 0.0, 0.0, 300.0, 0.0]))
    assert float(model.vector_field(0.0, full, up).legs) == pytest.approx(0.0, abs=1e-9)
    assert float(model.vector_field(0.0, full, down).legs) == pytest.approx(-300.0 / 0.5)


def test_a_bleed_draws_fluid_from_tissue_that_holds_some():
    model = VolumeKinetics()
    state = model.State(*jnp.array([-100.0, 200.0, 0.0, 0.0, 0.0, 0.0]))
    rate = model.vector_field(0.0, state, model.Input(*jnp.array([0.0, 0.0, 0.0, 0.0, 0.0]))).plasma
    assert float(rate) == pytest.approx(0.03 * 100.0 + 0.01 * 200.0)


def test_sepsis_keeps_less_of_a_bolus_after_an_hour():
    inputs = tp.Inputs.bolus("crystalloid", 0.0, 500.0, "mL", duration=10.0, own=("crystalloid",))
    healthy, septic = (
        float(tp.simulate(m, inputs, np.array([0.0, 70.0])).output.blood_volume_change[1])
        for m in (VolumeKinetics(), VolumeKinetics.septic())
    )
    assert septic < healthy


def test_crystalloid_expands_plasma_as_published():
    end, later = v05_10.expansion()
    assert 0.50 <= end <= 0.60
    assert 0.15 <= later <= 0.20


def test_a_negative_volume_is_refused():
    with pytest.raises(ValueError, match="crystalloid interval 0 must have a finite rate of 0 or more"):
        tp.Inputs.bolus("crystalloid", 0.0, -250.0, "mL", duration=10.0, own=("crystalloid",))


def test_a_bolus_of_no_duration_is_refused():
    with pytest.raises(ValueError, match="crystalloid interval 0 must end after it starts"):
        tp.Inputs.infusions("crystalloid", 0.0, 0.0, 50.0, "mL/min", own=("crystalloid",))
