"""What must hold of any recommendation: less is asked for where less risk is allowed, and words do not change it."""

from typing import Any

import jax
import numpy as np

import twinprob as tp
from tests.decisions.insulin_trial import patients
from tests.validation import Result
from tests.validation.glucose_decisions import CAP, EVENT, GOAL, HORIZON, RUN_IN, ran_in
from twinprob.decisions import Recommendation, recommend

LIMIT = 3600
COUNT = 12
ALLOWED = (0.5, 0.2, 0.1, 0.05, 0.02)
RATES = np.arange(0.0, CAP + 0.1, 0.5)
PLANS = {f"{rate:g}": {"insulin": f"{rate:g} U/h"} for rate in RATES}


def measure() -> Result:
    """Ask twins of virtual patients in several ways."""
    who = patients(COUNT, hours=RUN_IN + 1.0)
    ward = ran_in(who, 0.05, 6)
    broken: dict[str, list[int]] = {name: [] for name in (
        "the largest dose does not rise as the limit falls", "risk does not fall as the dose rises",
        "order does not matter", "units do not matter", "the same key ranks alike",
    )}  # fmt: skip
    for i in range(COUNT):
        twin = tp.fit(who.model, ward.record(i), key=jax.random.key(i))
        usual = ask(twin, PLANS, 0.05)
        largest = [most_offered(ask(twin, PLANS, most)) for most in ALLOWED]
        risks = [usual[name].risks[0].probability for name in PLANS]
        backward = ask(twin, dict(reversed(PLANS.items())), 0.05)
        other = ask(twin, {name: {"insulin": f"{1000 * float(name):g} mU/h"} for name in PLANS}, 0.05)
        found = (
            largest == sorted(largest, reverse=True),
            bool(np.all(np.diff(risks) >= -1e-12)),
            ranks(backward) == ranks(usual),
            ranks(other) == ranks(usual),
            ranks(ask(twin, PLANS, 0.05)) == ranks(usual),
        )
        for name, held in zip(broken, found, strict=True):
            broken[name] += [] if held else [i]
    return Result(
        "; ".join(f"{name}: {COUNT - len(failed)} of {COUNT}" for name, failed in broken.items()),
        not any(broken.values()),
        {"patients in whom it does not hold": broken, "limits": ALLOWED},
    )


def ask(twin: tp.Twin, plans: dict[str, Any], most: float) -> Recommendation:
    """Return what is recommended under a limit."""
    return recommend(twin, plans, goal=GOAL, limits={EVENT: most}, hours=HORIZON, published=True, key=jax.random.key(1))


def most_offered(found: Recommendation) -> float:
    """Return the largest dose within the limit; -1 where none is."""
    return max((float(o.name) for o in found.options if o.feasible and o.risks and o.name in PLANS), default=-1.0)


def ranks(found: Recommendation) -> dict[str, int | None]:
    """Return the rank of each plan."""
    return {option.name: option.rank for option in found.options if option.name in PLANS}
