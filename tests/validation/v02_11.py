"""Five traps, each sprung for real: does `diagnose` name it?"""

import dataclasses
import math
from typing import Any

import equinox as eqx
import jax
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array

import twinprob as tp
from tests.validation import Result
from twinprob.models.metabolic import ICING

LIMIT = 1200
TIMES = 60.0 * np.arange(1, 25)
GIVEN = tp.Inputs.infusions("insulin", ["0 h", "8 h", "16 h"], ["8 h", "16 h", "26 h"], [2.0, 4.0, 3.0], "U/h")
FED = GIVEN | tp.Inputs.infusions("enteral_glucose", "0 h", "26 h", 0.5, "mmol/min")
_SETTING = "setting of this validation"


class Fragile(tp.AbstractModel):
    """Growth dx/dt = rate · x², which leaves every bound at time 1/rate: beyond, no solution exists."""

    time_unit = "h"
    step = 0.1

    class State(eqx.Module):
        """One amount."""

        amount: Array | float = tp.quantity("1", "amount")

    class Input(eqx.Module):
        """Nothing."""

    class Output(eqx.Module):
        """The amount, by an instrument that saturates."""

        amount: Array | float = tp.quantity("1", "amount", noise=tp.Observation(tp.Gaussian(additive=0.2)))

    rate: float = tp.parameter(lambda model: dist.LogNormal(-3.0, 1.5), unit="1/h", source=_SETTING)

    def initial(self, inputs):
        """Start from one."""
        return self.State(1.0)

    def vector_field(self, time, state, inputs):
        """Grow with the square."""
        return self.State(self.rate * state.amount**2)

    def output(self, state, inputs):
        """Saturate at three."""
        return self.Output(3.0 * state.amount / (2.0 + state.amount))


def simulated(model, seed: int, size: float = 0.05, paths: dict | None = None) -> tp.Record:
    """Return hourly glucose of a patient drawn from a model, its path set by hand where one is given."""
    chance = np.random.default_rng(seed)
    blank = tp.Record.build({"glucose": (TIMES, np.full(TIMES.size, 8.0), "mmol/L")}, FED, start=0.0)
    with jax.enable_x64(True):
        density = tp.joint(model, blank)
        values = density.constrain(density.draw_prior(jax.random.key(seed))) | (paths or {})
        clean = np.asarray(density.means(values)[0]["glucose"])[: TIMES.size]
    noisy = clean * (1 + size * chance.standard_normal(TIMES.size))
    return tp.Record.build({"glucose": (TIMES, noisy, "mmol/L")}, FED, start=0.0)


def constant() -> ICING:
    """Return ICING with a sensitivity that does not move."""
    return ICING().vary(insulin_sensitivity=None)


def failed_solves():
    """Measurements at saturation: they ask for growth that has left every bound, where no solve can follow."""
    times = 60.0 * np.arange(1, 9)
    record = tp.Record.build({"amount": (times, np.full(8, 2.9), "1")}, own=("amount",), start=0.0)
    return tp.fit(Fragile(), record, key=jax.random.key(0))


def zero_volatility():
    """A sensitivity that stands still, fitted with an unknown volatility whose prior reaches to zero."""
    moving = tp.OrnsteinUhlenbeck(sd=dist.HalfNormal(1.0), timescale="12 h", every="1 h")
    model = ICING().vary(insulin_sensitivity=moving)
    return tp.fit(model, simulated(constant(), 3, size=0.02), key=jax.random.key(1))


def stuck_chain():
    """Four chains of NUTS, one of them left at a worse mode of a posterior with two."""
    record = simulated(ICING(), 4)
    twin = tp.fit(ICING(), record, key=jax.random.key(2), method=tp.NUTS(chains=4, draws=200, warmup=200))
    tree = twin.tree.copy(deep=True)
    place: Any = tree["unconstrained"]["position"]
    spread = place.values.std(axis=(0, 1))
    place.values[2] = place.values[2, :1] + 3.0 * spread + 0.1 * (place.values[2] - place.values[2, :1])
    return dataclasses.replace(twin, tree=tree)


def conflict():
    """A sensitivity ten times what a narrow prior allows."""
    record = simulated(ICING().fix(insulin_sensitivity=3e-3), 5)
    narrow = ICING().free(insulin_sensitivity=dist.LogNormal(math.log(3e-4), 0.2))
    return tp.fit(narrow, record, key=jax.random.key(3))


def moving_truth():
    """A sensitivity that halves and doubles over the day, fitted as constant."""
    wave = 1.2 * np.sin(2 * np.pi * np.arange(40) / 14.0)
    moving = ICING()
    knots = None
    blank = tp.Record.build({"glucose": (TIMES, np.full(TIMES.size, 8.0), "mmol/L")}, FED, start=0.0)
    with jax.enable_x64(True):
        density = tp.joint(moving, blank)
        knots = dict(density.knots)["insulin_sensitivity"]
        values = density.constrain(density.draw_prior(jax.random.key(6)))
    steps = np.diff(wave[: knots + 1]) / float(np.asarray(moving.processes()["insulin_sensitivity"].sd))
    record = simulated(moving, 6, paths={**values, "insulin_sensitivity_innovations": steps})
    return tp.fit(constant(), record, key=jax.random.key(4))


TRAPS = {
    "failed solves": (failed_solves, "failed solves"),
    "zero volatility": (zero_volatility, "size near zero: insulin_sensitivity_volatility"),
    "stuck chain": (stuck_chain, "convergence"),
    "prior-data conflict": (conflict, "prior and data: insulin_sensitivity"),
    "moving truth": (moving_truth, "drift: glucose"),
}


def measure() -> Result:
    """Spring every trap and look for its finding."""
    details: dict[str, dict] = {}
    named = 0
    for name, (spring, subject) in TRAPS.items():
        try:
            found = tp.diagnose(spring())
        except RuntimeError as error:
            details[name] = {"refused": str(error)}
            named += name == "failed solves"
            continue
        hits = [f for f in found.findings if f.subject == subject and f.verdict != "trustworthy"]
        named += bool(hits)
        details[name] = {"verdict": found.verdict, "findings": [dataclasses.asdict(f) for f in found.findings]}
        print(f"  {name}: {hits[0].evidence if hits else 'NOT NAMED'}\n{found}", flush=True)
    return Result(f"{named} of {len(TRAPS)} traps named", named == len(TRAPS), details)
