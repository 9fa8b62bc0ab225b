"""The Windkessels against the closed forms of a constant and of a swinging flow."""

import numpy as np
import pytest

import twinprob as tp
from twinprob.models.cardiovascular import Windkessel2, Windkessel3, Windkessel4

R, C, Z, L, START, VENOUS = 1.1, 1.4, 0.07, 0.004, 75.0, 5.0
KNOWN = {
    "resistance": R, "compliance": C, "impedance": Z, "inertance": L, "initial_pressure": START,
    "venous_pressure": VENOUS,
}  # fmt: skip
MODELS = [Windkessel2, Windkessel3, Windkessel4]


def run(cls, flow, seconds):
    patient = cls().fix(**{name: value for name, value in KNOWN.items() if name in cls.parameters()})
    times = np.asarray(seconds) / 60.0
    return np.asarray(tp.simulate(patient, tp.Inputs(), times, measured={"aortic_flow": flow}).output.aortic_pressure)


@pytest.mark.parametrize("cls", MODELS)
def test_without_flow_pressure_falls_to_that_of_the_veins_as_an_exponential(cls):
    seconds = np.linspace(0.0, 4.0, 9)
    none = tp.Series(np.array([0.0, 1.0]), np.zeros(2), "mL/s")
    expected = VENOUS + (START - VENOUS) * np.exp(-seconds / (R * C))
    np.testing.assert_allclose(run(cls, none, seconds), expected, rtol=1e-6)


@pytest.mark.parametrize("cls", MODELS)
def test_constant_flow_ends_at_its_resistance(cls):
    steady = tp.Series(np.array([0.0, 1.0]), np.full(2, 80.0), "mL/s")
    through = Z * 80.0 if cls is Windkessel3 else 0.0
    assert run(cls, steady, [0.0, 30.0])[-1] == pytest.approx(VENOUS + 80.0 * R + through, rel=1e-6)


@pytest.mark.parametrize("cls", MODELS)
def test_a_swinging_flow_meets_the_impedance(cls):
    w = 2 * np.pi * 1.3
    seconds = np.arange(0.0, 20.0, 0.005)
    swing = tp.Series(seconds / 60.0, 100.0 * np.cos(w * seconds), "mL/s")
    impedance = R / (1 + 1j * w * R * C)
    impedance += {Windkessel2: 0.0, Windkessel3: Z, Windkessel4: 1j * w * L * Z / (Z + 1j * w * L)}[cls]
    late = seconds[seconds > 18.0]
    expected = VENOUS + np.real(100.0 * impedance * np.exp(1j * w * late))
    np.testing.assert_allclose(run(cls, swing, seconds)[seconds > 18.0], expected, atol=0.02)
