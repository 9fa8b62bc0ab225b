"""Problems of the public PEtab collection, typed in: densities at nominal values, optima, and a verdict."""

import equinox as eqx
import jax

import twinprob as tp
from tests import petab_problems as petab
from tests.validation import Result
from twinprob.inference.fit import posed
from twinprob.inference.optimum import Likelihood

PROBLEMS = {
    "Boehm": (petab.Boehm, petab.boehm_record, petab.BOEHM_NOMINAL, petab.BOEHM_LOG_LIKELIHOOD, None),
    "Elowitz": (petab.Elowitz, petab.elowitz_record, petab.ELOWITZ_NOMINAL, petab.ELOWITZ_LOG_LIKELIHOOD, None),
    "Perelson": (
        petab.Perelson,
        petab.perelson_record,
        petab.PERELSON_NOMINAL,
        petab.perelson_log_likelihood(petab.PERELSON_SQUARES["nominal"]),
        petab.perelson_log_likelihood(petab.PERELSON_SQUARES["optimum"]),
    ),
}
WANTED = 5
STARTS = 16


@eqx.filter_jit
def log_likelihood(density, position):
    """Return the log likelihood, without the prior."""
    return density.log_density(position)


def one(model, record, nominal, exact, best) -> dict:
    """Density at the nominal values with default settings, and the optimum."""
    density, _, _, notes = posed(model, record, None, None, None)
    with jax.enable_x64(True):
        alone = Likelihood(density)
        found = float(log_likelihood(alone, alone.unconstrain(nominal)))
    optimum = tp.optimum(model, record, starts=STARTS)
    return {
        "off": found - exact,
        "integrator": type(density.integrator).__name__,
        "said": list(notes),
        "optimum": optimum.log_likelihood - (exact if best is None else best),
        "found by": optimum.found,
        "values": dict(optimum.values),
    }


def verdict(model, record) -> dict:
    """Boehm's import of homodimers is open to the right in the literature: never called determined."""
    found = tp.identify(model, record, key=jax.random.key(0), hours=())
    return {row.name: row.verdict for row in found.parameters}


def measure() -> Result:
    """Each problem in turn."""
    rows = {name: one(kind(), record(), *rest) for name, (kind, record, *rest) in PROBLEMS.items()}
    said = verdict(petab.Boehm(), petab.boehm_record())
    open_right = said.get("k_imp_homo", "")
    dense = [name for name, row in rows.items() if abs(row["off"]) < 2e-3]
    best = [name for name, row in rows.items() if row["optimum"] > -0.5]
    right = open_right != "determined"
    holds = len(dense) == len(best) == len(rows) >= WANTED and right
    figure = (
        f"{len(rows)} of {WANTED} problems typed in; density at nominal within 2e-3 of the collection's in "
        f"{len(dense)} ("
        + ", ".join(f"{name} {row['off']:+.1e}" for name, row in rows.items())
        + f"), optimum within .5 of the best known in {len(best)} ("
        + ", ".join(f"{name} {row['optimum']:+.3f}" for name, row in rows.items())
        + f"); Boehm's import of homodimers: {open_right}"
    )
    return Result(figure, bool(holds), {"problems": rows, "verdicts of Boehm": said})
