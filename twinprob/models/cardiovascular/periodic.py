"""The periodic steady state of a beating model, found directly: all parts of a beat at once, by Newton's method."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

_COARSE = 7  # steps a part in the beats that make a first guess; no fewer keep the valves stable
_MOST = 15.0  # Newton steps


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
    steps: int = 15
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
    """Return the ends of the parts and their Jacobians by the beginnings, (part, state, state)."""
    h = period / (scheme.parts * scheme.steps)
    begins = period * jnp.arange(scheme.parts) / scheme.parts

    def one(y, t):
        def end(y):
            out = runge_kutta(partial(field, patient), y, t, h, scheme.steps)
            return out, out

        slopes, out = jax.jacfwd(end, has_aux=True)(y)
        return out, slopes

    return jax.vmap(one)(states, begins)


def _correct(slopes, gaps, missing, kept):
    """Solve d_{i+1} = F_i d_i + gap_i around the beat, with `missing` of the conserved sum added at its beginning.

    The map of a beat keeps the sum of the states marked in `kept`, so that its Jacobian has an eigenvalue of one;
    adding the outer product of that sum with itself takes the place of the lost equation.
    """

    def chain(carry, part):
        product, sum_ = carry
        F, gap = part
        return (F @ product, F @ sum_ + gap), None

    size = kept.shape[0]
    identity = jnp.eye(size, dtype=gaps.dtype)
    (whole, total), _ = lax.scan(chain, (identity, jnp.zeros(size, gaps.dtype)), (slopes, gaps))
    filler = kept / jnp.sum(kept)
    first = jnp.linalg.solve(identity - whole + jnp.outer(filler, kept), total + filler * missing)

    def follow(d, part):
        F, gap = part
        return F @ d + gap, d

    return lax.scan(follow, first, (slopes, gaps))[1]


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
    held = jnp.sum(kept * start)
    begin = jnp.where(kept > 0, start * total / held, start)
    states = _guess(field, scheme, patient, period, begin)
    scale = 1.0 + jnp.max(jnp.abs(states), axis=0)
    fine = jnp.sqrt(jnp.finfo(states.dtype).eps)  # one more step would halve the exponent

    def unfinished(carry):
        count, _, moved = carry
        return (count < _MOST) & (moved > fine)

    def newton(carry):
        count, states, _ = carry
        ends, slopes = _jacobians(field, scheme, patient, period, states)
        gaps = ends - jnp.roll(states, -1, axis=0)
        change = _correct(slopes, gaps, total - jnp.sum(kept * states[0]), kept)
        change = jnp.where(jnp.all(jnp.isfinite(change)), change, gaps)
        largest = jnp.max(jnp.abs(change) / scale)
        return count + 1.0, states + change * jnp.minimum(1.0, 0.5 / largest), largest

    begin_ = (jnp.zeros((), states.dtype), states, jnp.full((), jnp.inf, states.dtype))
    states = lax.while_loop(unfinished, newton, begin_)[1]
    gaps = _across(field, scheme, patient, period, states) - jnp.roll(states, -1, axis=0)
    return Orbit(states, jnp.max(jnp.abs(gaps)))


@orbit.defjvp
def _orbit_jvp(field, scheme, primals, tangents):
    patient, period, total, start, kept = primals
    found = orbit(field, scheme, patient, period, total, start, kept)
    states = found.states
    _, slopes = _jacobians(field, scheme, patient, period, states)
    _, gaps = jax.jvp(
        lambda patient, period: _across(field, scheme, patient, period, states), (patient, period), tangents[:2]
    )
    change = _correct(slopes, gaps, tangents[2], kept)
    return found, Orbit(change, jnp.zeros_like(found.error))
