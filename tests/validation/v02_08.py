"""Cohorts of synthetic stays fitted together: time, growth, memory, and each patient against a fit alone."""

import json
import os
import subprocess
import sys
import time
from typing import Any

import equinox as eqx
import jax
import numpy as np

from tests import ROOT
from tests.validation import Result
from twinprob.inference.fit import fit
from twinprob.inference.fit_cohort import METHOD, fit_cohort
from twinprob.inference.joint import joint
from twinprob.modeling.process import RandomWalk
from twinprob.models.metabolic import ICING
from twinprob.patient.inputs import Inputs
from twinprob.patient.record import Record

LIMIT = 3000
SIZES = (100, 1000, 10_000)
ALONE = 5
BARS = {"seconds": 60.0, "growth": 0.2, "gibibytes": 4.0}


def model() -> ICING:
    """Return ICING with an hourly random walk of the log sensitivity."""
    return ICING().vary(insulin_sensitivity=RandomWalk(sd=0.15, every="1 h"))


@eqx.filter_jit
def _glucose(density, key):
    """Return glucose at the measurements for eight draws from the prior."""

    def one(key):
        return density.means(density.constrain(density.draw_prior(key)))[0]["glucose"]

    return jax.vmap(one)(jax.random.split(key, 8))


def stay(number: int) -> Record:
    """Return the synthetic record of 48 h: its own times, infusions, feed and weight; 24 values with 5 % noise.

    Of draws from the prior, the first whose glucose stays within 2…25 mmol/L is taken; nobody charts the others.
    """
    chance = np.random.default_rng(8000 + number)
    weight = chance.uniform(50.0, 120.0)
    times = np.round(120.0 * np.arange(1, 25) - chance.integers(0, 90, 24))
    parts = []
    for name, low, high, unit in (("insulin", 0.0, 5.0, "U/h"), ("enteral_glucose", 0.003, 0.012, "mmol/min")):
        changes = np.append(0.0, np.sort(60.0 * chance.choice(np.arange(1, 48), chance.integers(8, 14), replace=False)))
        rates = chance.uniform(low, high, len(changes)) * (weight if name == "enteral_glucose" else 1.0)
        parts.append(Inputs.infusions(name, changes, np.append(changes[1:], np.inf), rates, unit))
    given = parts[0] | parts[1]
    about: dict[str, Any] = {"inputs": given, "covariates": {"weight": (weight, "kg")}, "start": 0.0, "end": 2880.0}
    density = joint(model(), Record.build({"glucose": (times, np.full(24, 7.0), "mmol/L")}, **about)).traced()
    for turn in range(25):
        clean = np.asarray(_glucose(density, jax.random.fold_in(jax.random.key(number), turn)))[:, :24]
        fine = (clean.min(axis=1) > 2.0) & (clean.max(axis=1) < 25.0)
        if fine.any():
            break
    noisy = clean[np.argmax(fine)] * (1.0 + 0.05 * chance.standard_normal(24))
    return Record.build({"glucose": (times, noisy, "mmol/L")}, **about)


_SCRIPT = """
import json, resource, sys
from tests.validation import v02_08
found = v02_08.run([int(size) for size in sys.argv[1:]])
found["gibibytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps(found))
"""


def run(sizes) -> dict:
    """Fit cohorts of these sizes one after another after one small cohort that compiles; compare some with `fit`."""
    jax.config.update("jax_enable_x64", True)
    # A thousand charts are drawn; a larger cohort sees each several times, every time with another key.
    charts = [stay(number) for number in range(min(max(sizes), 1000))]
    cohort = fit_cohort(model(), charts[:100], key=jax.random.key(1))
    seconds, cpu, counts, khats, load = {}, {}, {}, {}, {}
    for size in sizes:
        records = [charts[i % len(charts)] for i in range(size)]
        began, spent = time.perf_counter(), time.process_time()
        cohort = fit_cohort(model(), records, key=jax.random.key(0))
        seconds[size], cpu[size] = time.perf_counter() - began, time.process_time() - spent
        counts[size], load[size] = cohort.counts, os.getloadavg()[0]
        khats[size] = np.quantile(cohort.khats, [0.5, 0.9, 1.0]).tolist()
    shifts = [shift(cohort, charts[i], i) for i in range(ALONE)]
    return {"seconds": seconds, "cpu": cpu, "counts": counts, "khats": khats, "load": load, "shifts": shifts}


def shift(cohort, record: Record, i: int) -> float:
    """Return the largest difference between a patient's draws and those of a fit alone, in posterior sd."""
    alone = fit(model(), record, key=jax.random.fold_in(cohort.key, i), method=METHOD)
    draws, others = alone.group("unconstrained")["position"].values, cohort.members[i].sampled.positions
    return float(np.max(np.abs(draws - others) / draws.std(axis=(0, 1))))


def measure() -> Result:
    """Run all sizes in a new process, so that its peak memory is that of the cohorts."""
    command = [sys.executable, "-c", _SCRIPT, *map(str, SIZES)]
    # Patients already share the cores; threads inside each small factorization only wait for one another.
    alone = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    each = {size: found["seconds"][str(size)] / size for size in SIZES}
    growth = abs(each[SIZES[-1]] / each[SIZES[0]] - 1.0)
    thousand = found["seconds"]["1000"]
    same = max(found["shifts"]) < 1e-6
    return Result(
        figure=f"1,000 stays in {thousand:.0f} s ({found['cpu']['1000']:.0f} s of processor time, load "
        f"{found['load']['1000']:.1f}); per stay {100 * growth:.0f} % off from {SIZES[0]} to {SIZES[-1]:,}; "
        f"peak {found['gibibytes']:.1f} GiB; {ALONE} single fits within {max(found['shifts']):.0e} sd",
        holds=thousand <= BARS["seconds"]
        and growth <= BARS["growth"]
        and found["gibibytes"] <= BARS["gibibytes"]
        and same,
        details={**found, "milliseconds_each": {str(size): 1e3 * value for size, value in each.items()}},
    )
