"""Charted oxygenation against the alveolar gas equation and the balance of content, written out in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twinprob.models.respiratory import ChartedOxygenation

LUNG = ChartedOxygenation(
    arteriovenous_difference=4.5,
    hemoglobin=10.0,
    arterial_carbon_dioxide=40.0,
    respiratory_quotient=0.8,
    barometric_pressure=760.0,
)


def at(fraction, shunt):
    """The outputs at a fraction that has come through."""
    lung = ChartedOxygenation(**{**_values(), "shunt": shunt})
    inputs = lung.Input(jnp.asarray(fraction))
    return lung.output(lung.initial(inputs), inputs)


def _values():
    return {name: getattr(LUNG, name) for name in ChartedOxygenation.parameters()}


def content(P):
    return 1.34 * 10.0 * (P**3 + 150 * P) / (P**3 + 150 * P + 23400) + 0.003 * P


def alveolar(fraction):
    return fraction * 713.0 - 40.0 * (fraction + (1 - fraction) / 0.8)


@pytest.mark.parametrize("fraction", [0.21, 0.5, 1.0])
def test_without_shunt_arterial_oxygen_is_alveolar(fraction):
    assert float(at(fraction, 0.0).arterial_oxygen) == pytest.approx(alveolar(fraction), rel=1e-5)


@pytest.mark.parametrize("shunt", [0.1, 0.3, 0.5])
def test_what_is_shunted_is_missing_from_the_content(shunt):
    found = at(0.6, shunt)
    missing = content(alveolar(0.6)) - content(float(found.arterial_oxygen))
    assert missing == pytest.approx(4.5 * shunt / (1 - shunt), rel=1e-5)
    P = float(found.arterial_oxygen)
    assert float(found.pulse_saturation) == pytest.approx(100 * (P**3 + 150 * P) / (P**3 + 150 * P + 23400), rel=1e-6)


@pytest.mark.parametrize(("fraction", "shunt"), [(0.0, 0.5), (0.21, 0.999), (1.0, 1e-9)])
def test_impossible_patients_have_finite_values_and_gradients(fraction, shunt):
    value, slope = jax.value_and_grad(lambda s: at(fraction, s).arterial_oxygen)(shunt)
    assert np.isfinite(value)
    assert np.isfinite(slope)


def test_no_reading_is_predicted_above_a_hundred_percent(key):
    meter = ChartedOxygenation.quantities(ChartedOxygenation.Output)["pulse_saturation"].noise
    shown = np.asarray(meter.shown(99.0 + 3.0 * jax.random.normal(key, (1000,))))
    assert shown.max() == 100.0
    np.testing.assert_array_equal(shown, np.round(shown))
