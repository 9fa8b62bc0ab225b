"""Modes of a joint density by Gauss–Newton from dispersed starts."""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.linalg import cho_factor, cho_solve

from ..joint import Joint
from .importance import densities_at

_LONGEST_STEP = 2.0
_SAME = 1.0
_SCREENED = 500


@dataclass(frozen=True)
class Split:
    """Which unknowns are what.

    Attributes
    ----------
    path : (unknown,) bool, innovations of varying parameters
    scale : (unknown,) bool, volatilities and noise sizes: never maximized together with a path
    """

    path: np.ndarray
    scale: np.ndarray


def split(joint: Joint) -> Split:
    """Tell paths and scales from the other unknowns."""
    path, scale = np.zeros(joint.size, bool), np.zeros(joint.size, bool)
    layout = joint.layout()
    for name, _ in joint.knots:
        path[layout[f"{name}_innovations"]] = True
        if f"{name}_volatility" in layout:
            scale[layout[f"{name}_volatility"]] = True
    for output, observation in joint.observations.items():
        for name in observation.noise.unknowns():
            scale[layout[f"{output}_{name}"]] = True
    return Split(path, scale)


@dataclass(frozen=True)
class Mode:
    """A maximum of the posterior density over everything but the scales, which stay at their prior's center.

    `position` (unknown,), `density` log p(position, data), `curvature` (unknown, unknown), Gauss–Newton.
    """

    position: np.ndarray
    density: float
    curvature: np.ndarray

    @property
    def log_evidence(self) -> float:
        """Laplace's approximation of the log integral around this mode."""
        return float(
            self.density + 0.5 * len(self.position) * np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(self.curvature)[1]
        )


def quadratic(joint: Joint, position):
    """Return log density, its gradient and the Gauss–Newton curvature at a position.

    Returns
    -------
    value : (), gradient : (unknown,), curvature : (unknown, unknown) positive definite
    """

    def means_of(q):
        means, solved = joint.means(joint.constrain(q))
        return means, (means, solved)

    jacobian, (means, solved) = jax.jacfwd(means_of, has_aux=True)(position)

    def likelihood(means, q):
        return sum((jnp.sum(x) for x in joint.log_likelihood(joint.constrain(q), means).values()), jnp.zeros(()))

    # Sites are scalars or independent innovations, so the prior's curvature is a diagonal: one product with ones.
    prior, (prior_gradient, prior_bend) = joint.log_prior(position), _slope_and_bend(joint.log_prior, position)
    value, (by_mean, by_noise) = jax.value_and_grad(likelihood, argnums=(0, 1))(means, position)
    bend = _slope_and_bend(lambda m: likelihood(m, position), means)[1]
    gradient = prior_gradient + by_noise
    curvature = jnp.diag(jnp.clip(-prior_bend, 0.0) - _noise_bend(joint, likelihood, means, position))
    measured = joint.measured(means, joint.constrain(position))
    for name, slope in jacobian.items():
        variance = measured[name].observation.noise.distribution(means[name]).variance
        weights = jnp.where(bend[name] < 0, -bend[name], jnp.where(by_mean[name] == 0, 0.0, 1.0 / variance))
        gradient = gradient + slope.T @ by_mean[name]
        curvature = curvature + (slope * weights[:, None]).T @ slope
    total = prior + value
    fine = solved & jnp.isfinite(total) & jnp.all(jnp.isfinite(gradient)) & jnp.all(jnp.isfinite(curvature))
    identity = jnp.eye(joint.size)
    curvature = jnp.where(identity > 0, jnp.clip(curvature, 1e-8), curvature)
    return jnp.where(fine, total, -jnp.inf), jnp.where(fine, gradient, 0.0), jnp.where(fine, curvature, identity)


def _slope_and_bend(function, point):
    """Return gradient and the Hessian's row sums: its diagonal, where elements do not interact."""
    return jax.jvp(jax.grad(function), (point,), (jax.tree.map(jnp.ones_like, point),))


def _noise_bend(joint, likelihood, means, position):
    """Return the curvature that unknown noise sizes add on the diagonal, never upward."""
    total = jnp.zeros(joint.size)
    gradient = jax.grad(likelihood, argnums=1)
    for output, observation in joint.observations.items():
        for field in observation.noise.unknowns():
            place = joint.layout()[f"{output}_{field}"]
            direction = jnp.zeros(joint.size).at[place].set(1.0)
            bend = jax.jvp(lambda q: gradient(means, q), (position,), (direction,))[1]
            total = total + jnp.minimum(bend, 0.0) * direction
    return total


def climb(joint: Joint, start, moving, iterations, tolerance):
    """Climb by damped Gauss–Newton steps along the moving unknowns.

    Parameters
    ----------
    joint : Joint
    start : (unknown,)
    moving : (unknown,) 1.0 where the unknown may move, 0.0 where it is held
    iterations : () int, most evaluations
    tolerance : () stop when a step gains less

    Returns
    -------
    position : (unknown,), value : (), gradient : (unknown,), curvature : (unknown, unknown) there
    """

    def propose(gradient, curvature, damping):
        free = curvature * moving[:, None] * moving + jnp.diag(damping * jnp.diag(curvature) + (1.0 - moving))
        step = cho_solve(cho_factor(free), gradient * moving)
        # Shortened as a whole: clipping its elements would turn it into another direction, often a bad one.
        step = step * jnp.minimum(1.0, _LONGEST_STEP / jnp.maximum(jnp.max(jnp.abs(step)), 1e-300))
        step = jnp.where(jnp.all(jnp.isfinite(step)), step, 0.0)
        return step, jnp.dot(gradient * moving, step) - 0.5 * step @ curvature @ step

    def body(carry):
        position, step, _, best, damping, count, _ = carry
        # The first pass takes no step, so that this is the only place where the model is compiled.
        there = quadratic(joint, position + step)
        better = there[0] > best[0]
        damping = jnp.where(better, jnp.maximum(0.1 * damping, 1e-9), 10.0 * damping)
        position = jnp.where(better, position + step, position)
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), there, best)
        step, promised = propose(best[1], best[2], damping)
        done = (promised < tolerance) | ~jnp.isfinite(best[0]) | (damping > 1e8)
        return position, step, promised, best, damping, count + 1, done

    size = start.shape[0]
    best = (jnp.asarray(-jnp.inf, start.dtype), jnp.zeros(size), jnp.eye(size))
    begin = (start, jnp.zeros(size), jnp.zeros(()), best, jnp.asarray(1e-2, start.dtype), 0, jnp.asarray(False))
    position, step, promised, best, *_ = lax.while_loop(lambda c: (c[5] < iterations) & ~c[6], body, begin)
    # The last step is taken on trust: what it promises is below the tolerance.
    trusted = promised < tolerance
    return position + jnp.where(trusted, step, 0.0), best[0] + jnp.where(trusted, promised, 0.0), best[1], best[2]


@eqx.filter_jit
def _climb_all(joint, starts, moving, iterations, tolerance):
    return jax.vmap(lambda q: climb(joint, q, moving, iterations, tolerance))(starts)


BATCH = 8


def climb_from(joint: Joint, starts: np.ndarray, moving: np.ndarray, iterations: int, tolerance: float):
    """Climb from several starts, always in batches of one size so that a single program serves every stage.

    Returns
    -------
    positions : (start, unknown), values : (start,), gradients : (start, unknown)
    curvatures : (start, unknown, unknown)
    """
    count = len(starts)
    padded = np.concatenate([starts, np.repeat(starts[-1:], -count % BATCH, axis=0)])
    parts = [
        _climb_all(joint, part, moving.astype(float), np.asarray(iterations), np.asarray(tolerance))
        for part in padded.reshape(-1, BATCH, padded.shape[1])
    ]
    return tuple(np.concatenate([np.asarray(part[i]) for part in parts])[:count] for i in range(4))


@eqx.filter_jit
def _prior_draws(joint, key, count: int):
    return jax.vmap(joint.draw_prior)(jax.random.split(key, count))


def starting_points(joint: Joint, count: int, parts: Split, *, key) -> tuple[np.ndarray, np.ndarray]:
    """Return dispersed positions, the prior's center first, and the prior's standard deviations.

    Paths start nearly flat and scales at their prior's center.
    """
    draws = np.asarray(_prior_draws(joint, key, _SCREENED))
    center = np.where(parts.path, 0.0, np.median(draws, axis=0))
    others = np.where(parts.path, 0.2 * draws, np.where(parts.scale, center, draws))
    # Half of the starts are the most probable of many prior draws, the other half any: the main mode and the others.
    densities = densities_at(joint, others)
    order = np.argsort(-np.where(np.isfinite(densities), densities, -np.inf), kind="stable")
    promising = others[order[: (count - 1) // 2]]
    return np.concatenate([center[None], promising, others[: count - 1 - len(promising)]]), np.std(draws, axis=0)


def find_modes(
    joint: Joint, starts: int, iterations: int, *, key, keep: float = 12.0, most: int = 6
) -> tuple[list[Mode], list[Mode], np.ndarray]:
    """Find the distinct modes; those within `keep` nats of the best evidence matter.

    Returns
    -------
    modes : list of Mode, most probable first
    minor : list of Mode, the others
    spread : (unknown,) prior standard deviations on the unconstrained scale

    Raises
    ------
    RuntimeError
        If the model can be solved at none of the starting points.
    """
    parts = split(joint)
    begin, spread = starting_points(joint, starts, parts, key=key)
    found = climb_from(joint, begin, ~parts.scale, iterations, 1e-7)
    modes: list[Mode] = []
    for position, value, _, curvature in sorted(zip(*found, strict=True), key=lambda climbed: -climbed[1]):
        if np.isfinite(value) and not any(_same(m, position) for m in modes):
            modes.append(Mode(position, float(value), curvature))
    if not modes:
        raise RuntimeError(
            f"The model could not be solved at any of {starts} starting points; check the units of the record's inputs "
            "and the priors (`twinprob.simulate` shows one patient)."
        )
    best = max(m.log_evidence for m in modes)
    modes = sorted(modes, key=lambda m: -m.log_evidence)
    likely = [m for m in modes if m.log_evidence > best - keep][:most]
    return likely, modes[len(likely) :][:most], spread


def _same(mode: Mode, position) -> bool:
    """Two climbs ended at one mode: their distance is small in posterior standard deviations."""
    shift = position - mode.position
    return bool(shift @ mode.curvature @ shift < _SAME)
