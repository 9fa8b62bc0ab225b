"""The problem of the sampling benchmarks, our own figures on it, and how moments are compared.

A 48-h ICING stay with 24 glucose values and an hourly random walk of log insulin sensitivity: 49 unknowns, float64.
"""

import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import jax
import numpy as np
from arviz_stats.base.array import array_stats

import twinprob as tp
from tests.benchmarks import Comparison
from tests.validation.stays import synthetic_stay
from twinprob.dynamics.precision import in_double_precision
from twinprob.inference.joint import Joint, joint
from twinprob.models.metabolic import ICING

HOURS = 48
VOLATILITY = 0.25  # per square root of an hour: the setting of the sketch this library started from
FIRST = {"initial_glucose": 9.0, "initial_insulin": 1.0, "endogenous_glucose_production": 1.16}


@dataclass(frozen=True)
class Run:
    """Draws of one contender and what they cost.

    Attributes
    ----------
    positions : (chain, draw, unknown), unknowns in the order of `Joint.layout`
    ess : float, smallest bulk ESS over the unknowns, or that of the importance weights
    seconds : float, what producing them took, without compilation
    """

    positions: np.ndarray
    ess: float
    seconds: float

    @property
    def per_second(self) -> float:
        """Effective draws per second."""
        return self.ess / self.seconds


def model() -> ICING:
    """Return the model: only the path of insulin sensitivity is unknown."""
    return ICING().fix(**FIRST).vary(insulin_sensitivity=tp.RandomWalk(sd=VOLATILITY, every="1 h"))


@cache
@in_double_precision
def record() -> tp.Record:
    """Return a synthetic stay drawn from the model's own prior, a value every two hours from 2 h on."""
    stay, _ = synthetic_stay(0, hours=HOURS, every=2.0, model=model())
    glucose = stay.observations["glucose"]
    late = glucose.times > 0
    values = {"glucose": (glucose.times[late], glucose.values[late], glucose.unit)}
    return tp.Record.build(values, stay.inputs, start=0.0, end=60.0 * HOURS)


@cache
@in_double_precision
def density() -> Joint:
    """Return the joint density."""
    return joint(model(), record())


def informed(positions: np.ndarray) -> np.ndarray:
    """Leave out the first innovation, which moves nothing in a random walk that starts at its base."""
    return np.delete(positions, density().layout()["insulin_sensitivity_innovations"].start, axis=-1)


def bulk(positions: np.ndarray) -> np.ndarray:
    """Return the bulk ESS of every informed unknown."""
    kept = informed(positions)
    return np.array([float(array_stats.ess(kept[..., i])) for i in range(kept.shape[-1])])


@cache
@in_double_precision
def our_chains() -> Run:
    """Run `NUTS()` as it is, once to compile and once to be timed."""
    tp.NUTS().sample(density(), key=jax.random.key(0))
    began = time.perf_counter()
    sampled = tp.NUTS().sample(density(), key=jax.random.key(1))
    seconds = time.perf_counter() - began
    return Run(sampled.positions, float(bulk(sampled.positions).min()), seconds)


@cache
@in_double_precision
def our_fit() -> Run:
    """Run `fit` with no options, once to compile and three times to be timed."""
    tp.fit(model(), record(), key=jax.random.key(0))
    times = []
    for seed in (1, 2, 3):
        began = time.perf_counter()
        twin = tp.fit(model(), record(), key=jax.random.key(seed))
        times.append(time.perf_counter() - began)
    return Run(twin.group("unconstrained")["position"].values, twin.effective_draws, float(np.median(times)))


def disagreement(ours: Run, positions: np.ndarray, least: float = 50.0) -> dict[str, float]:
    """Compare means and spreads with ours, in Monte Carlo standard errors, where the other's ESS is `least` or more.

    Returns
    -------
    dict
        Largest difference of a `mean` and of a `spread`, and the number of unknowns `compared`.
    """
    figures: dict[str, float] = {}
    enough = bulk(positions) >= least
    for name, of in {"mean": lambda x, center: x, "spread": lambda x, center: (x - center) ** 2}.items():
        center = informed(ours.positions).mean((0, 1))
        a, b = of(informed(ours.positions), center)[..., enough], of(informed(positions), center)[..., enough]
        figures[name] = float(
            np.max(np.abs(a.mean((0, 1)) - b.mean((0, 1))) / np.hypot(_error(a), _error(b)), initial=0)
        )
    return {**figures, "compared": float(enough.sum())}


def _error(draws):
    """Return the Monte Carlo standard error of the mean of every unknown."""
    ess = np.array([float(array_stats.ess(draws[..., i], method="mean")) for i in range(draws.shape[-1])])
    return draws.std((0, 1)) / np.sqrt(ess)


def agreement(ours: Run, positions: np.ndarray) -> str:
    """Say in words how the moments compare."""
    found = disagreement(ours, positions)
    if not found["compared"]:
        return "too few effective draws to compare moments"
    return (
        f"means of {found['compared']:.0f} of 48 unknowns within {found['mean']:.1f}, variances within "
        f"{found['spread']:.1f} Monte Carlo errors of our NUTS"
    )


def against(rival: str, module: str, run: Callable[[], tuple[str, float, str]]) -> list[Comparison]:
    """Return both ratios of one run against a rival, or say that it is not installed.

    Parameters
    ----------
    rival : str
        Its name, where it is absent.
    module : str
        What has to be importable.
    run : function returning its name with version, its effective draws per second, and a note
    """
    what = ("`NUTS()`, mode search and warm-up included", "`fit` with no options, whole")
    unit, ours = "effective draws / s", (our_chains().per_second, our_fit().per_second)
    if importlib.util.find_spec(module) is None:
        absent = "not installed: pip install twinprob[bench]"
        return [Comparison(w, unit, o, rival, None, "higher", absent) for w, o in zip(what, ours, strict=True)]
    name, theirs, note = run()
    return [
        Comparison(what[0], unit, ours[0], name, theirs, "higher", note),
        Comparison(what[1], unit, ours[1], name, theirs, "higher"),
    ]
