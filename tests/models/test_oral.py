import dataclasses

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import twinprob as tp
from twinprob.models.metabolic import OralMinimalModel

TIMES = np.array([0.0, 30.0, 60.0, 90.0, 120.0])
DRINK = tp.Inputs.bolus("oral_glucose", 0.0, 75.0, "g", duration=5.0)
INSULIN = np.array([8.0, 60.0, 80.0, 70.0, 50.0])


def person(**values):
    given = {
        "insulin_sensitivity": 5e-4, "insulin_action_rate": 0.012, "gastric_emptying": 0.05, "gut_absorption": 0.03,
        "basal_glucose": 95.0, "glucose_effectiveness": 0.028,
    }  # fmt: skip
    return dataclasses.replace(OralMinimalModel().fix(**{**given, **values}), weight=70.0)


def run(patient, inputs=DRINK, insulin=INSULIN, times=TIMES, **settings):
    measured = {"plasma_insulin": tp.Series(TIMES, insulin, "mU/L")}
    return tp.simulate(patient, inputs, times, measured=measured, **settings)


def test_what_appears_and_what_is_left_is_what_was_swallowed():
    fine = np.arange(0.0, 120.1, 0.25)
    found = run(person(), times=fine)
    appeared = np.trapezoid(0.03 * np.asarray(found.state.gut_glucose), fine)
    left = float(found.state.stomach_glucose[-1] + found.state.gut_glucose[-1])
    assert appeared + left == pytest.approx(75000.0, rel=1e-4)


def test_a_fasting_person_stays_fasting():
    found = run(person(), inputs=tp.Inputs(), insulin=np.full(5, 8.0))
    np.testing.assert_allclose(found.output.glucose, 95.0, rtol=1e-12)


def test_without_insulin_action_glucose_is_a_sum_of_three_exponentials():
    # Impulse into a chain of three linear compartments with rates k1, k2, S_G; the drink lasts a hundredth of a minute.
    k = np.array([0.05, 0.03, 0.028])
    drink = tp.Inputs.bolus("oral_glucose", 0.0, 75.0, "g", duration=0.1)
    found = run(person(insulin_sensitivity=0.0), inputs=drink)
    late = TIMES[1:] - 0.05
    terms = [np.exp(-k[i] * late) / np.prod([k[j] - k[i] for j in range(3) if j != i]) for i in range(3)]
    expected = 95.0 + 0.87 * 75000.0 / (1.34 * 70.0) * k[0] * k[1] * np.sum(terms, axis=0)
    np.testing.assert_allclose(found.output.glucose[1:], expected, rtol=2e-4)


def test_the_solution_equals_that_of_scipy():
    def field(t, y):
        I, D = np.interp(t, TIMES, INSULIN), 15000.0 * (t < 5.0)
        G, X, q1, q2 = y
        return [
            0.028 * (95.0 - G) - X * G + 0.87 * 0.03 * q2 / (1.34 * 70.0),
            0.012 * (5e-4 * (I - 8.0) - X),
            D - 0.05 * q1,
            0.05 * q1 - 0.03 * q2,
        ]

    exact = solve_ivp(field, (0, 120), [95.0, 0, 0, 0], t_eval=TIMES, rtol=1e-9, atol=1e-9, max_step=0.5)
    np.testing.assert_allclose(run(person()).output.glucose, exact.y[0], rtol=1e-4)


def test_more_insulin_sensitivity_means_less_glucose():
    low, high = (np.asarray(run(person(insulin_sensitivity=s)).output.glucose) for s in (2e-4, 1e-3))
    assert np.all(low[1:] > high[1:])


def test_a_heavier_person_rises_less():
    light, heavy = (
        np.asarray(run(dataclasses.replace(person(), weight=w)).output.glucose) for w in (50.0, 100.0)
    )  # fmt: skip
    assert np.all(light[1:] > heavy[1:])


@pytest.mark.slow
def test_insulin_sensitivity_is_recovered(key):
    clean = np.asarray(run(person()).output.glucose)
    record = tp.Record.build(
        {"glucose": (TIMES, clean, "mg/dL"), "plasma_insulin": (TIMES, INSULIN, "mU/L")}, DRINK, {"weight": (70, "kg")}
    )
    twin = tp.fit(OralMinimalModel(), record, key=key)
    low, high = np.quantile(twin.group("posterior")["insulin_sensitivity"], [0.01, 0.99])
    assert low < 5e-4 < high
