"""A linear model with normal noise: Fisher information, profile, posterior and contraction against the closed form."""

import math

import jax
import numpy as np

import twinprob as tp
from tests.cases import Drift, drift_posterior, drift_record
from tests.validation import Result
from twinprob.diagnostics.determination import parameters_of

HOURS = 10
NAMES = ("slope_start", "first")


def measure() -> Result:
    """Use a level that drifts by an hourly random walk: twelve unknowns, one of them in the future."""
    record, values = drift_record(HOURS)
    mean, covariance, _ = drift_posterior(values, HOURS)
    said = tp.information(Drift(), record)
    place = {name: said.names.index(name) for name in NAMES}
    exact = {"slope_start": 0, "first": -1}
    along = tp.profile(Drift(), record, widen=1.0)
    errors = {"Fisher covariance": 0.0, "posterior mean": 0.0, "contraction": 0.0, "profile": 0.0, "interval": 0.0}
    for name in NAMES:
        i, j = place[name], exact[name]
        sd = math.sqrt(covariance[j, j])
        prior = said.prior_variance[i]
        half = sd * 1.959963984540054
        one = along[name]
        found = {
            "Fisher covariance": abs(said.covariance[i, i] / covariance[j, j] - 1),
            "posterior mean": abs(said.position[i] - mean[j]) / sd,
            "contraction": abs((1 - said.covariance[i, i] / prior) - (1 - covariance[j, j] / prior)),
            "profile": float(np.abs(one.deviance - (one.values - mean[j]) ** 2 / covariance[j, j]).max()),
            "interval": max(abs(one.lower - mean[j] + half), abs(one.upper - mean[j] - half)) / sd,
        }
        errors = {what: max(error, found[what]) for what, error in errors.items()}
    twin = tp.fit(Drift(), record, key=jax.random.key(0))
    drawn = parameters_of(twin)["first"]
    away = abs(drawn.contraction - (1 - covariance[-1, -1] / 4.0)) / drawn.mcse
    return Result(
        figure=", ".join(f"{what} {error:.1e}" for what, error in errors.items())
        + f"; contraction by draws {away:.1f} Monte Carlo errors away",
        holds=bool(max(errors.values()) <= 1e-6 and away < 4),
        details={"errors": errors, "monte_carlo_errors": away},
    )
