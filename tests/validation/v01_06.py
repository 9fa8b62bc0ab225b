"""Nested Laplace against NUTS on synthetic 48-h stays."""

import jax
import numpy as np
from arviz_stats.base.array import array_stats

from tests.validation import Result
from tests.validation.stays import synthetic_stay
from twinprob.inference.joint import joint
from twinprob.inference.methods.laplace import Laplace
from twinprob.inference.methods.nuts import NUTS
from twinprob.models.metabolic import ICING

STAYS = 20
SHIFT, LOW, HIGH = 0.15, 0.9, 1.1
# Enough draws that Monte Carlo error alone would exceed a bar in about one of 10,000 comparisons.
FAST = Laplace(draws=1000, proposals=12000)
REFERENCE = NUTS(draws=1000)


def columns(density, positions):
    """Return what a twin reports, on the unconstrained scale: constants, and every knot of a path."""

    def one(position):
        values = density.constrain(position)
        path = density.path("insulin_sensitivity", values)
        others = [position[place] for name, place in density.layout().items() if not name.startswith("insulin_sens")]
        return jax.numpy.concatenate([jax.numpy.log(path), *others])

    flat = positions.reshape(-1, positions.shape[-1])
    return np.asarray(jax.jit(jax.vmap(one))(flat)).reshape(*positions.shape[:2], -1)


def compare(number):
    """Return k-hat, ESS and the largest differences for one stay."""
    density = joint(ICING(), synthetic_stay(number)[0])
    fast = FAST.sample(density, key=jax.random.key(number))
    slow = REFERENCE.sample(density, key=jax.random.key(1000 + number))
    ours, theirs = columns(density, fast.positions), columns(density, slow.positions)
    spread = theirs.std((0, 1))
    shift = np.abs(ours.mean((0, 1)) - theirs.mean((0, 1))) / spread
    ratio = ours.std((0, 1)) / spread
    return {
        "khat": fast.khat,
        "importance_ess": fast.importance_ess,
        "nuts_divergences": int(slow.stats["diverging"].sum()),
        "nuts_worst_rhat": float(max(array_stats.rhat(theirs[..., i]) for i in range(theirs.shape[-1]))),
        "nuts_least_ess": float(min(array_stats.ess(theirs[..., i]) for i in range(theirs.shape[-1]))),
        "largest_shift": float(shift.max()),
        "sd_ratio": [float(ratio.min()), float(ratio.max())],
        "quantities": len(spread),
    }


def measure() -> Result:
    """Compare every stay."""
    with jax.enable_x64(True):
        stays = []
        for number in range(STAYS):
            stays.append(compare(number))
            print(number, stays[-1], flush=True)
    trusted = [s for s in stays if s["khat"] < 0.7]
    shift = max(s["largest_shift"] for s in trusted)
    low, high = min(s["sd_ratio"][0] for s in trusted), max(s["sd_ratio"][1] for s in trusted)
    figure = (
        f"largest |Δmean|/sd {shift:.3f}, sd ratio {low:.3f}–{high:.3f} over {sum(s['quantities'] for s in trusted)} "
        f"quantities of {len(trusted)} stays with k-hat < 0.7; {STAYS - len(trusted)} flagged"
    )
    return Result(figure, bool(shift <= SHIFT and low >= LOW and high <= HIGH), {"stays": stays})
