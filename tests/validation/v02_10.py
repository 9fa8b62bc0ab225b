"""Coverage where half of the measurements are missing, where 5 % are gross errors, and where 20 % are censored."""

import dataclasses

import jax
import numpy as np

import twinprob as tp
from tests.validation import Result
from twinprob.models.metabolic import ICING
from twinprob.validation.calibrate import Calibration, calibrate

LIMIT = 1800
REPLICATES = 300
TIMES = 60.0 * np.arange(25)
METHOD = tp.Laplace(starts=4)


def design(times) -> tp.Record:
    """Return a day of insulin and feed with glucose at some times."""
    insulin = tp.Inputs.infusions("insulin", ["0 h", "9 h"], ["9 h", "30 h"], [2.0, 4.0], "U/h")
    feed = tp.Inputs.infusions("enteral_glucose", "0 h", "30 h", 0.5, "mmol/min")
    values = np.full(len(times), 8.0)
    return tp.Record.build({"glucose": (times, values, "mmol/L")}, insulin | feed, start=0.0, end="24 h")


def missing() -> Calibration:
    """Keep a random half of hourly measurements."""
    kept = np.sort(np.random.default_rng(1).choice(TIMES, 12, replace=False))
    return calibrate(
        ICING(), record_like=design(kept), replicates=REPLICATES, method=METHOD, hours=(1.0, 2.0), key=jax.random.key(1)
    )


def outliers() -> Calibration:
    """Replace 5 % of the measurements by gross errors (a factor of 0.4 to 2.5) and fit with Student-t noise."""
    robust = {"glucose": tp.Observation(tp.StudentT(relative=0.05, df=4.0))}

    def twin_of(record, key):
        chance = np.random.default_rng(np.asarray(jax.random.key_data(key)).astype(np.uint64))
        series = record.observations["glucose"]
        wrong = chance.uniform(size=len(series.times)) < 0.05
        factor = np.exp(chance.choice([-1.0, 1.0], len(wrong)) * chance.uniform(0.4, 0.92, len(wrong)))
        values = np.where(wrong, series.values * factor, series.values)
        spoiled = dataclasses.replace(record, observations={"glucose": dataclasses.replace(series, values=values)})
        return tp.fit(ICING(), spoiled, key=key, method=METHOD, observations=robust)

    return calibrate(
        ICING(),
        record_like=design(TIMES),
        replicates=REPLICATES,
        twin_of=twin_of,
        hours=(1.0, 2.0),
        key=jax.random.key(2),
    )


def censored() -> Calibration:
    """Put an upper detection limit where about one in five measurements lies beyond it."""
    limited = {"glucose": tp.Observation(tp.Gaussian(relative=0.05), upper=9.0)}
    return calibrate(
        ICING(), record_like=design(TIMES), replicates=REPLICATES, method=METHOD, hours=(1.0, 2.0),
        observations=limited, key=jax.random.key(3),
    )  # fmt: skip


def measure() -> Result:
    """Measure the 90 % coverage of every quantity in the three cases."""
    figures, details, holds = [], {}, True
    for name, way in (("missing", missing), ("outliers", outliers), ("censored", censored)):
        found = way()
        covered = found.coverage(0.9)
        holds &= bool(covered.between(0.85, 0.95).all())
        figures.append(f"{name}: {covered.min():.3f}–{covered.max():.3f} over {len(covered)} quantities")
        details[name] = {"coverage_90": covered.to_dict(), "failed": int(found.judged["failed"].sum())}
    return Result(figure="90 % coverage, " + "; ".join(figures), holds=holds, details=details)
