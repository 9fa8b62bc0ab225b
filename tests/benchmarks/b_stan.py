"""Stan's NUTS on the density of a 48-h ICING stay."""

import importlib.metadata
import time
from dataclasses import dataclass

import jax
import numpy as np

from tests.benchmarks import Comparison, b_numpyro
from tests.benchmarks.sensitivity import FIRST, HOURS, VOLATILITY, against, density, our_chains, record
from twinprob.dynamics.precision import in_double_precision
from twinprob.models.metabolic import ICING
from twinprob.models.metabolic.icing import SECRETION_NORMAL

TITLE = "Effective draws per second against Stan"
HOW = (
    "The same density as a Stan program: `ode_rk45_tol` from change to change (1e-5, 1e-6), non-centered walk. Stan's "
    "NUTS and NumPyro's are one algorithm, so that leapfrogs per draw and effective draws per draw are taken from the "
    "long NumPyro chain on this density; the seconds per leapfrog are measured in a short chain of Stan from a draw of "
    "our posterior, its trees held to 63 leapfrogs. Warm-up and compilation count nothing."
)
WARMUP, DRAWS, DEPTH = 25, 10, 6

PROGRAM = """
functions {
  vector icing(real t, vector y, real S_I, vector u, vector c) {
    real effect = y[2] / (1 + c[1] * y[2]);
    real absorbed = fmin(c[2] * y[5], c[3]);
    real u_en = fmin(fmax(c[4] * y[1] + c[5], c[6]), c[7]);
    real moved = c[8] * (y[3] - y[2]);
    real cleared = c[9] * y[3] + c[10] * y[3] / (1 + c[11] * y[3]);
    vector[5] slope;
    slope[1] = -c[12] * y[1] - S_I * y[1] * effect + (absorbed + u[3] + c[13]) / c[14];
    slope[2] = moved - c[15] * effect;
    slope[3] = (u[1] + c[16] * u_en) / c[17] - cleared - moved;
    slope[4] = -c[18] * y[4] + u[2];
    slope[5] = -absorbed + c[18] * y[4];
    return slope;
  }
}
data {
  int<lower=1> segments;
  int<lower=1> hours;
  int<lower=1> count;
  array[segments] real begin;
  array[segments] real end;
  array[segments] vector[3] level;
  array[segments] int knot;
  array[count] int border;
  vector[count] glucose;
  vector[5] first;
  vector[18] c;
  real volatility;
}
parameters {
  real start;
  vector[hours] steps;
}
model {
  vector[hours] path;
  array[segments] vector[5] states;
  vector[5] now = first;
  path[1] = start;
  for (k in 2:hours) path[k] = path[k - 1] + volatility * steps[k];
  for (s in 1:segments) {
    now = ode_rk45_tol(icing, now, begin[s], {end[s]}, 1e-5, 1e-6, 10000, exp(path[knot[s]]), level[s], c)[1];
    states[s] = now;
  }
  start ~ normal(-8.05, 0.7);
  steps ~ std_normal();
  for (i in 1:count) glucose[i] ~ normal(states[border[i]][1], 0.05 * states[border[i]][1]);
}
"""


def data() -> dict[str, object]:
    """Return what the program is given."""
    segments, measured = density().segments, density().data["glucose"]
    real = np.asarray(segments.length) > 0
    model, count = density().model, int(np.sum(measured.present))
    patient = model.install(("insulin_sensitivity",), np.array([3e-4]))
    first = jax.tree.leaves(patient.initial(model.Input(*np.asarray(segments.before))))
    c = {name: float(getattr(ICING(), name)) for name in ICING().parameters()} | FIRST
    secretion = SECRETION_NORMAL
    constants = [
        c["insulin_effect_saturation"], c["gut_absorption"], c["greatest_absorption"], secretion.slope,
        secretion.offset, secretion.lowest, secretion.highest, c["transcapillary_diffusion"], c["kidney_clearance"],
        c["liver_clearance"], c["clearance_saturation"], c["glucose_clearance"],
        c["endogenous_glucose_production"] - c["central_glucose_uptake"], c["glucose_volume"],
        c["cellular_degradation"], 1.0 - c["first_pass_extraction"], c["insulin_volume"], c["gastric_emptying"],
    ]  # fmt: skip
    begin, length = np.asarray(segments.start)[real], np.asarray(segments.length)[real]
    return {
        "segments": int(real.sum()), "hours": HOURS, "count": count, "begin": begin.tolist(),
        "end": (begin + length).tolist(), "level": np.asarray(segments.level)[real].tolist(),
        "knot": (np.asarray(segments.knot)[real, 0] + 1).tolist(), "border": measured.index[:count].tolist(),
        "glucose": record().observations["glucose"].values.tolist(), "first": [float(x) for x in first],
        "c": constants, "volatility": VOLATILITY,
    }  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """Seconds per leapfrog, leapfrogs behind it, and how far Stan's log density is from ours between two draws."""

    per_leapfrog: float
    leapfrogs: int
    gap: float


@in_double_precision
def cost() -> Cost:
    """Compile the program, run a short chain and time it."""
    import stan

    posterior = stan.build(PROGRAM, data=data(), random_seed=1)
    start = our_chains().positions[0, -1]
    init = [{"start": float(start[0]), "steps": start[1:].tolist()}]
    began = time.perf_counter()
    fit = posterior.sample(
        num_chains=1, num_warmup=WARMUP, num_samples=DRAWS, max_depth=DEPTH, save_warmup=True, init=init
    )
    spent = time.perf_counter() - began
    leapfrogs = int(np.sum(fit["n_leapfrog__"]))
    positions = np.concatenate([np.atleast_2d(fit["start"]), fit["steps"]]).T[[0, -1]]
    ours = [float(density().log_density(p)) for p in positions]
    stans = np.ravel(fit["lp__"])[[0, -1]]
    return Cost(spent / leapfrogs, leapfrogs, float((stans[1] - stans[0]) - (ours[1] - ours[0])))


def measure() -> list[Comparison]:
    """Return both ratios of one run, or say that pystan is not there."""
    return against("Stan", "stan", _run)


def _run() -> tuple[str, float, str]:
    found, plain = cost(), b_numpyro.measured()
    note = (
        f"{1e3 * found.per_leapfrog:.1f} ms a leapfrog over {found.leapfrogs}; its log density and ours differ by "
        f"{abs(found.gap):.1g} between two draws"
    )
    theirs = plain.ess_per_draw / (plain.leapfrogs * found.per_leapfrog)
    return f"Stan, pystan {importlib.metadata.version('pystan')}", theirs, note
