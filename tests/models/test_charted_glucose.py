"""What a chart leaves out of glucose: renal loss, suppressed production, insulin under the skin, contents of feeds."""

import jax.numpy as jnp
import numpy as np
import pytest

import twinprob as tp
from twinprob.models.metabolic import ICING, ChartedICING

TIMES = np.linspace(0.0, 24 * 60.0, 49)


def plain(**values):
    """Return a charted model that is the published one: nothing is lost, nothing suppresses production."""
    neutral = {"renal_clearance": 0.0, "suppression_by_glucose": 0.0, "suppressing_insulin": 1e12}
    return ICING.charted(**{**neutral, "insulin_sensitivity": 4e-4, "initial_glucose": 9.0, **values})


def given(**more):
    return tp.Inputs.constant(insulin=(2.0, "U/h"), enteral_glucose=(0.5, "mmol/min"), **more)


def glucose(model, inputs=None, times=TIMES):
    run = tp.simulate(model, given() if inputs is None else inputs, times)
    assert bool(run.solved)
    return np.asarray(run.output.glucose)


def test_the_named_constructor_gives_the_charted_model():
    model = ICING.charted(glucose_volume=12.0)
    assert type(model) is ChartedICING
    assert model.glucose_volume == 12.0


def test_without_its_terms_it_is_the_published_model():
    published = ICING(insulin_sensitivity=4e-4, initial_glucose=9.0)
    np.testing.assert_allclose(glucose(plain()), glucose(published), rtol=1e-9)


def test_contents_scale_what_was_charted():
    richer = tp.Inputs.constant(insulin=(2.0, "U/h"), enteral_glucose=(0.75, "mmol/min"))
    np.testing.assert_allclose(glucose(plain(nutrition_content=1.5)), glucose(plain(), richer), rtol=1e-9)


def test_what_is_lost_in_urine_is_nothing_below_and_a_clearance_above_the_threshold():
    model = plain(renal_clearance=0.04, renal_threshold=10.0)
    lost = np.asarray(model._lost(jnp.array([4.0, 25.0])))
    np.testing.assert_allclose(lost, [0.0, 0.04 * 15.0], atol=1e-4)


@pytest.mark.parametrize(("G", "Q", "share"), [(8.0, 8.0, 1.0), (16.0, 8.0, 2**-0.3), (8.0, 128.0, 0.5)])
def test_glucose_and_insulin_suppress_production(G, Q, share):
    model = plain(suppression_by_glucose=0.3, suppressing_insulin=112.0)
    expected = share * model.endogenous_glucose_production
    np.testing.assert_allclose(model._production(jnp.array(G), jnp.array(Q)), expected, rtol=1e-6)


def test_all_insulin_under_the_skin_reaches_the_blood():
    # Where absorption sets in, the trapezoids err by 25/12 min² of its slope, 6000 mU / (55 min)²: 7e-4 of the dose.
    times = np.linspace(0.0, 48 * 60.0, 48 * 12 + 1)
    run = tp.simulate(plain(), tp.Inputs.bolus("subcutaneous_insulin", 30.0, 6.0, "U"), times)
    arrived = np.trapezoid(np.asarray(run.state.absorbing_insulin) / 55.0, times)
    np.testing.assert_allclose(arrived, 6000.0, rtol=7e-4)


def test_insulin_under_the_skin_lowers_glucose_later_than_in_the_vein():
    doses = {name: tp.Inputs.bolus(name, 0.0, 6.0, "U") for name in ("insulin", "subcutaneous_insulin")}
    none, vein, skin = (glucose(plain(), tp.Inputs({}) if one is None else one) for one in (None, *doses.values()))
    assert np.all(skin[2:12] < none[2:12])
    assert np.argmin(skin - none) > np.argmin(vein - none)


def test_its_steps_are_short_enough():
    exact = tp.simulate(plain(), given(), TIMES, integrator=tp.FixedStep(refine=8))
    np.testing.assert_allclose(glucose(plain()), exact.output.glucose, rtol=1e-5)


def test_noise_and_volatilities_are_unknowns_of_the_patient():
    series = (60.0 * np.arange(6), [9.0, 11.0, 8.5, 8.0, 10.0, 9.5], "mmol/L")
    record = tp.Record.build({"glucose": series}, given(subcutaneous_insulin=(0.5, "U/h")))
    sites = tp.joint(ICING.charted(), record).sites()
    assert {"glucose_relative", "unexplained_ratio_volatility", "insulin_sensitivity_volatility"} <= set(sites)
