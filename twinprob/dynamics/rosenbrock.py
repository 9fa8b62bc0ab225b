"""A linearly implicit method with steps that adapt: one Jacobian a step, and nothing to iterate."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from ..patient.require import number, require_settings, whole
from .integrators import AbstractIntegrator

_GAMMA = 0.25
_AT = (0.0, 0.386, 0.21, 0.63, 1.0, 1.0)
_BY_TIME = (0.25, -0.1043, 0.1035, -0.0362, 0.0, 0.0)
# RODAS of Hairer and Wanner [1], in the form that needs no product with the Jacobian.
_STAGES = (
    (),
    (1.544,),
    (0.9466785280815826, 0.2557011698983284),
    (3.314825187068521, 2.896124015972201, 0.9986419139977817),
    (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950),
    (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950, 1.0),
)
_COUPLINGS = (
    (),
    (-5.6688,),
    (-2.430093356833875, -0.2063599157091915),
    (-0.1073529058151375, -9.594562251023355, -20.47028614809616),
    (7.496443313967647, -10.24680431464352, -33.99990352819905, 11.70890893206160),
    (8.083246795921522, -7.981132988064893, -31.52159432874371, 16.31930543123136, -6.058818238834054),
)
_SHRINK, _GROW, _SAFE, _ORDER = 0.1, 5.0, 0.9, 4


class _Stand(NamedTuple):
    """Where a solve stands: time passed, state, next step and steps taken."""

    passed: Array
    state: Array
    step: Array
    taken: Array


class Rosenbrock(AbstractIntegrator):
    """Rosenbrock steps of fourth order that adapt, stable at any step: for stiff models.

    Parameters
    ----------
    rtol, atol : float
        Error of one step that is allowed, relative to the state and absolute.
    max_steps : int
        Steps per segment after which the solve counts as failed.

    Notes
    -----
    RODAS of Hairer and Wanner: L-stable and stiffly accurate. A step takes one Jacobian and one factorization,
    where the implicit Runge–Kutta methods of diffrax iterate at every stage.

    References
    ----------
    .. [1] Hairer E, Wanner G. Solving ordinary differential equations II: stiff and differential-algebraic problems.
       2nd ed. Springer 1996, section VI.4. doi:10.1007/978-3-642-05221-7
    """

    rtol: float = eqx.field(static=True, default=1e-6)
    atol: float = eqx.field(static=True, default=1e-9)
    max_steps: int = eqx.field(static=True, default=2000)

    def __check_init__(self):
        """Refuse settings outside their range."""
        require_settings(self, rtol=number(0.0, 0.1, above=True), atol=number(0.0), max_steps=whole(1, 10_000_000))

    def cross(self, field, state, start, length, substeps):  # noqa: D102
        def going(now: _Stand):
            return (now.passed < length) & (now.taken < self.max_steps)

        def advance(now: _Stand) -> _Stand:
            h = jnp.minimum(now.step, length - now.passed)
            ended, last = _stages(field, start + now.passed, now.state, h)
            allowed = self.atol + self.rtol * jnp.maximum(jnp.abs(now.state), jnp.abs(ended))
            error = jnp.sqrt(jnp.mean((last / allowed) ** 2))
            fine = jnp.isfinite(error) & jnp.all(jnp.isfinite(ended))
            error = lax.stop_gradient(jnp.where(fine, error, jnp.inf))
            taken = error <= 1.0
            factor = jnp.clip(_SAFE * jnp.maximum(error, 1e-10) ** (-1.0 / _ORDER), _SHRINK, _GROW)
            nearly = h >= (length - now.passed) * (1.0 - 1e-12)
            passed = jnp.where(taken, jnp.where(nearly, length, now.passed + h), now.passed)
            return _Stand(passed, jnp.where(taken, ended, now.state), h * factor, now.taken + 1)

        first = _Stand(jnp.zeros_like(length), state, self._first_step(field, state, start, length), jnp.zeros((), int))
        last = lax.while_loop(going, advance, first)
        return jnp.where(last.passed >= length, last.state, jnp.nan)

    def _first_step(self, field, state, start, length):
        """Return a step over which the state moves by about as much as a hundredth of its size."""
        allowed = self.atol / self.rtol + jnp.abs(state)
        rate = jnp.sqrt(jnp.mean((field(start, state) / allowed) ** 2))
        return lax.stop_gradient(jnp.minimum(length, 0.01 / jnp.maximum(jnp.where(rate < jnp.inf, rate, 0.0), 1e-300)))


def _stages(field, time, state, h):
    """Return the state after one step, and its last stage: the estimate of the error."""
    slope_of_time = jax.jvp(lambda t: field(t, state), (time,), (jnp.ones_like(time),))[1]
    h = jnp.maximum(h, 1e-300)
    matrix = jnp.eye(len(state)) / (_GAMMA * h) - jax.jacfwd(lambda y: field(time, y))(state)
    fine = jnp.all(jnp.isfinite(matrix))
    inverse = jnp.linalg.inv(jnp.where(fine, matrix, jnp.eye(len(state))))
    found: list[Array] = []
    for stage, coupling, at, by_time in zip(_STAGES, _COUPLINGS, _AT, _BY_TIME, strict=True):
        there = state + sum((a * k for a, k in zip(stage, found, strict=True)), jnp.zeros_like(state))
        coupled = sum((c * k for c, k in zip(coupling, found, strict=True)), jnp.zeros_like(state)) / h
        right = field(time + at * h, there) + coupled + h * by_time * slope_of_time
        found.append(inverse @ right)
    return jnp.where(fine, there + found[-1], jnp.nan), found[-1]
