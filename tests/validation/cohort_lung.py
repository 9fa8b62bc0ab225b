"""A recruitment model whose prior was learned, correlations included, on other virtual lungs."""

import dataclasses
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import twinprob as tp
from tests.multi_unit_lung import staircases
from twinprob.models.respiratory import Recruitment

FIRST, LUNGS = 10_000, 120  # numbers of the lungs learned from: none of them is forecast
HIGHEST = 90.0  # cmH2O; a lung that needs more than that at some step is not ventilated so
SCALES = (0.5, 1.0, 0.05)  # cmH2O, cmH2O, L: how closely plateau, half-way pressure and volume are to be met
NAMES = ("capacity", "fullness", "opening_pressure", "opening_spread", "hysteresis", "opening_share")
_SCORE = "setting: a score of the learned distribution"


def setting(number: int) -> tuple[float, float]:
    """Return the baseline PEEP (cmH2O) and the tidal volume (L) a virtual lung is given."""
    chance = np.random.default_rng(number)
    return float(chance.integers(5, 16)), 0.42 + 0.03 * float(chance.integers(-2, 7))


def constants(at) -> dict:
    """Return the six constants from their unconstrained values."""
    positive = dict(zip(NAMES[:2] + NAMES[3:5], jnp.exp(jnp.stack([at[0], at[1], at[3], at[4]])), strict=True))
    return {**positive, "opening_pressure": at[2], "opening_share": jax.nn.sigmoid(at[5])}


class Learned(NamedTuple):
    """Mean (6,) and covariance factor (6, 6) of the unconstrained constants, and what the form misses at baseline.

    `misfit` is the root mean square of plateau and half-way pressure at the baseline PEEP, cmH2O.
    """

    mean: tuple
    factor: tuple
    misfit: tuple


class CohortLung(Recruitment):
    """Recruitment with six scores, standard normal beforehand, in place of its six constants."""

    first: float = tp.parameter(dist.Normal(0.0, 1.0), unit="1", source=_SCORE)
    second: float = tp.parameter(dist.Normal(0.0, 1.0), unit="1", source=_SCORE)
    third: float = tp.parameter(dist.Normal(0.0, 1.0), unit="1", source=_SCORE)
    fourth: float = tp.parameter(dist.Normal(0.0, 1.0), unit="1", source=_SCORE)
    fifth: float = tp.parameter(dist.Normal(0.0, 1.0), unit="1", source=_SCORE)
    sixth: float = tp.parameter(dist.Normal(0.0, 1.0), unit="1", source=_SCORE)
    mean: tuple = eqx.field(static=True, default=(0.0,) * 6)
    factor: tuple = eqx.field(static=True, default=((0.0,) * 6,) * 6)

    def lung(self) -> Recruitment:
        """Return the patient with the constants that the scores mean."""
        scores = jnp.stack([self.first, self.second, self.third, self.fourth, self.fifth, self.sixth])
        at = jnp.asarray(self.mean) + jnp.asarray(self.factor) @ scores
        return dataclasses.replace(self, **constants(at))

    def initial(self, inputs):
        """As the lung."""
        return Recruitment.initial(self.lung(), inputs)

    def vector_field(self, time, state, inputs):
        """As the lung."""
        return Recruitment.vector_field(self.lung(), time, state, inputs)

    def output(self, state, inputs):
        """As the lung."""
        return Recruitment.output(self.lung(), state, inputs)


def model(learned: Learned) -> CohortLung:
    """Return the model with the learned prior."""
    fixed = {name: getattr(Recruitment(), name) for name in NAMES}
    return dataclasses.replace(CohortLung(), mean=learned.mean, factor=learned.factor).fix(**fixed)


def learn(numbers=range(FIRST, FIRST + LUNGS)) -> Learned:
    """Fit the model to whole staircases of other lungs by least squares, and return how its constants vary."""
    bases, tidals = (np.array(values) for values in zip(*map(setting, numbers), strict=True))
    truth = staircases(list(numbers), bases, tidals)
    kept = truth["plateau"].max(axis=1) < HIGHEST
    seen = np.stack([truth[name] for name in ("plateau", "half", "end_expiratory_volume")], axis=1)[kept]
    peeps = bases[kept, None] + 2.0 * np.arange(seen.shape[2])
    weak = _declared()
    found, misfits = _least_squares(jnp.asarray(seen), jnp.asarray(peeps), jnp.asarray(tidals[kept]), weak)
    mean, covariance = np.mean(found, axis=0), np.cov(np.asarray(found).T)
    factor = np.linalg.cholesky(covariance + 1e-6 * np.eye(6))
    misfit = np.sqrt(np.mean(np.asarray(misfits)[:, :2, 0] ** 2, axis=0))
    return Learned(tuple(map(float, mean)), tuple(tuple(map(float, row)) for row in factor), tuple(map(float, misfit)))


def _declared() -> np.ndarray:
    """Return mean and three times the sd of the declared priors on the unconstrained scale, (2, 6)."""
    middle = [np.log(2.5), np.log(20.0), 14.0, np.log(7.0), np.log(8.0), -0.4]
    return np.array([middle, 3.0 * np.array([0.4, 0.3, 6.0, 0.25, 0.4, 1.0])])


def _curves(at, peeps, tidal):
    """Return plateau, half-way pressure and end-expiratory volume of the settled lung, (3, level)."""
    lung = dataclasses.replace(Recruitment(), **constants(at))

    def one(peep):
        inputs = lung.Input(peep, tidal, jnp.asarray(20.0))
        out = lung.output(lung.initial(inputs), inputs)
        return jnp.stack([out.plateau_pressure, out.half_volume_pressure, out.end_expiratory_volume])

    return jax.vmap(one)(peeps).T


@eqx.filter_jit
def _least_squares(seen, peeps, tidals, weak):
    """Return the constants of each lung (lung, 6) and what is left (lung, 3, level), by Levenberg's method."""

    def one(seen, peeps, tidal):
        def residuals(at):
            off = (_curves(at, peeps, tidal) - seen) / jnp.asarray(SCALES)[:, None]
            return jnp.concatenate([off.ravel(), (at - weak[0]) / weak[1]])

        def step(_, carry):
            at, damping = carry
            off, slopes = residuals(at), jax.jacfwd(residuals)(at)
            normal = slopes.T @ slopes
            tried = at - jnp.linalg.solve(normal + damping * jnp.diag(jnp.diag(normal)), slopes.T @ off)
            better = jnp.sum(residuals(tried) ** 2) < jnp.sum(off**2)
            return jnp.where(better, tried, at), jnp.where(better, damping / 3.0, 4.0 * damping)

        at, _ = jax.lax.fori_loop(0, 60, step, (jnp.asarray(weak[0]), 0.1))
        return at, _curves(at, peeps, tidal) - seen

    return jax.vmap(one)(seen, peeps, tidals)
