"""Blood, shunt and dead space against tables, balances and special cases."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq

import twinprob as tp
from twinprob.models.respiratory import GasExchange, blood

AIR = tp.Inputs.constant(inspired_oxygen=(21, "%"))
PRESSURES = jnp.array([5.0, 12.0, 27.0, 40.0, 60.0, 95.0, 150.0, 300.0, 700.0])


@pytest.mark.parametrize(("pressure", "expected"), [(26.9, 0.50), (40.0, 0.75), (60.0, 0.907), (100.0, 0.975)])
def test_saturation_follows_the_standard_curve(pressure, expected):
    assert float(blood.saturation(pressure)) == pytest.approx(expected, abs=0.004)


def test_acid_blood_holds_less_oxygen():
    assert float(blood.saturation(60.0, pH=7.2)) < float(blood.saturation(60.0, pH=7.4))


# Values in the tests of the R package co2ntent for the equations of Douglas: 5 kPa, Hb 10 g/dL, saturation 0.9
def test_carbon_dioxide_content_equals_another_implementation():
    found = blood.carbon_dioxide_content(5.0 * 7.500617, 7.4, 10.0, 0.9)
    assert float(found) == pytest.approx(0.867593 * 54.803778, rel=1e-6)


def test_desaturated_blood_carries_more_carbon_dioxide():
    venous, arterial = (float(blood.carbon_dioxide_content(45.0, 7.37, 12.0, s)) for s in (0.7, 0.98))
    assert 0.2 < venous - arterial < 3.0


def test_oxygen_content_and_pressure_are_inverse():
    @jax.jit
    @jax.vmap
    def there_and_back(P):
        content = blood.oxygen_content(P, 12.0, pH=7.3, carbon_dioxide=50.0)
        return blood.oxygen_pressure(content, 12.0, pH=7.3, carbon_dioxide=50.0)

    np.testing.assert_allclose(there_and_back(PRESSURES), PRESSURES, rtol=1e-9)


def test_oxygen_pressure_equals_the_bracketing_search_of_scipy():
    found = float(blood.oxygen_pressure(15.0, 12.0))
    assert found == pytest.approx(brentq(lambda p: float(blood.oxygen_content(p, 12.0)) - 15.0, 1.0, 700.0))


def test_the_inverse_has_the_reciprocal_slope():
    content, there = jax.jit(jax.vmap(jax.value_and_grad(lambda p: blood.oxygen_content(p, 12.0))))(PRESSURES)
    back = jax.jit(jax.vmap(jax.grad(lambda c: blood.oxygen_pressure(c, 12.0))))(content)
    np.testing.assert_allclose(there * back, 1.0, rtol=1e-9)


def test_a_content_no_pressure_gives_returns_the_nearest():
    assert float(blood.oxygen_pressure(-3.0, 12.0)) == pytest.approx(1e-3)


def test_carbon_dioxide_content_and_pressure_are_inverse():
    pressures = jnp.array([15.0, 40.0, 90.0, 150.0])

    @jax.jit
    @jax.vmap
    def there_and_back(P):
        content = blood.carbon_dioxide_content(P, blood.acidity(P, -4.0), 12.0, 0.9)
        return blood.carbon_dioxide_pressure(content, -4.0, 12.0, 0.9)

    np.testing.assert_allclose(there_and_back(pressures), pressures, rtol=1e-9)


@pytest.mark.parametrize(("carbon_dioxide", "pH"), [(40.0, 7.40), (60.0, 7.27), (25.0, 7.54)])
def test_acidity_follows_carbon_dioxide_as_the_nomogram_says(carbon_dioxide, pH):
    assert float(blood.acidity(carbon_dioxide, 0.0)) == pytest.approx(pH, abs=0.02)


# ---- the lung ------------------------------------------------------------------------------------------------------

LUNG = GasExchange().fix(typical_hemoglobin=12.0, typical_cardiac_output=5.0, carbon_dioxide_production=200.0)


@jax.jit
@jax.vmap
def solve(x):
    """Return what shunt, fA2 and base excess make of CO2, inspired oxygen, ventilation and cardiac output."""
    lung = LUNG.install(("shunt", "matched_ventilation", "base_excess"), x[:3])
    return lung.gases(x[3], x[4], x[5], x[6], 12.0)


def gases_of(*, shunt=0.2, better=0.9, carbon_dioxide=40.0, inspired=0.5, ventilation=4.315, output=5.0):
    """Return the gases of one lung; all through the one program compiled for fifty."""
    row = jnp.array([shunt, better, 0.0, carbon_dioxide, inspired, ventilation, output])
    return jax.tree.map(lambda leaf: leaf[0], solve(jnp.broadcast_to(row, (50, 7))))


@pytest.fixture(scope="module")
def random_lungs():
    """Fifty lungs under random settings, and what they make of them."""
    chance = np.random.default_rng(0)
    low, high = np.array([(0.0, 0.6), (0.15, 0.89), (-4, 4), (20, 80), (0.21, 1.0), (2, 10), (3, 9)]).T
    values = low + (high - low) * chance.random((50, 7))
    return values.T, solve(jnp.asarray(values))


def test_the_blood_takes_up_what_the_body_consumes(random_lungs):
    (*_, Q), gases = random_lungs
    np.testing.assert_allclose(10.0 * Q * (gases.arterial_content - gases.venous_content), 250.0, rtol=1e-9)


def test_the_gas_gives_what_the_blood_takes_up(random_lungs):
    (_, better, _, P_c, F, V, _), gases = random_lungs
    shares = np.stack([1 - better, better], axis=1) * V[:, None]
    oxygen = np.asarray(gases.alveolar)
    nitrogen = 713.0 - P_c[:, None] - oxygen
    # What goes in is F / (1 - F) times the nitrogen, which comes out again.
    given = np.sum(shares * ((F / (1 - F))[:, None] * nitrogen - oxygen), axis=1) / 0.863
    np.testing.assert_allclose(given, 250.0, rtol=1e-6)


def test_the_shunt_equation_returns_the_shunt():
    gases = gases_of(shunt=0.3, carbon_dioxide=45.0, inspired=0.6)
    capillary = blood.oxygen_content(gases.alveolar[1], 12.0, pH=gases.pH, carbon_dioxide=45.0)
    shunt = (capillary - gases.arterial_content) / (capillary - gases.venous_content)
    assert float(shunt) == pytest.approx(0.3, rel=1e-9)


@pytest.mark.parametrize("inspired", [0.21, 0.5, 1.0])
def test_without_mismatch_the_alveolar_gas_equation_holds(inspired):
    gases = gases_of(shunt=0.0, inspired=inspired, ventilation=0.863 * 200.0 / 40.0)
    expected = inspired * 713.0 - 40.0 * (inspired + (1 - inspired) * 1.25)
    np.testing.assert_allclose(gases.alveolar, expected, rtol=1e-9)


def test_pure_oxygen_fills_the_badly_ventilated_compartment_too():
    gases = gases_of(better=0.3, carbon_dioxide=50.0, inspired=1.0, ventilation=3.0)
    np.testing.assert_allclose(gases.alveolar, 663.0, rtol=1e-9)


def test_shunt_makes_the_ratio_fall_as_inspired_oxygen_rises():
    low, high = (float(gases_of(shunt=0.25, inspired=F).arterial) / F for F in (0.3, 0.6))
    assert high < low


def test_mismatch_makes_the_ratio_rise_with_inspired_oxygen():
    low, high = (float(gases_of(shunt=0.0, better=0.25, inspired=F).arterial) / F for F in (0.3, 0.9))
    assert high > low


def test_a_patient_who_breathes_no_oxygen_has_finite_outputs():
    gases = gases_of(inspired=0.0, ventilation=0.0)
    assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(gases))


def test_gradients_of_the_arterial_oxygen_equal_finite_differences():
    def arterial(values):
        lung = LUNG.install(("shunt", "matched_ventilation", "base_excess"), values[:3])
        return lung.gases(values[3], values[4], values[5]).arterial

    at = jnp.array([0.25, 0.5, -2.0, 45.0, 0.5, 4.0])
    steps = 1e-5 * jnp.eye(6)
    values, slopes = jax.jit(jax.vmap(jax.value_and_grad(arterial)))(
        jnp.concatenate([at + steps, at - steps, at[None]])
    )
    np.testing.assert_allclose(slopes[-1], (values[:6] - values[6:12]) / 2e-5, rtol=1e-5)


def test_the_steady_carbon_dioxide_is_production_over_ventilation():
    given = tp.Inputs.constant(inspired_oxygen=(50, "%"), alveolar_ventilation=(4.0, "L/min"))
    run = tp.simulate(LUNG, given, np.array([0.0, 5.0, 60.0, 600.0]))
    np.testing.assert_allclose(run.output.arterial_carbon_dioxide, 0.863 * 200.0 / 4.0, rtol=1e-9)


def test_carbon_dioxide_is_neither_made_nor_lost():
    after = AIR | tp.Inputs.infusions("alveolar_ventilation", [-1e6, 0.0], [0.0, np.inf], [5.0, 3.0], "L/min")
    times = np.linspace(0.0, 240.0, 2401)
    run = tp.simulate(LUNG, after, times)
    fast, slow = run.state.carbon_dioxide, run.state.tissue_carbon_dioxide
    stored = LUNG.fast_store * (fast[-1] - fast[0]) + LUNG.slow_store * (slow[-1] - slow[0])
    excreted = np.trapezoid(3.0 * np.asarray(fast), times)
    assert float(stored) + excreted == pytest.approx(0.863 * 200.0 * 240.0, rel=1e-6)


def test_a_halved_ventilation_is_felt_for_hours():
    given = AIR | tp.Inputs.infusions("alveolar_ventilation", [-1e6, 0.0], [0.0, np.inf], [5.0, 2.5], "L/min")
    run = tp.simulate(LUNG, given, np.array([0.0, 5.0, 60.0, 600.0]))
    start, soon, later, end = np.asarray(run.output.arterial_carbon_dioxide)
    assert start + 5 < soon < later < end < 2 * start + 1e-6


def test_a_reading_of_100_percent_says_only_that_saturation_is_high():
    given = AIR | tp.Inputs.constant(alveolar_ventilation=(5.0, "L/min"))
    record = tp.Record.build({"pulse_saturation": ([0.0], [100.0], "%")}, given, start=0.0, end=10.0)
    data = tp.joint(GasExchange(), record).data["pulse_saturation"]
    assert data.limits[0] == 1


@pytest.mark.parametrize(
    ("build", "remedy"),
    [
        (lambda: tp.Inputs.constant(inspired_oxygen=(40, "1")), "In % every value would be plausible"),
        (lambda: tp.Record.build({"pulse_saturation": ([0.0], [0.97], "%")}), "In 1 every value would be plausible"),
    ],
)
def test_percent_taken_for_a_fraction_is_refused_with_the_unit_that_fits(build, remedy):
    with pytest.raises(ValueError, match=remedy):
        build()


@pytest.mark.slow
def test_a_fit_to_a_blood_gas_finds_shunt_and_production():
    truth = LUNG.fix(shunt=0.3, base_excess=-3.0)
    given = tp.Inputs.constant(inspired_oxygen=(60, "%"), alveolar_ventilation=(4.0, "L/min"))
    run = tp.simulate(truth, given, np.array([0.0, 60.0]))
    names = ("arterial_oxygen", "arterial_carbon_dioxide", "arterial_pH")
    unit = {"arterial_oxygen": "mmHg", "arterial_carbon_dioxide": "mmHg", "arterial_pH": "1"}
    record = tp.Record.build(
        {name: ([0.0, 60.0], np.asarray(getattr(run.output, name)), unit[name]) for name in names}, given
    )
    model = GasExchange().fix(typical_hemoglobin=12.0, typical_cardiac_output=5.0)
    twin = tp.fit(model, record, key=jax.random.key(0), method=tp.Laplace(draws=200, proposals=1000))
    for name, value in (("shunt", 0.3), ("carbon_dioxide_production", 200.0), ("base_excess", -3.0)):
        low, high = np.quantile(twin.group("posterior")[name], [0.005, 0.995])
        assert low < value < high, name
        assert high - low < 0.5 * abs(value) or name == "base_excess"
