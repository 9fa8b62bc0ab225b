"""Climbs up a joint density by damped Gauss–Newton steps."""

from dataclasses import dataclass
from dataclasses import field as declared

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_factor, cho_solve

from ..innovations import innovation_rows
from ..joint import Joint
from ..unknowns import AbstractDensity

_LONGEST_STEP = 2.0
FIRST_DAMPING = 1e-2


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


def split(joint: AbstractDensity) -> Split:
    """Tell paths and scales from the other unknowns."""
    layout = joint.layout()
    size = max((place.stop for place in layout.values()), default=0)
    path, scale = np.zeros(size, bool), np.zeros(size, bool)
    for name in joint.innovations():
        path[layout[name]] = True
    for name, held in joint.scales().items():
        scale[layout[name]] = held
    return Split(path, scale)


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

    def likelihood(means, q, outputs=None):
        parts = joint.log_likelihood(joint.constrain(q), means)
        return sum((jnp.sum(x) for name, x in parts.items() if outputs is None or name in outputs), jnp.zeros(()))

    measured = joint.measured(means, joint.constrain(position))
    lasting = tuple(name for name, one in measured.items() if one.observation.drift is not None)
    # Elsewhere measurements do not interact, and the Hessian of the means is a diagonal.
    alone = lambda means, q: likelihood(means, q, [name for name in measured if name not in lasting])  # noqa: E731

    prior, (prior_gradient, prior_bend) = joint.log_prior(position), _slope_and_bend(joint.log_prior, position)
    value, (by_mean, by_noise) = jax.value_and_grad(likelihood, argnums=(0, 1))(means, position)
    bend = _slope_and_bend(lambda m: alone(m, position), means)[1]
    gradient = prior_gradient + by_noise
    curvature = _prior_curvature(joint, prior_bend) - jnp.diag(_noise_bend(joint, alone, means, position))
    for name, slope in jacobian.items():
        gradient = gradient + slope.T @ by_mean[name]
        if name not in measured:
            continue  # slopes widen the noise; like Gauss–Newton's other second-order terms, their bend is left out
        if name in lasting:
            rows, weights = innovation_rows(joint, name, means, slope, position)
            curvature = curvature + jnp.einsum("tai,ta,taj->ij", rows, weights, rows)
            continue
        variance = measured[name].observation.noise.distribution(means[name]).variance
        weights = jnp.where(bend[name] < 0, -bend[name], jnp.where(by_mean[name] == 0, 0.0, 1.0 / variance))
        curvature = curvature + (slope * weights[:, None]).T @ slope
    total = prior + value
    fine = solved & jnp.isfinite(total) & jnp.all(jnp.isfinite(gradient)) & jnp.all(jnp.isfinite(curvature))
    identity = jnp.eye(joint.size)
    curvature = jnp.where(identity > 0, jnp.clip(curvature, 1e-8), curvature)
    return jnp.where(fine, total, -jnp.inf), jnp.where(fine, gradient, 0.0), jnp.where(fine, curvature, identity)


def _prior_curvature(joint: Joint, bend):
    """Return the prior's curvature from its row sums `bend` (unknown,).

    Sites are scalars or independent innovations, so that it is a diagonal, but for the constants that a past speaks of.
    """
    diagonal = jnp.clip(-bend, 0.0)
    if joint.known is None:
        return jnp.diag(diagonal)
    places = joint.places()
    return jnp.diag(diagonal.at[places].set(0.0)).at[np.ix_(places, places)].add(joint.known.precision())


def _slope_and_bend(function, point):
    """Return gradient and the Hessian's row sums: its diagonal, where elements do not interact."""
    return jax.jvp(jax.grad(function), (point,), (jax.tree.map(jnp.ones_like, point),))


def _noise_bend(joint, likelihood, means, position):
    """Return the curvature that unknown noise sizes add on the diagonal, never upward."""
    total = jnp.zeros(joint.size)
    gradient = jax.grad(likelihood, argnums=1)
    layout = joint.layout()
    for name in joint.sizes():
        direction = jnp.zeros(joint.size).at[layout[name]].set(1.0)
        bend = jax.jvp(lambda q: gradient(means, q), (position,), (direction,))[1]
        total = total + jnp.minimum(bend, 0.0) * direction
    return total


def climb(joint: Joint, position, step, best, damping, moving, tolerance):
    """Try a step of a damped Gauss–Newton climb and plan the next one, inside compiled code; see `Climber`.

    Parameters
    ----------
    joint : Joint
    position, step : (unknown,), where the climb stands and where it steps; a climb begins with a step of zero
    best : value (), gradient (unknown,), curvature (unknown, unknown) at `position`; minus infinity at the beginning
    damping : ()
    moving : (unknown,) 1.0 where the unknown may move, 0.0 where it is held
    tolerance : () stop when a step gains less

    Returns
    -------
    position, step, best, damping : for the next call
    promised : () what the next step gains if the density is as it looks from here
    done : () bool
    """
    # The first call takes no step, so that this is the only place where the model is compiled.
    there = quadratic(joint, position + step)
    better = there[0] > best[0]
    damping = jnp.where(better, jnp.maximum(0.1 * damping, 1e-9), 10.0 * damping)
    position = jnp.where(better, position + step, position)
    value, gradient, curvature = jax.tree.map(lambda new, old: jnp.where(better, new, old), there, best)
    free = curvature * moving[:, None] * moving + jnp.diag(damping * jnp.diag(curvature) + (1.0 - moving))
    step = cho_solve(cho_factor(free), gradient * moving)
    # Shortened as a whole: clipping its elements would turn it into another direction, often a bad one.
    step = step * jnp.minimum(1.0, _LONGEST_STEP / jnp.maximum(jnp.max(jnp.abs(step)), 1e-300))
    step = jnp.where(jnp.all(jnp.isfinite(step)), step, 0.0)
    promised = jnp.dot(gradient * moving, step) - 0.5 * step @ curvature @ step
    done = (promised < tolerance) | ~jnp.isfinite(value) | (damping > 1e8)
    return position, step, (value, gradient, curvature), damping, promised, done


@dataclass(eq=False)
class Climber:
    """A climb by damped Gauss–Newton steps under way, outside compiled code; see `climb`.

    Attributes
    ----------
    position, step : (unknown,), where it stands and where it steps next; it begins with a step of zero
    moving : (unknown,) bool, the others are held
    tolerance : float, it ends when a step would gain less
    remaining : int, most evaluations still to come
    value, gradient (unknown,), curvature (unknown, unknown) : at `position`
    promised : float, what the next step gains if the density is as it looks from here
    """

    position: np.ndarray
    moving: np.ndarray
    tolerance: float
    remaining: int
    step: np.ndarray
    value: float = -np.inf
    gradient: np.ndarray = declared(default_factory=lambda: np.empty(0))
    curvature: np.ndarray = declared(default_factory=lambda: np.empty(0))
    damping: float = FIRST_DAMPING
    promised: float = 0.0

    def take(self, value, gradient, curvature) -> None:
        """Go where the step led, if it led up, and plan the next step; the arguments are what `quadratic` says there.

        This is small linear algebra of one matrix: it runs outside compiled code, where two threads that factorize at
        the same time can wait for each other forever.
        """
        better = value > self.value
        self.damping = max(0.1 * self.damping, 1e-9) if better else 10.0 * self.damping
        if better or not self.curvature.size:
            self.position = self.position + self.step if better else self.position
            self.value, self.gradient, self.curvature = float(value), gradient, curvature
        self.step, self.promised = self._planned()
        done = self.promised < self.tolerance or not np.isfinite(self.value) or self.damping > 1e8
        self.remaining = 0 if done else self.remaining - 1

    def _planned(self) -> tuple[np.ndarray, float]:
        from scipy.linalg.lapack import dposv  # here because importing it takes long

        step, moving, curvature = np.zeros(len(self.position)), self.moving, self.curvature
        held = np.where(moving, self.damping * np.diagonal(curvature), 1.0)
        free = np.where(moving[:, None] & moving, curvature, 0.0) + np.diag(held)
        _, solved, failed = dposv(free, np.where(moving, self.gradient, 0.0), lower=1)
        if not failed and np.all(np.isfinite(solved)):
            # Shortened as a whole: clipping its elements would turn it into another direction, often a bad one.
            step = solved * min(1.0, _LONGEST_STEP / max(np.max(np.abs(solved), initial=0.0), 1e-300))
        return step, float(np.where(moving, self.gradient, 0.0) @ step - 0.5 * step @ curvature @ step)

    def end(self):
        """Return position, value, gradient and curvature where the climb ended.

        The last step is taken on trust if it promises less than the tolerance.
        """
        if not self.promised < self.tolerance:
            return self.position, self.value, self.gradient, self.curvature
        return self.position + self.step, self.value + self.promised, self.gradient, self.curvature
