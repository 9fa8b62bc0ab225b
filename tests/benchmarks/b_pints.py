"""PINTS' default sampler on the density of a 48-h ICING stay."""

import importlib.metadata
import time

import jax
import numpy as np

from tests.benchmarks import Comparison
from tests.benchmarks.sensitivity import Run, against, agreement, bulk, density, our_chains
from twinprob.dynamics.precision import in_double_precision

TITLE = "Effective draws per second against PINTS"
HOW = (
    "The same density and the same unknowns; PINTS is lent our compiled log density, and starts from draws of our "
    "posterior. Its default method, `HaarioBardenetACMC`, runs three chains; the first half of each counts neither as "
    "draws nor as time."
)
ITERATIONS = 5_000


@in_double_precision
def chains() -> Run:
    """Run PINTS with its defaults."""
    import pints

    log_density = jax.jit(lambda position: density().log_density(position))

    class Posterior(pints.LogPDF):
        def n_parameters(self):
            return density().size

        def __call__(self, position):
            return float(log_density(position))

    start = our_chains().positions[:3, -1]
    float(log_density(start[0]))  # compiles
    np.random.seed(0)  # noqa: NPY002  PINTS draws from NumPy's global state
    controller = pints.MCMCController(Posterior(), len(start), list(start))
    controller.set_max_iterations(ITERATIONS)
    controller.set_log_to_screen(False)
    began = time.perf_counter()
    positions = np.asarray(controller.run())[:, ITERATIONS // 2 :]
    return Run(positions, float(bulk(positions).min()), (time.perf_counter() - began) / 2)


def measure() -> list[Comparison]:
    """Return both ratios of one run, or say that PINTS is not there."""
    return against("PINTS", "pints", _run)


def _run() -> tuple[str, float, str]:
    found = chains()
    note = (
        f"{found.ess:.0f} effective of {found.positions[..., 0].size} draws; {agreement(our_chains(), found.positions)}"
    )
    return f"PINTS {importlib.metadata.version('pints')}", found.per_second, note
