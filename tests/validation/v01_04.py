"""ICING numerics: steady states, gut balance, saturation."""

import jax
import numpy as np

import twinprob as tp
from tests.models.test_models import FEED, HOURS, STEADY
from tests.validation import Result


def measure() -> Result:
    """Compare with the reference table, and balance the gut by quadrature on a grid independent of the solver's."""
    worst = 0.0
    with jax.enable_x64(True):
        for _, model, sensitivity, expected in STEADY:
            patient = model.fix(insulin_sensitivity=sensitivity)
            for rate, glucose in zip(HOURS, expected, strict=True):
                given = tp.Inputs.constant(insulin=(rate, "U/h"), enteral_glucose=FEED)
                run = tp.simulate(patient, given, np.array([0.0, 6000.0]))
                worst = max(worst, abs(float(run.output.glucose[-1]) - glucose))
        balance, saturated = _balance(), _saturates()
    return Result(
        figure=f"steady states within {worst:.4f} mmol/L; gut balance {balance:.1e} relative; "
        f"saturation {'holds' if saturated else 'fails'}",
        holds=worst <= 0.01 and balance <= 1e-6 and saturated,
        details={"worst_steady_state": worst, "gut_balance": balance, "table": "icing_steady_states.csv"},
    )  # fmt: skip


def _balance() -> float:
    patient = tp.models.metabolic.ICING()
    # Report times every 0.25 min also shorten the solver's steps; the integral is Simpson's on that grid.
    times = np.arange(0.0, 900.01, 0.25)
    fed = tp.Inputs.infusions("enteral_glucose", [0.0], [120.0], [2.0], "mmol/min")
    run = tp.simulate(patient, fed, times, start=0.0)
    absorbed = np.minimum(patient.gut_absorption * np.asarray(run.state.gut_glucose), patient.greatest_absorption)
    weights = np.where(np.arange(times.size) % 2, 4.0, 2.0)
    weights[[0, -1]] = 1.0
    appeared = 0.25 / 3.0 * float(weights @ absorbed)
    left = float(run.state.stomach_glucose[-1] + run.state.gut_glucose[-1])
    return abs(appeared + left - 240.0) / 240.0


def _saturates() -> bool:
    patient = tp.models.metabolic.ICING()
    held = []
    for rate in (6.0, 6.2, 8.0):
        fed = tp.Inputs.infusions("enteral_glucose", [0.0], [6000.0], [rate], "mmol/min")
        run = tp.simulate(patient, fed, np.array([0.0, 5000.0, 6000.0]))
        gut = np.asarray(run.state.gut_glucose)
        held.append(float(np.minimum(patient.gut_absorption * gut[-1], patient.greatest_absorption)))
        excess = max(0.0, rate - patient.greatest_absorption) * 1000.0
        if abs(gut[-1] - gut[-2] - excess) > 1e-3 * max(excess, 1.0):
            return False
    return abs(held[0] - 6.0) < 1e-3 and held[1] == held[2] == patient.greatest_absorption
