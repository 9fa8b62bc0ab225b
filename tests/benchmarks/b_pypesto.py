"""pyPESTO's adaptive Metropolis sampler on the density of a 48-h ICING stay."""

import importlib.metadata
import logging
import time

import jax
import numpy as np

from tests.benchmarks import Comparison
from tests.benchmarks.sensitivity import Run, against, agreement, bulk, density, our_chains
from twinprob.dynamics.precision import in_double_precision

TITLE = "Effective draws per second against pyPESTO"
HOW = (
    "The same density and the same unknowns; pyPESTO is lent our compiled log density, and starts from a draw of our "
    "posterior. `AdaptiveMetropolisSampler` runs one chain; its first half counts neither as draws nor as time."
)
ITERATIONS = 15_000


@in_double_precision
def chain() -> Run:
    """Run pyPESTO's adaptive Metropolis sampler."""
    import pypesto
    import pypesto.sample

    logging.getLogger("pypesto").setLevel(logging.ERROR)
    log_density = jax.jit(lambda position: density().log_density(position))
    start = our_chains().positions[0, -1]
    float(log_density(start))  # compiles
    objective = pypesto.Objective(fun=lambda position: -float(log_density(position)))
    problem = pypesto.Problem(objective, lb=start - 20.0, ub=start + 20.0)
    np.random.seed(0)  # noqa: NPY002  pyPESTO draws from NumPy's global state
    began = time.perf_counter()
    result = pypesto.sample.sample(
        problem, ITERATIONS, pypesto.sample.AdaptiveMetropolisSampler(options={"show_progress": False}), x0=start,
        filename=None,
    )  # fmt: skip
    seconds = (time.perf_counter() - began) / 2
    positions = np.asarray(result.sample_result.trace_x)[:, ITERATIONS // 2 :]
    return Run(positions, float(bulk(positions).min()), seconds)


def measure() -> list[Comparison]:
    """Return both ratios of one run, or say that pyPESTO is not there."""
    return against("pyPESTO", "pypesto", _run)


def _run() -> tuple[str, float, str]:
    found = chain()
    note = (
        f"{found.ess:.0f} effective of {found.positions[..., 0].size} draws; {agreement(our_chains(), found.positions)}"
    )
    return f"pyPESTO {importlib.metadata.version('pypesto')}", found.per_second, note
