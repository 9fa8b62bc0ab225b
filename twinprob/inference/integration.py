"""How a density is integrated where nobody says: measured at draws from the prior, and judged at the posterior."""

import dataclasses
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from ..dynamics.integrators import AbstractIntegrator, Adaptive, FixedStep
from ..dynamics.programs import compiled
from ..dynamics.rosenbrock import Rosenbrock
from ..modeling.model import AbstractModel
from .joint import Joint

# All are settings, not published.
_DRAWS = 64
_OFF = 0.1  # noise standard deviations that a step may move an output
_FEW = 0.05  # share of the prior that may be moved by more: the posterior is judged on its own
_REFINED = (1, 2, 4)
_TIGHTER = 100.0
_OWN = f"{__name__.split('.')[0]}."


class Tried(NamedTuple):
    """How an integrator did at draws from the prior.

    Attributes
    ----------
    solved : (draw,) bool
    finer_solved : (draw,) bool, with every step halved, or tighter tolerances
    off : (draw,) largest move of an output when every step is made finer, in noise standard deviations
    """

    solved: np.ndarray
    finer_solved: np.ndarray
    off: np.ndarray

    @property
    def fine(self) -> bool:
        """Whether no draw failed and few moved."""
        return bool(self.solved.all()) and float(np.mean(self.off > _OFF)) <= _FEW


def chosen_integrator(density: Joint) -> tuple[AbstractIntegrator, str]:
    """Return how to integrate a density of an author's own model, and why; the package's models have tested steps.

    Parameters
    ----------
    density : Joint
        With `FixedStep()`.

    Returns
    -------
    integrator : AbstractIntegrator
        `FixedStep()` where no draw from the prior fails and finer steps move few of them; else finer steps where these
        do; else `Rosenbrock()`, where that solves more.
    why : str
        Empty where nothing but the model's own step was chosen.
    """
    if not density.data or is_tested(density.model):
        return FixedStep(), ""
    first = tried = _tried(density, FixedStep())
    for refine in _REFINED:
        tried = first if refine == 1 else _tried(density, FixedStep(refine=refine))
        if tried.fine:
            return FixedStep(refine=refine), "" if refine == 1 else _said(first, FixedStep(refine=refine), tried)
        if np.mean(~tried.finer_solved) > _FEW:
            break  # no few times finer step will do
    stiff = Rosenbrock()
    tried = _tried(density, stiff)
    better = tried.solved.sum() > first.solved.sum() or (
        tried.solved.sum() == first.solved.sum() and np.mean(tried.off > _OFF) < np.mean(first.off > _OFF)
    )
    return (stiff, _said(first, stiff, tried)) if better else (FixedStep(), "")


def is_tested(model: AbstractModel) -> bool:
    """Whether every part of a model is the package's own: the tests measure the accuracy of their steps."""
    parts = (getattr(model, field.name) for field in dataclasses.fields(model))
    return type(model).__module__.startswith(_OWN) and all(is_tested(p) for p in parts if isinstance(p, AbstractModel))


def integration_error(density: Joint, positions: np.ndarray) -> float:
    """Return the largest move of any mean, in noise standard deviations, when 16 draws are integrated more finely.

    Infinite where a draw is solved with the integrator and not with a finer one.
    """
    if not density.data:
        return 0.0
    chosen_draws = positions[np.arange(16) * len(positions) // 16]
    solved, finer_solved, off = map(np.asarray, _compared(density, _finer(density), chosen_draws))
    return float(np.max(np.where(solved & finer_solved, off, np.where(solved, np.inf, 0.0))))


def _tried(density: Joint, integrator: AbstractIntegrator) -> Tried:
    with jax.enable_x64(True):
        there = dataclasses.replace(density, integrator=integrator)
        keys = jax.random.split(jax.random.key(0), _DRAWS)
        return Tried(*map(np.asarray, _at_prior(there, _finer(there), keys)))


def _finer(density: Joint) -> Joint:
    """Return the density with every step halved, or with tolerances a hundred times tighter."""
    own = density.integrator
    finer: AbstractIntegrator
    if isinstance(own, FixedStep):
        finer = FixedStep(refine=2 * own.refine)
    elif isinstance(own, Adaptive | Rosenbrock):
        rtol, atol = own.rtol / _TIGHTER, own.atol / _TIGHTER
        finer = dataclasses.replace(own, rtol=rtol, atol=atol, max_steps=16 * own.max_steps)
    else:  # one of the caller's own, which says nothing of its accuracy: against the most accurate there is
        finer = Rosenbrock(rtol=1e-9, atol=1e-12, max_steps=20_000)
    return eqx.tree_at(lambda d: d.integrator, density, finer)


@compiled
def _at_prior(density, finer, keys):
    return jax.lax.map(lambda key: _one_compared(density, finer, density.draw_prior(key)), keys, batch_size=16)


@compiled
def _compared(density, finer, positions):
    return jax.vmap(lambda position: _one_compared(density, finer, position))(positions)


def _one_compared(density, finer, position):
    """Return whether a position is solved, whether a finer integration solves it, and how far outputs move."""
    values = density.constrain(position)
    (means, solved), (exact, also) = density.means(values), finer.means(values)
    shifts = []
    for name, measured in density.measured(exact, values).items():
        noise = measured.observation.noise.distribution(exact[name])
        relative = isinstance(noise, dist.LogNormal)  # whose variance may be infinite
        sd = jnp.abs(exact[name]) * jnp.clip(noise.scale, 0.01, 1.0) if relative else jnp.sqrt(noise.variance)
        shifts.append(jnp.max(jnp.where(measured.present, jnp.abs(means[name] - exact[name]) / sd, 0.0)))
    return solved, also, jnp.max(jnp.stack(shifts))


def _said(first: Tried, taken: AbstractIntegrator, tried: Tried) -> str:
    """Say what was chosen, and why."""
    count = len(first.solved)
    failed, moved = int(np.sum(~first.solved)), int(np.sum(first.solved & ~(first.off <= _OFF)))
    what = f"`FixedStep(refine={taken.refine})`" if isinstance(taken, FixedStep) else "the implicit `Rosenbrock()`"
    why = [f"{failed} of {count} draws from the prior could not be solved"] if failed else []
    moved_so = f"an output of {moved} moved by more than {_OFF:g} noise standard deviations when steps were halved"
    why += [moved_so] if moved else []
    now = int(np.sum(~tried.solved))
    return (
        f"Integrated with {what}: with the model's own steps {' and '.join(why)}; with it {now or 'none'} could not be "
        f"solved and that of {int(np.sum(tried.solved & ~(tried.off <= _OFF))) or 'none'} moved."
    )
