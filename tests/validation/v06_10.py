"""Twenty patients of different lengths, weights and numbers of measurements, for two models: what is compiled."""

from collections import Counter

import jax
import numpy as np

import twinprob as tp
from tests.validation import Result
from tests.validation.service import Clearance, clock, compiling, drug, glucose
from twinprob.dynamics.programs import held

LIMIT = 3600
TITLE = "20 patients of different lengths, weights and numbers of measurements, each fitted, updated hourly, forecast"
BAR = "≤ 6 programs a verb in all, for ICING and a user's model with a covariate; compiling ≤ 25 % of the time"
PATIENTS, LATER = 20, 12  # hourly updates and forecasts after the fit
VERBS = {
    "fit": ("_quadratics", "_densities", "_prior_draws", "_described", "_compared", "_at_prior", "_spread"),
    "update": ("advance", "draw", "_outputs"),
    "forecast": ("_ahead",),
}


def patients(make):
    """Return records of 24 to 120 h, measured every 40 min to 3 h."""
    chance = np.random.default_rng(610)
    hours = np.round(np.exp(chance.uniform(np.log(24), np.log(120), PATIENTS)))
    every = chance.uniform(0.67, 3.0, PATIENTS)
    return [make(i, float(h), float(e)) for i, (h, e) in enumerate(zip(hours, every, strict=True))]


class Tally:
    """Programs compiled and seconds spent, by verb."""

    def __init__(self):
        self.programs: dict[str, Counter] = {verb: Counter() for verb in VERBS}
        self.seconds, self.compiling = dict.fromkeys(VERBS, 0.0), dict.fromkeys(VERBS, 0.0)

    def run(self, verb, *args, **kwargs):
        """Run a verb and note what it compiled."""
        began = clock()
        with compiling() as found:
            result = getattr(tp, verb)(*args, **kwargs)
        self.seconds[verb] += clock() - began
        self.compiling[verb] += found.seconds
        self.programs[verb].update(found.functions)
        return result


def measure() -> Result:
    """Count the programs of each function, and all that JAX compiled besides."""
    jax.config.update("jax_enable_compilation_cache", False)  # everything is compiled here
    tally = Tally()
    for make, model in ((glucose, tp.models.metabolic.ICING()), (drug, Clearance())):
        for i, record in enumerate(patients(make)):
            keys = jax.random.split(jax.random.key(i), LATER + 1)
            twin = tally.run("fit", model, record.until(record.end - 60.0 * LATER), key=keys[0])
            tally.run("forecast", twin, hours=4, key=keys[0])
            for key in keys[1:]:
                twin = tally.run("update", twin, record.between(twin.now, twin.now + 60.0), key=key)
                tally.run("forecast", twin, hours=4, key=key)
            print(f"  {type(model).__name__} {i}: {record.end / 60:.0f} h, {len(held())} programs held", flush=True)
    return judged(tally)


def judged(tally: Tally) -> Result:
    """Compare the most programs of one function of a verb, and the share of compiling."""
    # A fit compiles six functions once for each size, so that programs are counted by function.
    most = {verb: max(tally.programs[verb][name] for name in names) for verb, names in VERBS.items()}
    ours = {verb: sum(tally.programs[verb][name] for name in names) for verb, names in VERBS.items()}
    others = {verb: tally.programs[verb].total() - ours[verb] for verb in VERBS}
    total = sum(tally.seconds.values())
    share = sum(tally.compiling.values()) / total
    return Result(
        figure="; ".join(f"{v}: {most[v]} sizes, {ours[v]} programs of ours, {others[v]} of JAX's own" for v in VERBS)
        + f"; compiling {100 * share:.0f} % of {total:.0f} s (nothing cached)",
        holds=bool(max(most.values()) <= 6 and share <= 0.25),
        details={
            "programs": {verb: dict(found) for verb, found in tally.programs.items()},
            "seconds": tally.seconds,
            "of which compiling": tally.compiling,
        },
    )
