"""Fixed steps against diffrax at rtol 1e-10 on prior draws under random inputs."""

import dataclasses

import jax
import numpy as np

from tests.validation import Result
from twinprob.dynamics.integrators import Adaptive
from twinprob.dynamics.simulate import simulate
from twinprob.models.metabolic import ICING, MinimalModel
from twinprob.patient.inputs import Inputs
from twinprob.patient.record import Record

LIMIT = 900
DRAWS = 200
LARGEST, BOUNDED = 1e-3, 0.95
REFERENCE = Adaptive(rtol=1e-10, atol=1e-12, max_steps=20000)
SAMPLED = np.array([0, 2, 4, 6, 8, 10, 14, 19, 22, 27, 32, 42, 52, 72, 92, 122, 142, 182], float)


def icing_inputs(chance):
    """24 h of insulin, enteral and parenteral glucose that change at random times, with two boluses."""
    inputs = Inputs({})
    for name, highest, unit in (
        ("insulin", 6.0, "U/h"),
        ("enteral_glucose", 1.2, "mmol/min"),
        ("parenteral_glucose", 0.6, "mmol/min"),
    ):
        changes = np.append(0.0, np.sort(chance.uniform(10, 1400, 5)))
        inputs |= Inputs.infusions(name, changes, np.append(changes[1:], np.inf), chance.uniform(0, highest, 6), unit)
    for time in chance.uniform(0, 1380, 2):
        inputs |= Inputs.bolus("insulin", time, chance.uniform(1, 6), unit="U", duration=1.0)
    return inputs, None, 60.0 * np.arange(25)


def minimal_inputs(chance):
    """Measured insulin of a random tolerance test."""
    insulin = 7 + chance.uniform(20, 200) * np.exp(-SAMPLED / chance.uniform(5, 40)) * chance.uniform(
        0.7, 1.3, len(SAMPLED)
    )
    record = Record.build({"plasma_insulin": (SAMPLED, insulin, "mU/L")}, Inputs({}), start=0.0)
    return Inputs({}), record.observations, SAMPLED


def compare(model, given, chance, key):
    """Return error over range, and whether the library's estimate bounds it, for every report time but the first."""
    values = {
        name: np.asarray(model.prior(name).sample(k))
        for name, k in zip(model.unknowns(), jax.random.split(key, 20), strict=False)
    }
    patient = dataclasses.replace(model, **values)
    inputs, measured, times = given(chance)
    fixed = simulate(patient, inputs, times, measured=measured)
    exact = simulate(patient, inputs, times, measured=measured, integrator=REFERENCE)
    ours, theirs, estimate = (np.asarray(x.glucose)[1:] for x in (fixed.output, exact.output, fixed.error))
    off = np.abs(ours - theirs)
    # Below the reference's own tolerance nothing can be told.
    bounded = off <= np.maximum(estimate, 1e-9 * np.abs(theirs))
    return bool(fixed.solved), bool(exact.solved), float(off.max() / max(np.ptp(theirs), 1e-9)), bounded


def measure() -> Result:
    """Simulate every draw twice."""
    figures, details, holds = [], {}, True
    with jax.enable_x64(True):
        for model, given in ((ICING(), icing_inputs), (MinimalModel(), minimal_inputs)):
            chance, name = np.random.default_rng(5), type(model).__name__
            runs = [compare(model, given, chance, key) for key in jax.random.split(jax.random.key(5), DRAWS)]
            both = [run for run in runs if run[0] and run[1]]
            worst, shares = max(run[2] for run in both), np.concatenate([run[3] for run in both])
            runs_bounded = float(np.mean([run[3].all() for run in both]))
            holds &= worst <= LARGEST and shares.mean() >= BOUNDED and len(both) == DRAWS
            figures.append(
                f"{name}: error {worst:.1e} of the range, bounded at {shares.mean():.1%} of times, "
                f"{len(both)} of {DRAWS} solved"
            )
            details[name] = {
                "largest_error_over_range": worst,
                "median_error_over_range": float(np.median([run[2] for run in both])),
                "bounded_times": float(shares.mean()),
                "draws_bounded_at_every_time": runs_bounded,
                "solved_by_both": len(both),
                "solved_by_fixed": sum(run[0] for run in runs),
                "solved_by_reference": sum(run[1] for run in runs),
            }
    return Result("; ".join(figures), bool(holds), details)
