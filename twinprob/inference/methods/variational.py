"""Stochastic variational inference by NumPyro, driven by optax: for models too large for the other methods."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
from jax import lax
from numpyro.infer import SVI, Trace_ELBO, init_to_value
from numpyro.infer.autoguide import AutoLowRankMultivariateNormal, AutoMultivariateNormal
from numpyro.optim import optax_to_numpyro

from ...dynamics.programs import compiled
from ...patient.require import require_settings, whole
from ..joint import Joint
from .importance import densities_at, smooth, systematic
from .modes import Mode, find_modes
from .sampled import TRUSTED, AbstractMethod, Sampled, generator

_IMPOSSIBLE = -1e6  # finite, so that one impossible patient among a gradient's draws does not end the optimization
_MATTERS = 0.01
_CHUNK = 500
_FIRST_RATE = 0.02
_LAST_RATE = 1e-4


class Variational(AbstractMethod):
    """A normal density fitted by maximizing the evidence lower bound, corrected and judged by importance resampling.

    Works in coordinates whitened by the curvature at the most probable mode, where a standard normal is the first
    guess. Only that mode is covered: where another one matters the twin says so.

    Parameters
    ----------
    rank : int
        Rank of what the density's covariance has beside a diagonal; 0 for a full covariance.
    steps : int
        Steps of optimization.
    elbo_draws : int
        Draws behind each gradient.
    starts : int
        Dispersed starting points of the mode search.
    chains, draws : int
        Shape of the result; draws are independent, chains exist for the ArviZ schema.
    proposals : int
        Draws from the fitted density that are weighed.
    """

    rank: int = eqx.field(static=True, default=0)
    steps: int = eqx.field(static=True, default=1500)
    elbo_draws: int = eqx.field(static=True, default=16)
    starts: int = eqx.field(static=True, default=8)
    chains: int = eqx.field(static=True, default=4)
    draws: int = eqx.field(static=True, default=500)
    proposals: int = eqx.field(static=True, default=4000)

    def __check_init__(self):
        """Refuse settings outside their range."""
        counts = {"rank": whole(0, 1_000), "steps": whole(1, 1_000_000), "elbo_draws": whole(1, 10_000)}
        counts |= {"starts": whole(1, 10_000), "chains": whole(1, 256), "draws": whole(1, 100_000)}
        require_settings(self, **counts, proposals=whole(10, 1_000_000))

    def sample(self, joint: Joint, *, key, progress: Callable[[str, float], None] | None = None) -> Sampled:  # noqa: D102
        report = progress or (lambda stage, fraction: None)
        search_key, fit_key, draw_key = jax.random.split(key, 3)
        report("search for modes", 0.0)
        modes, minor, _ = find_modes(joint, self.starts, 60, key=search_key)
        center, root = modes[0].position, np.linalg.cholesky(np.linalg.inv(modes[0].curvature))
        state = _start(self, joint, center, root, fit_key)
        losses = []
        for done in range(0, self.steps, _CHUNK):
            report("maximize the evidence bound", 0.1 + 0.8 * done / self.steps)
            state, loss = _climb(self, joint, center, root, state, min(_CHUNK, self.steps - done))
            losses.append(np.asarray(loss))
        location, scale = (np.asarray(x) for x in _fitted(self, joint, center, root, state))
        report("importance sampling", 0.9)
        bound = float(np.sum(np.log(np.diag(root))) - np.mean(losses[-1][-100:]))
        return _weighed(self, joint, center + root @ location, root @ scale, modes, minor, bound, draw_key)


def _weighed(settings: Variational, joint, mean, scale, modes, minor, evidence_bound, key) -> Sampled:
    """Draw from the fitted normal and resample by Pareto-smoothed importance weights."""
    chance, size = generator(key), len(mean)
    z = chance.standard_normal((settings.proposals, size))
    positions = mean + z @ scale.T
    densities = densities_at(joint, positions)
    proposal = -0.5 * np.sum(z**2, axis=1) - 0.5 * size * np.log(2 * np.pi) - np.linalg.slogdet(scale)[1]
    log_weights, khat = smooth(np.where(np.isfinite(densities), densities, -np.inf) - proposal)
    weights = np.exp(log_weights)
    chosen = chance.permutation(systematic(weights, settings.chains * settings.draws, chance))
    shape = (settings.chains, settings.draws)
    likely = _relative_evidence(modes, minor)
    return Sampled(
        positions=positions[chosen].reshape(*shape, -1),
        stats={"lp": densities[chosen].reshape(shape)},
        khat=khat,
        importance_ess=float(1.0 / np.sum(weights**2)),
        modes=likely,
        failed=int(np.sum(~np.isfinite(densities[chosen]))),
        tried=len(chosen),
        method="Variational",
        notes=_notes(khat, likely),
        settings={
            "rank": settings.rank,
            "steps": settings.steps,
            "proposals": settings.proposals,
            "evidence_bound": evidence_bound,
        },
    )


def _relative_evidence(modes: list[Mode], minor: list[Mode]) -> tuple[tuple[np.ndarray, float, float], ...]:
    """Return every mode with its share of the evidence, by Laplace's approximation at each."""
    every = [*modes, *minor]
    evidences = np.array([mode.log_evidence for mode in every])
    shares = np.exp(evidences - np.logaddexp.reduce(evidences))
    return tuple((m.position, m.density, float(share)) for m, share in zip(every, shares, strict=True))


def _notes(khat: float, modes) -> tuple[str, ...]:
    notes = []
    if not khat < TRUSTED:
        notes.append(
            f"Variational's k-hat is {khat:.2f}: its normal density misses the posterior; use `method=NUTS()`, or "
            "`SMC()` for several modes."
        )
    others = sum(share for _, _, share in modes[1:])
    if others > _MATTERS:
        notes.append(
            f"Variational covers one mode of {len(modes)}; the others hold {100 * others:.0f} % of the posterior: use "
            "`method=SMC()`."
        )
    return tuple(notes)


# ---- NumPyro's optimization -----------------------------------------------------------------------------------------


def _optimization(settings: Variational, joint: Joint, center, root):
    """Return NumPyro's optimization of the bound and its guide, in the coordinates z of position = center + root z."""
    size = joint.size

    def model():
        z = numpyro.sample("z", dist.ImproperUniform(dist.constraints.real_vector, (), (size,)))
        density = joint.log_density(jnp.asarray(center) + jnp.asarray(root) @ z)
        numpyro.factor("density", jnp.maximum(density, _IMPOSSIBLE))

    first = init_to_value(values={"z": jnp.zeros(size)})
    if settings.rank:
        guide = AutoLowRankMultivariateNormal(model, init_loc_fn=first, init_scale=0.9, rank=settings.rank)
    else:
        guide = AutoMultivariateNormal(model, init_loc_fn=first, init_scale=0.9)
    rate = optax.cosine_decay_schedule(_FIRST_RATE, settings.steps, alpha=_LAST_RATE / _FIRST_RATE)
    optimizer = optax_to_numpyro(optax.chain(optax.clip_by_global_norm(100.0), optax.adam(rate)))
    return SVI(model, guide, optimizer, Trace_ELBO(num_particles=settings.elbo_draws)), guide


@compiled
def _start(settings, joint, center, root, key):
    return _optimization(settings, joint, center, root)[0].init(key)


@compiled
def _climb(settings, joint, center, root, state, count: int):
    optimization, _ = _optimization(settings, joint, center, root)
    optimization.init(jax.random.key(0))  # NumPyro learns its constraints here; the state made is thrown away
    return lax.scan(lambda state, _: optimization.stable_update(state), state, None, length=count)


@compiled
def _fitted(settings, joint, center, root, state):
    """Return location and a lower root of the covariance of the fitted normal, in z."""
    optimization, guide = _optimization(settings, joint, center, root)
    optimization.init(jax.random.key(0))
    found = guide.get_posterior(optimization.get_params(state))
    return found.mean, jnp.linalg.cholesky(found.covariance_matrix)
