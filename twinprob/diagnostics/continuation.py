"""Follow the best fit while one unknown or one prediction is moved away from it, many at once."""

import math
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.linalg import cho_factor, cho_solve

from ..dynamics.programs import compiled
from ..dynamics.segments import bucket
from ..inference.joint import Joint
from ..inference.linearize import border_index, linearize, prior_moments
from ..inference.methods.climb import FIRST_DAMPING, climb, quadratic, split
from ..inference.methods.modes import climb_from
from ..modeling.measured import Measured
from ..modeling.observation import Gaussian, Observation

_STRIDE = 0.4  # steps of the root of the deviance, of which 1.96 is the 95 % limit
_LEAP = 3.0
_PIN = 0.3
_ITERATIONS = 25
_TOLERANCE = 1e-6
_RESTARTS = 4
_BETTER = 0.02


@dataclass(frozen=True)
class Course:
    """Where the best fit went; each profile has two lanes, one to either side.

    Attributes
    ----------
    best, coordinates : (profile,), (lane, point)
        Unconstrained value of what was moved; a prediction in its own unit.
    log_likelihoods : (lane, point), NaN where a lane had ended
    positions : (lane, point, unknown)
    position : (unknown,) of the best fit
    log_likelihood : float, of the best fit
    """

    best: np.ndarray
    coordinates: np.ndarray
    log_likelihoods: np.ndarray
    positions: np.ndarray
    position: np.ndarray
    log_likelihood: float

    def joined(self, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return coordinates (point,), deviance (point,) and positions (point, unknown) of one profile, in order."""
        count = len(self.best)
        down, up = (np.flatnonzero(np.isfinite(self.log_likelihoods[lane])) for lane in (i, count + i))
        parts = [
            (array[i][down][::-1], middle, array[count + i][up])
            for array, middle in (
                (self.coordinates, self.best[i : i + 1]),
                (self.log_likelihoods, np.array([self.log_likelihood])),
                (self.positions, self.position[None]),
            )
        ]
        coordinates, likelihoods, positions = (np.concatenate(part) for part in parts)
        return coordinates, 2.0 * (self.log_likelihood - likelihoods), positions


class Lanes(eqx.Module):
    """One side of one profile each.

    Attributes
    ----------
    place : (lane,) int, unknown that is moved, -1 for a prediction
    output, index : (lane,) int, which output at which segment border is predicted
    side : (lane,) -1.0 or 1.0
    first, most, limit : (lane,) first and longest step, and how far to go
    pin : (lane,) standard deviation of the imagined measurement
    """

    place: np.ndarray
    output: np.ndarray
    index: np.ndarray
    side: np.ndarray
    first: np.ndarray
    most: np.ndarray
    limit: np.ndarray
    pin: np.ndarray


def follow(density: Joint, chosen, asked, begin: np.ndarray, *, reach, widen, points: int, stop: float) -> Course:
    """Climb to the best fit, then away from it along every profile.

    Parameters
    ----------
    density : Joint
        With priors widened `widen`-fold.
    chosen : sequence of str
        Sites of single unknowns.
    asked : sequence of (output, time in min)
    begin : (unknown,)
    reach : float
        How far to go, in prior standard deviations.
    widen : float
    points : int
        Most steps to either side.
    stop : float
        Deviance at which a lane ends.
    """
    parts = split(density)
    moving = ~parts.scale if parts.path.any() else np.ones(density.size, bool)
    traced = density.traced()
    for _ in range(_RESTARTS):
        found, values, *_ = climb_from(traced, begin[None], moving, 100, 1e-10)
        position, value = found[0], float(values[0])
        lanes = plan(density, chosen, asked, position, reach, widen)
        best, coordinates, likelihoods, positions = jax.tree.map(
            np.asarray, _follow(traced, _padded(lanes), position, np.asarray(value), moving.astype(float), points, stop)
        )
        if not np.nanmax(likelihoods, initial=-np.inf) > value + _BETTER:
            break
        begin = positions[np.unravel_index(np.nanargmax(likelihoods), likelihoods.shape)]
    count = len(lanes.place)
    return Course(best[: count // 2], coordinates[:count], likelihoods[:count], positions[:count], position, value)


def plan(density: Joint, chosen, asked, position, reach: float, widen: float) -> Lanes:
    """Choose the steps of every lane from the first-order answer at the best fit."""
    times = np.array([time for _, time in asked])
    linear = linearize(density, position, times)
    scale = np.sqrt(prior_moments(density)[1])
    information = np.zeros((density.size, density.size))
    for name, slopes in linear.slopes.items():
        information += np.einsum("mai,mab,mbj->ij", slopes, linear.weights[name], slopes)
    inner = np.linalg.inv(np.eye(density.size) + scale[:, None] * information * scale)
    covariance = scale[:, None] * inner * scale
    place = [density.layout()[name].start for name in chosen]
    far = [scale[p] / widen for p in place]
    near = [min(math.sqrt(covariance[p, p]), wide) for p, wide in zip(place, far, strict=True)]
    for i, (name, _) in enumerate(asked):
        gradient = linear.outlook[name][i] * (linear.future[name][i] if linear.logarithmic[name] else 1.0)
        near.append(math.sqrt(gradient @ covariance @ gradient))
        far.append(2.0 * near[-1])
    outputs = tuple(density.model.quantities(density.model.Output))
    which = [0] * len(chosen) + [outputs.index(name) for name, _ in asked]
    index = [0] * len(chosen) + [int(i) for i in border_index(density, times)]
    place += [-1] * len(asked)
    steps, wide = np.array(near), np.array(far)
    twice: dict[str, Any] = {"place": place, "output": which, "index": index}
    twice |= {"first": _STRIDE * steps, "most": 0.5 * wide, "limit": reach * wide, "pin": _PIN * steps}
    sides = np.repeat([-1.0, 1.0], len(place))
    return Lanes(side=sides, **{name: np.tile(np.asarray(values), 2) for name, values in twice.items()})


def _padded(lanes: Lanes) -> Lanes:
    """Repeat the last lane, so that few numbers of lanes need a compilation of their own."""
    pad = bucket(len(lanes.place)) - len(lanes.place)
    return jax.tree.map(lambda x: np.pad(x, (0, pad), mode="edge"), lanes)


class Pinned(eqx.Module):
    """A joint density with one imagined measurement of an output, which counts where `on`; `climb` takes it as one."""

    joint: Joint
    output: Any
    index: Any
    target: Any
    sd: Any
    on: Any

    size = property(lambda self: self.joint.size)
    observations = property(lambda self: self.joint.observations)
    past = property(lambda self: self.joint.past)
    known = property(lambda self: self.joint.known)

    def layout(self):
        """As for `Joint`."""
        return self.joint.layout()

    def sizes(self):
        """As for `Joint`."""
        return self.joint.sizes()

    def places(self):
        """As for `Joint`."""
        return self.joint.places()

    def constrain(self, position):
        """As for `Joint`."""
        return self.joint.constrain(position)

    def log_prior(self, position):
        """As for `Joint`."""
        return self.joint.log_prior(position)

    def means(self, values):
        """As for `Joint`; the imagined measurement has no name."""
        density = self.joint
        states, solved, rows = density.states(density.paths(values), density.first(values))
        means = density.at_measurements(states, rows)
        return {**means, "": _predicted(density, states, rows, self.output, self.index)[None]}, solved

    def log_likelihood(self, values, means):
        """As for `Joint`."""
        seen = {name: mean for name, mean in means.items() if name}
        imagined = jnp.where(self.on, -0.5 * ((means[""] - self.target) / self.sd) ** 2, 0.0)
        return {**self.joint.log_likelihood(values, seen), "": imagined}

    def measured(self, means, values):
        """As for `Joint`."""
        seen = {name: mean for name, mean in means.items() if name}
        pin = Measured(Observation(Gaussian(additive=self.sd)), means[""], jnp.zeros(1, int), jnp.ones(1, bool))
        return {**self.joint.measured(seen, values), "": pin}


def _predicted(density: Joint, states, rows, output, index):
    """Return one output at one segment border."""
    ahead = density.outputs(states, rows, index[None])
    return jnp.stack([getattr(ahead, name)[0] for name in density.model.quantities(density.model.Output)])[output]


@compiled
def _follow(density: Joint, lanes: Lanes, begin, value, moving, points: int, stop):
    """Return best coordinates (lane,), coordinates, log likelihoods (lane, point), positions (lane, point, unknown)."""

    def one(lane: Lanes):
        prediction = lane.place < 0
        free = moving * (jnp.arange(density.size) != lane.place)

        def coordinate(position):
            values = density.constrain(position)
            states, _, rows = density.states(density.paths(values), density.first(values))
            return jnp.where(
                prediction, _predicted(density, states, rows, lane.output, lane.index), position[lane.place]
            )

        center = coordinate(begin)

        def step(carry, _):
            position, here, curvature, root, stride, going = carry
            stride = jnp.clip(stride, 0.0, jnp.minimum(lane.most, lane.limit - jnp.abs(here - center)))
            shift = lane.side * stride
            guess = position + jnp.where(prediction, 0.0, shift) * _response(curvature, lane.place, free)
            pinned = Pinned(density, lane.output, lane.index, here + shift, lane.pin, prediction)
            budget = jnp.where(going, _ITERATIONS, 0)
            new, total, bend = _climbed(pinned, guess, free, budget)
            there = coordinate(new)
            penalty = jnp.where(prediction, 0.5 * ((there - pinned.target) / lane.pin) ** 2, 0.0)
            likelihood = jnp.where(going & jnp.isfinite(total), total + penalty, jnp.nan)
            deviance = 2.0 * (value - likelihood)
            climbed = jnp.sqrt(jnp.maximum(deviance, 0.0))
            # A step that leaps, or ends where the model cannot be solved, is taken again, a quarter as long.
            rash = ~(climbed - root < _LEAP * _STRIDE) & (stride > 1e-3 * lane.first)
            factor = jnp.clip(_STRIDE / jnp.maximum(climbed - root, 0.05), 0.5, 2.0)
            inside = jnp.abs(there - center) < 0.999 * lane.limit
            ahead = (new, there, bend, climbed, factor * stride, jnp.isfinite(deviance) & (deviance < stop) & inside)
            again = (position, here, curvature, root, 0.25 * stride, going)
            chosen = jax.tree.map(lambda a, b: jnp.where(rash, a, b), again, ahead)
            kept = jax.tree.map(lambda a, b: jnp.where(going, a, b), chosen, carry)
            return kept, (there, jnp.where(rash, jnp.nan, likelihood), new)

        start = (begin, center, first_bend, jnp.zeros(()), lane.first, jnp.asarray(True))
        return center, *lax.scan(step, start, None, length=points)[1]

    first_bend = quadratic(density, begin)[2]
    return jax.vmap(one)(lanes)


def _climbed(density, start, moving, iterations):
    """Climb until a step gains less than the tolerance; return position, value and curvature."""

    def body(carry):
        count, (position, step, best, damping), _, _ = carry
        *state, promised, done = climb(density, position, step, best, damping, moving, _TOLERANCE)
        return count + 1, tuple(state), promised, done

    size = start.shape[0]
    best = (jnp.asarray(-jnp.inf, start.dtype), jnp.zeros(size), jnp.eye(size))
    state = (start, jnp.zeros(size), best, jnp.asarray(FIRST_DAMPING, start.dtype))
    begin = (jnp.asarray(0), state, jnp.zeros(()), jnp.asarray(False))
    _, (position, step, best, _), promised, _ = lax.while_loop(lambda c: (c[0] < iterations) & ~c[3], body, begin)
    # The last step is taken on trust: what it promises is below the tolerance.
    trusted = promised < _TOLERANCE
    return position + jnp.where(trusted, step, 0.0), best[0] + jnp.where(trusted, promised, 0.0), best[2]


def _response(curvature, place, free):
    """Return how the other unknowns follow, to first order, when the unknown at `place` moves by one."""
    inner = curvature * free[:, None] * free + jnp.diag(1.0 - free)
    follow = -cho_solve(cho_factor(inner), curvature[:, place] * free)
    follow = jnp.where(jnp.all(jnp.isfinite(follow)), follow, 0.0)
    return follow + (jnp.arange(free.shape[0]) == place)
