"""How long given volume stays: plasma after crystalloid, cardiac index after a bolus in sepsis."""

import jax
import jax.numpy as jnp
import numpy as np

import twinprob as tp
from tests.validation import Result
from twinprob.models.cardiovascular import Preload
from twinprob.models.sepsis import VolumeKinetics

# Crystalloid: 25 mL/kg in 30 min in 70 kg; expansion over what was infused by then (doi:10.1111/aas.13533, abstract).
INFUSED, LENGTH = 25.0 * 70.0, 30.0
DURING, AFTER = (0.50, 0.60), (0.15, 0.20)
# Septic bolus: 10 mL/kg in 10 min (amount and duration are settings); change of cardiac index, Long 2018 (abstract).
BOLUS, GIVEN = 10.0 * 70.0, 10.0
EARLY, LATE = (0.086, 0.281), (-0.152, 0.030)
PATIENTS = 200


def expansion() -> tuple[float, float]:
    """Return the plasma expansion at the end of the infusion and 30 min later, over the volume infused."""
    given = tp.Inputs.infusions("crystalloid", 0.0, LENGTH, INFUSED / LENGTH, "mL/min", own=("crystalloid",))
    run = tp.simulate(VolumeKinetics(), given, np.array([0.0, LENGTH, LENGTH + 30.0]))
    _, end, later = np.asarray(run.output.blood_volume_change) / INFUSED
    return float(end), float(later)


def septic_patient() -> tp.AbstractModel:
    """Return a patient in septic shock: leaking vessels, a heart that saturates."""
    return tp.couple(VolumeKinetics.septic(), Preload(), links={"volume_change": "volume_change"})


def indices(key) -> np.ndarray:
    """Return the change of cardiac output 5 and 60 min after the bolus in patients drawn from the prior."""
    model = septic_patient()
    names = [name for name in model.unknowns() if name in Preload().unknowns()]
    given = tp.Inputs.bolus("crystalloid", 0.0, BOLUS, "mL", duration=GIVEN, own=("crystalloid",))
    times = np.array([-1e-3, GIVEN + 5.0, GIVEN + 60.0])
    draws = jnp.stack(
        [model.prior(n).sample(k, (PATIENTS,)) for n, k in zip(names, jax.random.split(key, len(names)), strict=True)],
        1,
    )

    def change(values):
        flow = tp.simulate(model.install(tuple(names), values), given, times).output.cardiac_output
        return flow[1:] / flow[0] - 1.0

    return np.asarray(jax.lax.map(change, draws, batch_size=50))


def measure() -> Result:
    """Simulate one infusion in a healthy person and one bolus in 200 septic patients."""
    with jax.enable_x64(True):
        end, later = expansion()
        changes = indices(jax.random.key(5))
    early, late = changes.mean(axis=0)
    responders = float(np.mean(changes[:, 0] > 0.10))
    inside = [
        low <= value <= high
        for value, (low, high) in zip((end, later, early, late), (DURING, AFTER, EARLY, LATE), strict=True)
    ]
    return Result(
        figure=f"plasma expansion {100 * end:.0f} % of the crystalloid at the end of the infusion, {100 * later:.0f} % "
        f"30 min after; septic bolus: cardiac index {100 * early:+.1f} % at 5 min, {100 * late:+.1f} % at 60 min, mean "
        f"of {PATIENTS} patients of the prior ({100 * responders:.0f} % rose by more than 10 %)",
        holds=all(inside),
        details={"inside": [bool(x) for x in inside], "responders": responders, "sd": changes.std(axis=0).tolist()},
    )
