"""Ways to cross one segment: the only place where steps are taken."""

from collections.abc import Callable

import diffrax
import equinox as eqx
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ..patient.require import number, require_kind, require_settings, whole


class AbstractIntegrator(eqx.Module):
    """How one segment is crossed."""

    def cross(self, field: Callable, state: Float[Array, " state"], start, length, substeps: int):
        """Return the state at the end of a segment of this length, for the derivative `field(time, state)`."""
        raise NotImplementedError


class FixedStep(AbstractIntegrator):
    """Classical Runge–Kutta steps of fourth order, equal within a segment.

    Parameters
    ----------
    refine : int
        Steps per step the model asks for.
    """

    refine: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        """Refuse settings outside their range."""
        require_settings(self, refine=whole(1, 10_000))

    def cross(self, field, state, start, length, substeps):  # noqa: D102
        steps = max(1, substeps * self.refine)
        h = length / steps

        def step(y, i):
            t = start + i * h
            k1 = field(t, y)
            k2 = field(t + 0.5 * h, y + 0.5 * h * k1)
            k3 = field(t + 0.5 * h, y + 0.5 * h * k2)
            k4 = field(t + h, y + h * k3)
            return y + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4), None

        # A loop, not an unrolled body: a third of the compile time and of the Jacobians' run time.
        return lax.scan(step, state, jnp.arange(steps, dtype=state.dtype))[0]


class Adaptive(AbstractIntegrator):
    """Adaptive steps by diffrax: for stiff models, for accuracy on demand, and as the oracle of `FixedStep`.

    Parameters
    ----------
    rtol, atol : float
        Tolerances of the step-size controller.
    solver : diffrax.AbstractSolver
        `Tsit5` by default; for stiff models `diffrax.Kvaerno5(root_finder=optimistix.Newton(rtol=1e-8, atol=1e-10))`.
    max_steps : int
        Steps per segment after which the solve counts as failed.
    """

    rtol: float = eqx.field(static=True, default=1e-6)
    atol: float = eqx.field(static=True, default=1e-8)
    solver: diffrax.AbstractSolver = eqx.field(default_factory=diffrax.Tsit5)
    max_steps: int = eqx.field(static=True, default=4096)

    def __check_init__(self):
        """Refuse settings outside their range."""
        require_settings(self, rtol=number(0.0, 0.1, above=True), atol=number(0.0), max_steps=whole(1, 10_000_000))
        require_kind("solver", self.solver, diffrax.AbstractSolver)

    def cross(self, field, state, start, length, substeps):  # noqa: D102
        moving = length > 0
        safe = jnp.where(moving, length, 1.0)
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, y, args: field(t, y)),
            self.solver,
            start,
            start + safe,
            dt0=safe / substeps,
            y0=state,
            stepsize_controller=diffrax.PIDController(rtol=self.rtol, atol=self.atol),
            adjoint=diffrax.ForwardMode(),
            max_steps=self.max_steps,
            throw=False,
        )
        ended = jnp.where(solution.result == diffrax.RESULTS.successful, solution.ys[-1], jnp.nan)
        return jnp.where(moving, ended, state)


class Halved(FixedStep):
    """Half as many steps, for the error estimate."""

    def cross(self, field, state, start, length, substeps):  # noqa: D102
        return super().cross(field, state, start, length, max(1, substeps // 2))
