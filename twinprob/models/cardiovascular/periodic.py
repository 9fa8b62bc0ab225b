"""The periodic steady state of a beating model, found directly: all parts of a beat at once, by Newton's method."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jaxtyping import Array

_COARSE = 7  # steps a part in the first guess and in the Jacobians of the search; no fewer keep the valves stable
_MOST = 8.0  # Jacobians
_HELD = 12.0  # steps with one Jacobian
_ABREAST = 10  # lanes searched side by side; more would not fit into the cache
_SLOW = 0.9  # a step that shrinks by less than this asks for a new Jacobian: one costs as much as seven steps


class Orbit(NamedTuple):
    """A periodic steady state at the borders of the parts of one beat.

    Attributes
    ----------
    states : (part, state)
    error : () largest distance between the end of a part and the beginning of the next, in units of the states
    """

    states: Array
    error: Array


class Scheme(NamedTuple):
    """How one beat is cut.

    Attributes
    ----------
    parts : int, crossed side by side
    steps : int, Runge-Kutta steps in each
    beats : int, coarse beats that make the first guess
    """

    parts: int = 25
    steps: int = 10
    beats: int = 2


def runge_kutta(field: Callable, state, begin, h, steps: int, keep: bool = False):
    """Cross a stretch in classical Runge-Kutta steps; `field(time, state)`.

    Parameters
    ----------
    field : callable
    state : (state,)
    begin : () time of the state
    h : () length of a step
    steps : int
    keep : bool
        Return the states at the beginning of every step too.

    Returns
    -------
    state : (state,), and (step, state) where they are kept
    """

    def step(y, i):
        t = begin + i * h
        k1 = field(t, y)
        k2 = field(t + 0.5 * h, y + 0.5 * h * k1)
        k3 = field(t + 0.5 * h, y + 0.5 * h * k2)
        k4 = field(t + h, y + h * k3)
        return y + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4), (y if keep else None)

    end, path = lax.scan(step, state, jnp.arange(steps, dtype=state.dtype))
    return (end, path) if keep else end


def _across(field, scheme: Scheme, patient, period, states):
    """Carry the states at the borders, (part, state), each to the end of its part."""
    h = period / (scheme.parts * scheme.steps)
    begins = period * jnp.arange(scheme.parts) / scheme.parts
    return jax.vmap(lambda y, t: runge_kutta(partial(field, patient), y, t, h, scheme.steps))(states, begins)


def _guess(field, scheme: Scheme, patient, period, state):
    """Return the states at the borders of the last of a few coarse beats."""
    h = period / (scheme.parts * _COARSE)

    def beat(_, carry):
        state, _ = carry
        end, path = runge_kutta(partial(field, patient), state, 0.0, h, scheme.parts * _COARSE, keep=True)
        return end, path[::_COARSE]

    borders = jnp.zeros((scheme.parts, state.shape[0]), state.dtype)
    return lax.fori_loop(0, scheme.beats, beat, (state, borders))[1]


def _jacobians(field, scheme, patient, period, states):
    """Return the Jacobians of the parts' ends by their beginnings, (part, state, state)."""
    h = period / (scheme.parts * scheme.steps)
    begins = period * jnp.arange(scheme.parts) / scheme.parts
    end = jax.jacfwd(lambda y, t: runge_kutta(partial(field, patient), y, t, h, scheme.steps))
    return jax.vmap(end)(states, begins)


def _around(slopes, kept):
    """Return the function that solves d_{i+1} = F_i d_i + gap_i around the beat for (gaps, missing).

    `missing` is added to the conserved sum at the beginning. The map of a beat keeps the sum of the states marked in
    `kept`, so that its Jacobian has an eigenvalue of one; adding the outer product of that sum with itself takes the
    place of the lost equation.
    """
    identity = jnp.eye(kept.shape[0], dtype=slopes.dtype)
    whole = lax.scan(lambda product, F: (F @ product, None), identity, slopes)[0]
    filler = kept / jnp.sum(kept)
    inverse = jnp.linalg.inv(identity - whole + jnp.outer(filler, kept))

    def follow(d, part):
        F, gap = part
        return F @ d + gap, d

    def solve(gaps, missing):
        total = lax.scan(follow, jnp.zeros_like(gaps[0]), (slopes, gaps))[0]
        return lax.scan(follow, inverse @ (total + filler * missing), (slopes, gaps))[1]

    return solve


def _abreast(search):
    """Let a search that is batched take a few lanes at a time, so that only their neighbors wait for the slow ones.

    `search` returns one array; nothing is derived through it.
    """

    def wrapped(*arguments):
        leaves, structure = jax.tree.flatten(arguments)

        @custom_vmap
        def rows(*leaves):
            count = leaves[0].shape[0]
            size = max(1, min(count, _ABREAST))
            extra = -count % size
            folded = [jnp.concatenate([x, *[x[-1:]] * extra]).reshape(-1, size, *x.shape[1:]) for x in leaves]
            few = jax.vmap(lambda *one: search(*jax.tree.unflatten(structure, one)))
            if count <= 1:  # nothing to share lanes with
                return few(*leaves)
            found = lax.map(lambda lanes: few(*lanes), folded)
            return found.reshape(-1, *found.shape[2:])[:count]

        @rows.def_vmap
        def batched(size, moving, *leaves):
            whole = [x if b else jnp.broadcast_to(x, (size, *x.shape)) for x, b in zip(leaves, moving, strict=True)]
            each = whole[0].shape[1]
            found = rows(*(x.reshape(size * each, *x.shape[2:]) for x in whole))
            return found.reshape(size, each, *found.shape[1:]), True

        return rows(*(x[None] for x in leaves))[0]

    return wrapped


def _search(field, scheme: Scheme, patient, period, total, start, kept):
    """Return the states of the periodic steady state at the borders by Newton's method, each Jacobian held for long."""
    held = jnp.sum(kept * start)
    begin = jnp.where(kept > 0, start * total / held, start)
    states = _guess(field, scheme, patient, period, begin)
    scale = 1.0 + jnp.max(jnp.abs(states), axis=0)
    fine = jnp.sqrt(jnp.finfo(states.dtype).eps)

    def newton(carry):
        count, states, _ = carry
        solve = _around(_jacobians(field, scheme._replace(steps=_COARSE), patient, period, states), kept)

        def step(carry):
            tries, states, _, before = carry
            gaps = _across(field, scheme, patient, period, states) - jnp.roll(states, -1, axis=0)
            change = solve(gaps, total - jnp.sum(kept * states[0]))
            change = jnp.where(jnp.all(jnp.isfinite(change)), change, gaps)
            largest = jnp.max(jnp.abs(change) / scale)
            return tries + 1.0, states + change * jnp.minimum(1.0, 0.5 / largest), largest, before

        def useful(carry):
            tries, _, moved, before = carry
            return (tries < 1.0) | (tries < _HELD) & (moved > fine) & (moved < _SLOW * before)

        def shift(carry):
            tries, states, moved, _ = carry
            return step((tries, states, moved, moved))

        far = jnp.full((), jnp.inf, states.dtype)
        _, states, moved, _ = lax.while_loop(useful, shift, (jnp.zeros_like(far), states, far, far))
        return count + 1.0, states, moved

    def unfinished(carry):
        count, _, moved = carry
        return (count < _MOST) & (moved > fine)

    begin_ = (jnp.zeros((), states.dtype), states, jnp.full((), jnp.inf, states.dtype))
    return lax.while_loop(unfinished, newton, begin_)[1]


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def orbit(field: Callable, scheme: Scheme, patient, period, total, start, kept) -> Orbit:
    """Find the periodic steady state of a driven model that keeps the sum of some states.

    All parts of the beat are crossed side by side (multiple shooting), so that one Newton step takes the time of one
    part. Derivatives by patient, period and total come from the implicit function theorem, in forward and in reverse.

    Parameters
    ----------
    field : callable
        `field(patient, time, state)`, the derivative of the states; the drive has the given period.
    scheme : Scheme
    patient : tree of arrays
    period : ()
    total : ()
        What the sum of the kept states shall be.
    start : (state,)
        Where the first coarse beat begins; its kept states are scaled to the total.
    kept : (state,)
        1 for states whose sum the field keeps, else 0.

    Returns
    -------
    Orbit
    """
    states = _abreast(partial(_search, field, scheme))(patient, period, total, start, kept)
    gaps = _across(field, scheme, patient, period, states) - jnp.roll(states, -1, axis=0)
    return Orbit(states, jnp.max(jnp.abs(gaps)))


@orbit.defjvp
def _orbit_jvp(field, scheme, primals, tangents):
    patient, period, total, start, kept = primals
    found = orbit(field, scheme, patient, period, total, start, kept)
    states = found.states
    slopes = _jacobians(field, scheme, patient, period, states)
    _, gaps = jax.jvp(
        lambda patient, period: _across(field, scheme, patient, period, states), (patient, period), tangents[:2]
    )
    change = _around(slopes, kept)(gaps, tangents[2])
    return found, Orbit(change, jnp.zeros_like(found.error))
