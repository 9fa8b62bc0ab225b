"""Pulse-pressure variation at nine ventilator settings from that at one, by rate: each patient's own slopes.

How variation grows with the volume of a breath and falls with its rate differs between patients. In `Preload` these
are the yielding volume V_y and the breath delay tau_b: each patient has its own, and how far patients differ is learned
on the others. One setting tells neither of both, so that they widen the bands of settings far from it.
"""

from functools import partial

import jax
import numpy as np

from tests.validation import Result, shared_data
from tests.validation.v05_07 import FIRST, ONE, patient
from tests.ventilator_study import OWN, SETTINGS, learner, read, weights

RATES = np.array(SETTINGS)[:, 1]
FEW = 2.2  # beats a breath, below which few of them meet the ends of the swing


def measure() -> Result:
    """Learn on the other patients, see one setting of each, foretell the nine others."""
    study = read(shared_data("ppv-fluid-response"))
    with jax.enable_x64(True):
        learn = learner(ONE, after=False, own=OWN)
        believe = jax.jit(partial(weights, settings=FIRST, after=False, fillings=ONE, own=OWN))
        found = [patient(study, i, learn, believe) for i in range(len(study.rate))]
    rows = np.concatenate([part["rows"] for part in found])
    rates = np.concatenate([RATES[part["settings"]] for part in found])
    beats = np.concatenate([study.rate[i] / RATES[part["settings"]] for i, part in enumerate(found)])
    inside, away = (rows[:, 2] <= rows[:, 0]) & (rows[:, 0] <= rows[:, 3]), np.abs(rows[:, 1] - rows[:, 0])
    width, error = rows[:, 3] - rows[:, 2], float(away.mean())
    classes = {f"{rate}/min": rates == rate for rate in np.unique(rates)}
    told = {
        name: (int(which.sum()), float(inside[which].mean()), float(away[which].mean()), float(width[which].mean()))
        for name, which in {**classes, f"at most {FEW} beats a breath": beats <= FEW}.items()
        if which.any()
    }
    words = [
        f"{name} {n} pairs, coverage {held:.3f}, MAE {e:.2f}, width {w:.1f}" for name, (n, held, e, w) in told.items()
    ]
    holds = error <= 1.0 and all(0.85 <= told[name][1] <= 0.95 for name in classes)
    return Result(
        figure=f"{len(rows)} pairs of {len(found)} patients: MAE {error:.2f} points (power law {_mae(rows, 4):.2f}, "
        f"persistence {_mae(rows, 5):.2f}), coverage {inside.mean():.3f}; {'; '.join(words)}",
        holds=bool(holds),
        details={"by class": told, "learned": [part["learned"] for part in found]},
    )


def _mae(rows: np.ndarray, column: int) -> float:
    return float(np.abs(rows[:, column] - rows[:, 0]).mean())
