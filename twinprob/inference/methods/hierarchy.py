"""The distribution over patients, from draws of each patient's posterior under a reference that is reweighted away."""

from dataclasses import dataclass, replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import logsumexp

from ...dynamics.programs import compiled
from .importance import Mixture, kernels, smooth

_BATCH = 32
_SMALLEST_SPREAD = 0.02
_TYPICAL_SPREAD, _SPREAD_OF_SPREADS = 0.5, 0.7  # of the declared widths, and on the log scale; settings
_ENOUGH = 0.3
_STRICTNESS = 2.0


class Patients(eqx.Module):
    """Draws of every patient's unknowns under a normal reference, as deviations from the declared priors' centers.

    Attributes
    ----------
    deviations : (patient, draw, parameter)
    present : (patient, parameter) 1.0, or 0.0 where the patient has no such unknown
    design : (patient, term) the first term is one
    centers, spreads : (patient, parameter) of the reference
    widths : (parameter,) standard deviations of the declared priors: the scale of all hyperpriors
    used : tuple of (parameter, term), which terms move which parameter
    """

    deviations: np.ndarray
    present: np.ndarray
    design: np.ndarray
    centers: np.ndarray
    spreads: np.ndarray
    widths: np.ndarray
    used: tuple[tuple[int, int], ...] = eqx.field(static=True)

    @property
    def size(self) -> int:
        """Number of hyperparameters."""
        return len(self.used) + len(self.widths)

    def select(self, chosen) -> "Patients":
        """Return these patients alone, by their places."""
        rows = np.asarray(chosen, int)
        kept = {name: getattr(self, name)[rows] for name in ("deviations", "present", "design", "centers", "spreads")}
        return replace(self, **kept)

    def split(self, point):
        """Return coefficients (parameter, term) and spreads (parameter,) at a point (hyperparameter,)."""
        count = len(self.used)
        blank = jnp.zeros((len(self.widths), self.design.shape[1]))
        return blank.at[tuple(np.array(self.used).T)].set(point[:count]), jnp.exp(point[count:])

    def join(self, coefficients, spreads) -> np.ndarray:
        """Return the point (hyperparameter,) of coefficients and spreads."""
        return np.concatenate([np.asarray(coefficients)[tuple(np.array(self.used).T)], np.log(np.asarray(spreads))])

    def ratios(self, point):
        """Return log p(draw | hyperparameters) - log p(draw | reference), shape (patient, draw)."""
        coefficients, spreads = self.split(point)
        centers = self.design @ coefficients.T
        precision = 1.0 / spreads**2
        # Products over the draws, so that many points at once are one matrix product.
        new = (
            -0.5 * jnp.einsum("njd,nd->nj", self.deviations**2, self.present * precision)
            + jnp.einsum("njd,nd->nj", self.deviations, self.present * centers * precision)
            - jnp.sum(self.present * (0.5 * centers**2 * precision + jnp.log(spreads)), axis=1)[:, None]
        )
        away = (self.deviations - self.centers[:, None]) / self.spreads[:, None]
        old = -0.5 * jnp.einsum("njd,nd->nj", away**2, self.present)
        return new - old + jnp.sum(self.present * jnp.log(self.spreads), axis=1)[:, None]

    def log_density(self, point):
        """Return the log posterior density of the hyperparameters, up to a constant.

        Coefficients are a priori Normal(0, width), spreads LogNormal around half the width, with the declared prior's
        width of each parameter: few patients cannot tell a spread from zero, and zero would make the next patient like
        all others. The density is over log spreads.
        """
        coefficients, spreads = self.split(point)
        prior = -0.5 * jnp.sum((coefficients / self.widths[:, None]) ** 2)
        away = jnp.log(spreads / (_TYPICAL_SPREAD * self.widths)) / _SPREAD_OF_SPREADS
        prior = prior - 0.5 * jnp.sum(away**2)
        return (
            prior + jnp.sum(logsumexp(self.ratios(point), axis=1)) - len(self.design) * np.log(self.deviations.shape[1])
        )

    def effective(self, point):
        """Return the share of each patient's draws that still count at a point, shape (patient,)."""
        logs = jax.nn.log_softmax(self.ratios(point), axis=1)
        return jnp.exp(-logsumexp(2.0 * logs, axis=1)) / logs.shape[1]

    def trusted(self, point):
        """Return the log density less a penalty where the draws under the reference can say little: a trust region."""
        doubt = jnp.maximum(jnp.log(_ENOUGH) - jnp.log(self.effective(point)), 0.0)
        return self.log_density(point) - _STRICTNESS * jnp.sum(doubt**2)


@dataclass(frozen=True)
class Hyperparameters:
    """Weighted draws of the hyperparameters.

    Attributes
    ----------
    coefficients : (draw, parameter, term), spreads : (draw, parameter)
    khat : float, of the importance weights
    ess : float, effective number of draws
    """

    coefficients: np.ndarray
    spreads: np.ndarray
    khat: float
    ess: float


@compiled
def _value_and_slope(patients, point):
    return jax.value_and_grad(patients.trusted)(point)


@compiled
def _curvature(patients, point):
    return -jax.hessian(patients.log_density)(point)


@compiled
def _effective(patients, point):
    return patients.effective(point)


@compiled
def _densities(patients, points):
    return lax.map(patients.log_density, points, batch_size=_BATCH)


def effective(patients: Patients, point) -> np.ndarray:
    """Return the effective share of each patient's draws at a point, shape (patient,)."""
    return np.asarray(_effective(patients, jnp.asarray(point)))


def mode(patients: Patients, start: np.ndarray) -> np.ndarray:
    """Climb to the mode within the trust region; spreads stay above a fiftieth of the declared ones."""
    count = len(patients.used)
    low = np.log(_SMALLEST_SPREAD * patients.widths)
    bounds = [(None, None)] * count + [(float(x), None) for x in low]

    def objective(point):
        value, slope = _value_and_slope(patients, jnp.asarray(point))
        return -float(value), -np.asarray(slope)

    from scipy.optimize import minimize  # here because importing it is slow

    return minimize(
        objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 200, "maxfun": 400}
    ).x


def spread_at(patients: Patients, peak: np.ndarray) -> np.ndarray:
    """Return the covariance of the hyperparameters at their mode; where there is no curvature, that of the prior."""
    values, vectors = np.linalg.eigh(np.asarray(_curvature(patients, jnp.asarray(peak))))
    widest = float(np.max(np.append(patients.widths, 1.0)))
    return (vectors / np.maximum(values, widest**-2)) @ vectors.T


def sample(
    patients: Patients, peak: np.ndarray, count: int, chance: np.random.Generator, rounds: int = 6
) -> Hyperparameters:
    """Draw from the posterior of the hyperparameters by adaptive importance sampling around its mode.

    Parameters
    ----------
    patients : Patients
    peak : (hyperparameter,) the mode
    count : int
        Draws returned, resampled by their weights.
    chance : numpy Generator
    rounds : int
        Most refits of the proposal.

    Returns
    -------
    Hyperparameters
    """
    proposal = _around(patients, peak)
    best = None
    for turn in range(rounds):
        points = proposal.draw(count, chance)
        densities = np.asarray(_densities(patients, jnp.asarray(points)))
        weights, khat = smooth(densities - proposal.log_density(points))
        shares = np.exp(weights)
        if best is None or turn < 2 or khat < best[2]:
            best = (points, shares, khat)
        if turn >= 2 and khat < 0.5:
            break
        if 1.0 / np.sum(shares**2) > 3 * patients.size:
            chosen = np.searchsorted(np.cumsum(shares), (np.arange(200) + 0.5) / 200 * shares.sum()).clip(
                max=len(points) - 1
            )
            proposal = kernels(points[chosen], np.full(200, 1 / 200), 0.7, 10.0)
    if best is None:
        raise ValueError("Hyperparameters need at least one round of importance sampling.")
    points, shares, khat = best
    ticks = (np.arange(count) + chance.uniform()) / count * shares.sum()
    chosen = chance.permutation(np.searchsorted(np.cumsum(shares), ticks).clip(max=len(points) - 1))
    coefficients, spreads = jax.vmap(patients.split)(jnp.asarray(points[chosen]))
    ess = min(float(count), float(1.0 / np.sum(shares**2)))
    return Hyperparameters(np.asarray(coefficients), np.asarray(spreads), khat, ess)


def _around(patients: Patients, peak: np.ndarray) -> Mixture:
    """Return a heavy-tailed normal around the mode."""
    return Mixture(peak[None], 1.1 * np.linalg.cholesky(spread_at(patients, peak)), np.ones(1), 5.0)
