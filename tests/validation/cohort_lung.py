"""A recruitment model with what other virtual lungs taught: how its constants vary, and what its form misses.

The constants depend on PEEP and tidal volume (of the form, not of the lung), and what the form misses goes with the
constants; so both are learned together, as a joint normal given the settings.
"""

import dataclasses
import types
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.scipy.stats import norm
from jaxtyping import Array

import twinprob as tp
from tests.multi_unit_lung import POINTS, TOP, staircases
from twinprob.dynamics.precision import in_double_precision
from twinprob.models.respiratory import Recruitment

FIRST, LUNGS = 20_000, 520  # numbers of the lungs learned from: none of them is forecast
HIGHEST = 90.0  # cmH2O; a lung that needs more than that at some step is not ventilated so
SCALES = (0.5, 1.0, 0.05)  # cmH2O, cmH2O, L: how closely plateau, half-way pressure and volumes are to be met
STAIRS = 2.0 * np.arange(7)  # cmH2O above the baseline
INFLATED, DEFLATED = np.arange(4, 17, 2), np.arange(0, 13, 2)  # points of the loop that are read, in sixteenths
NAMES = ("capacity", "fullness", "opening_pressure", "opening_spread", "hysteresis", "opening_share")
CONSTANTS, MISSED = 8, 8  # the six, the share a slow inflation opens, the hysteresis of a slow loop; components
SCORES = tuple(f"score_{k}" for k in range(1, CONSTANTS + MISSED + 1))
LOOP = tuple(f"{way}_{k}" for way, points in (("up", INFLATED), ("down", DEFLATED)) for k in points)
PARTS = {
    "plateau": slice(0, 7),
    "half": slice(7, 8),
    "recruited": slice(8, 14),
    "loop": slice(14, 28),
}
_SCORE = "setting: a score of the learned distribution"


def setting(number: int) -> tuple[float, float]:
    """Return the baseline PEEP (cmH2O) and the tidal volume (L) a virtual lung is given."""
    chance = np.random.default_rng(number)
    return float(chance.integers(5, 16)), 0.42 + 0.03 * float(chance.integers(-2, 7))


def constants(at) -> dict:
    """Return the six constants from their unconstrained values."""
    positive = dict(zip(NAMES[:2] + NAMES[3:5], jnp.exp(jnp.stack([at[0], at[1], at[3], at[4]])), strict=True))
    return {**positive, "opening_pressure": at[2], "opening_share": jax.nn.sigmoid(at[5])}


def settings(base, tidal):
    """Return what the learned means are linear in, (..., 4)."""
    away = (base - 10.0) / 3.0
    return jnp.stack([jnp.ones_like(away), away, away**2, (tidal - 0.48) / 0.08 + 0.0 * away], axis=-1)


class Learned(NamedTuple):
    """A joint normal of constants and components of what the form misses, given the settings.

    `slopes` (4, score) on `settings`, `factor` (score, score) of the covariance, `loadings` (component, reading) and
    `center` (reading,) of what is missed, `rest` (reading,) root mean square of what even the components miss; readings
    as in `PARTS`, cmH2O and L.
    """

    slopes: tuple
    factor: tuple
    loadings: tuple
    center: tuple
    rest: tuple

    def size(self, part: str, place: int = 0) -> float:
        """Return the root mean square of what is missed in one reading of a part."""
        return self.rest[PARTS[part]][place]


def _with_scores(space: dict) -> None:
    """Declare the scores, standard normal beforehand."""
    space["__annotations__"] = dict.fromkeys(SCORES, float)
    space["__module__"], space["__doc__"] = __name__, "Recruitment with scores."
    space |= {name: tp.parameter(dist.Normal(0.0, 1.0), unit="1", source=_SCORE) for name in SCORES}


Scored = types.new_class("Scored", (Recruitment,), exec_body=_with_scores)


def _with_volumes(space: dict) -> None:
    """Declare each point of a slow loop as an output: it is read once, and the form misses each by its own measure."""
    space["__annotations__"] = dict.fromkeys(LOOP, Array)
    space["__module__"], space["__doc__"] = __name__, "With the volumes of a slow loop above that at PEEP."
    noise = tp.Observation(tp.Gaussian(additive=0.01))
    space |= {name: tp.quantity("L", "volume of a slow loop", noise=noise) for name in LOOP}


WithLoop = types.new_class("Output", (Recruitment.Output,), exec_body=_with_volumes)


class CohortLung(Scored):  # type: ignore[misc, valid-type]
    """Recruitment with scores in place of its constants, what its form misses added, and a slow loop."""

    Output = WithLoop

    baseline: float = tp.parameter(
        dist.Normal(10.0, 3.0), known=True, unit="cmH2O", source="setting: PEEP of the first hour"
    )
    learned: Learned = eqx.field(static=True, default=Learned((), (), (), (), ()))

    def scores(self, tidal):
        """Return constants and components, unconstrained, that the scores mean at these settings."""
        told = self.learned
        own = jnp.stack([jnp.asarray(getattr(self, name), float) for name in SCORES])
        return settings(self.baseline, tidal) @ jnp.asarray(told.slopes) + jnp.asarray(told.factor) @ own

    def lung(self, at) -> Recruitment:
        """Return the patient with these constants."""
        same = {"resistive_pressure": self.resistive_pressure, "recruitment_time": self.recruitment_time}
        return dataclasses.replace(Recruitment(), **constants(at), **same)

    def initial(self, inputs):
        """As the lung."""
        return self.lung(self.scores(inputs.tidal_volume)).initial(inputs)

    def vector_field(self, time, state, inputs):
        """As the lung."""
        return self.lung(self.scores(inputs.tidal_volume)).vector_field(time, state, inputs)

    def output(self, state, inputs):
        """As the lung, with what its form misses at this rise of PEEP and at each point of a loop."""
        at, told = self.scores(inputs.tidal_volume), self.learned
        lung = self.lung(at)
        out = lung.output(state, inputs)
        off = jnp.asarray(told.center) + at[CONSTANTS:] @ jnp.asarray(told.loadings)
        steps = jnp.minimum(jnp.maximum(inputs.peep - self.baseline, 0.0), STAIRS[-1]) / STAIRS[1]
        between = jnp.maximum(1.0 - jnp.abs(steps - jnp.arange(STAIRS.size)), 0.0)  # linear from step to step
        plateau = out.plateau_pressure + between @ off[PARTS["plateau"]]
        recruited = between[1:] @ off[PARTS["recruited"]]
        loop = _limbs(lung, at, state.open_fraction, inputs.peep) + off[PARTS["loop"]]
        own = {field.name: getattr(out, field.name) for field in dataclasses.fields(out)}
        own |= {
            "plateau_pressure": plateau,
            "peak_pressure": plateau + self.resistive_pressure,
            "driving_pressure": plateau - inputs.peep,
            "half_volume_pressure": out.half_volume_pressure + off[PARTS["half"]][0],
            "end_expiratory_volume": out.end_expiratory_volume + recruited,
            **dict(zip(LOOP, loop, strict=True)),
        }
        return self.Output(**own)


def _limbs(lung, at, x, peep):
    """Return the volumes above that at PEEP at the points of a slow loop to 40 cmH2O, (point,)."""
    share, closing = jax.nn.sigmoid(at[6]), lung.hysteresis * jnp.exp(at[7])
    way = (TOP - peep) / POINTS
    rising, falling = peep + way * jnp.asarray(INFLATED, float), peep + way * jnp.asarray(DEFLATED, float)

    def part(P):
        return norm.cdf((P - lung.opening_pressure) / lung.opening_spread)

    most = x + share * (1.0 - x) * part(TOP)
    up = lung._volume(rising, x + share * (1.0 - x) * part(rising))
    down = lung._volume(falling, x + (most - x) * part(falling + closing))
    return jnp.concatenate([up, down]) - lung._volume(peep, x)


def model(learned: Learned, baseline: float) -> CohortLung:
    """Return the model of a lung at its baseline PEEP."""
    fixed = {name: getattr(Recruitment(), name) for name in NAMES}
    return dataclasses.replace(CohortLung(), learned=learned).fix(**fixed, baseline=baseline)


@in_double_precision
def learn(numbers=range(FIRST, FIRST + LUNGS)) -> Learned:
    """Fit the form to whole staircases and loops of other lungs by least squares; return how what is found varies."""
    bases, tidals = (np.array(values) for values in zip(*map(setting, numbers), strict=True))
    truth = staircases(list(numbers), bases, tidals, looped=True)
    kept = truth["plateau"].max(axis=1) < HIGHEST
    seen = np.stack([truth[name] for name in ("plateau", "half", "end_expiratory_volume")], axis=1)[kept]
    loops = np.concatenate([truth["inflation"][:, INFLATED - 1], truth["deflation"][:, DEFLATED]], axis=1)[kept]
    base, tidal = bases[kept], tidals[kept]
    found, off, loop_off = (np.asarray(x) for x in _least_squares(*map(jnp.asarray, (seen, loops, base, tidal))))
    recruited = off[:, 2, 1:] - off[:, 2, :1]
    missed = -np.column_stack([off[:, 0], off[:, 1, 0], recruited, loop_off])
    return _distribution(found, missed, np.asarray(settings(jnp.asarray(base), jnp.asarray(tidal))))


def _distribution(found: np.ndarray, missed: np.ndarray, known: np.ndarray) -> Learned:
    """Return the joint normal of constants (lung, 8) and of what is missed (lung, 28), given the settings."""
    scale = np.array([0.3] * 8 + [0.02] * 20)  # cmH2O, L: what is a large miss
    center = missed.mean(axis=0)
    away = (missed - center) / scale
    loadings = np.linalg.svd(away, full_matrices=False)[2][:MISSED]
    scores = np.column_stack([found, away @ loadings.T])
    rest = np.sqrt(np.mean((away - away @ loadings.T @ loadings) ** 2, axis=0)) * scale
    slopes = np.linalg.lstsq(known, scores, rcond=None)[0]
    factor = np.linalg.cholesky(np.cov((scores - known @ slopes).T) + 1e-6 * np.eye(scores.shape[1]))
    return Learned(
        slopes=_rows(slopes),
        factor=_rows(factor),
        loadings=_rows(loadings * scale),
        center=tuple(center.tolist()),
        rest=tuple(rest.tolist()),
    )


def _rows(matrix: np.ndarray) -> tuple:
    """Return a matrix as a tuple of its rows, which a static field can hold."""
    return tuple(map(tuple, matrix.tolist()))


def _curves(at, base, tidal):
    """Return plateau, half-way pressure and end-expiratory volume of the settled lung, (3, level), and its loop."""
    lung = dataclasses.replace(Recruitment(), **constants(at))

    def one(peep):
        inputs = lung.Input(peep, tidal, jnp.asarray(20.0))
        out = lung.output(lung.initial(inputs), inputs)
        return jnp.stack([out.plateau_pressure, out.half_volume_pressure, out.end_expiratory_volume])

    return jax.vmap(one)(base + jnp.asarray(STAIRS)).T, _limbs(lung, at, lung._held(base), base)


def _weak() -> np.ndarray:
    """Return mean and three times the sd of the declared priors on the unconstrained scale, (2, 8)."""
    middle = [np.log(2.5), np.log(20.0), 14.0, np.log(7.0), np.log(8.0), -0.4, 1.0, 0.0]
    return np.array([middle, 3.0 * np.array([0.4, 0.3, 6.0, 0.25, 0.4, 1.0, 1.5, 0.33])])


@eqx.filter_jit
def _least_squares(seen, loops, bases, tidals):
    """Return the constants of each lung (lung, 8) and what is left of stairs and loop, by Levenberg's method."""
    weak = jnp.asarray(_weak())

    def one(seen, loop, base, tidal):
        def residuals(at):
            stairs, limbs = _curves(at, base, tidal)
            off = (stairs - seen) / jnp.asarray(SCALES)[:, None]
            return jnp.concatenate([off.ravel(), (limbs - loop) / SCALES[2], (at - weak[0]) / weak[1]])

        def step(_, carry):
            at, damping = carry
            off, slopes = residuals(at), jax.jacfwd(residuals)(at)
            normal = slopes.T @ slopes
            tried = at - jnp.linalg.solve(normal + damping * jnp.diag(jnp.diag(normal)), slopes.T @ off)
            better = jnp.sum(residuals(tried) ** 2) < jnp.sum(off**2)
            return jnp.where(better, tried, at), jnp.where(better, damping / 3.0, 4.0 * damping)

        at, _ = jax.lax.fori_loop(0, 60, step, (weak[0], 0.1))
        stairs, limbs = _curves(at, base, tidal)
        return at, stairs - seen, limbs - loop

    return jax.vmap(one)(seen, loops, bases, tidals)
