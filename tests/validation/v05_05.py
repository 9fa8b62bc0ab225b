"""Norepinephrine of Beloeil: half-life by severity, and the rise of pressure; two known mistakes are caught."""

import dataclasses

import jax
import numpy as np

import twinprob as tp
from tests.validation import Result
from twinprob.models.sepsis import Norepinephrine

CONCENTRATION = 3.5  # ug/L
HALF_LIVES = {20.0: (2.0, 0.1), 60.0: (6.8, 0.3)}  # min at a SAPS II, doi:10.1093/bja/aei259
RISE = (21.8, 1.0)  # mmHg, from the published Emax, C50 and exponent


def half_life(model: Norepinephrine) -> float:
    """Return how long plasma takes to fall by half after an infusion that is stopped (min)."""
    given = tp.Inputs.infusions("norepinephrine", -np.inf, 0.0, 7.0, "ug/min", own=("norepinephrine",))
    times = np.arange(0.0, 30.0, 0.1)
    plasma = np.asarray(tp.simulate(model, given, times).output.plasma_norepinephrine)
    excess = plasma - model.endogenous()
    return float(np.interp(0.5 * excess[0], excess[::-1], times[::-1]))


def rise(model: Norepinephrine) -> float:
    """Return the rise of mean pressure under the rate that keeps 3.5 ug/L (mmHg)."""
    rate = CONCENTRATION * Norepinephrine.beloeil(saps=model.saps).clearance()
    given = tp.Inputs.infusions("norepinephrine", 0.0, np.inf, float(rate), "ug/min", own=("norepinephrine",))
    return float(tp.simulate(model, given, np.array([0.0, 240.0])).output.pressure_rise[-1])


def holds(model_of) -> bool:
    """Say whether the three figures of a parameter set, given as a function of SAPS II, lie within their bars."""
    lives = all(abs(half_life(model_of(saps)) - center) <= width for saps, (center, width) in HALF_LIVES.items())
    return lives and abs(rise(model_of(20.0)) - RISE[0]) <= RISE[1]


def with_wrong_half_effect(saps: float) -> Norepinephrine:
    """Return the set with C50 ten times too high, as a published simulator had it."""
    return Norepinephrine.beloeil(saps=saps).fix(half_effect=70.4)


def with_wrong_rate_constant(saps: float) -> Norepinephrine:
    """Return the set with its elimination taken for one per hour that is per second: 3,600 times off."""
    model = Norepinephrine.beloeil(saps=saps)
    slow = dataclasses.replace(model.kinetics, clearance=model.kinetics.clearance / 3600.0)
    return dataclasses.replace(model, kinetics=slow)


def measure() -> Result:
    """Simulate the wash-out and the steady state, right and with the two mistakes."""
    with jax.enable_x64(True):
        lives = {saps: half_life(Norepinephrine.beloeil(saps=saps)) for saps in HALF_LIVES}
        risen = rise(Norepinephrine.beloeil(saps=20.0))
        right = holds(lambda saps: Norepinephrine.beloeil(saps=saps))
        caught = not holds(with_wrong_half_effect), not holds(with_wrong_rate_constant)
        mistaken = rise(with_wrong_half_effect(20.0))
    text = ", ".join(f"{life:.2f} min at SAPS II {saps:g}" for saps, life in lives.items())
    return Result(
        figure=f"half-life {text}; rise at 3.5 ug/L {risen:.1f} mmHg; C50 ten times off "
        f"{'caught' if caught[0] else 'NOT caught'} ({mistaken:.2f} mmHg), rate constant 3,600 times off "
        f"{'caught' if caught[1] else 'NOT caught'}",
        holds=right and all(caught),
        details={"half_lives": {f"{s:g}": v for s, v in lives.items()}, "rise": risen},
    )
