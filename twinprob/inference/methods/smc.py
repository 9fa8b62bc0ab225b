"""Sequential Monte Carlo: tempered from a wide mixture over all modes to the posterior, with its log evidence."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln, logsumexp
from jaxtyping import Array

from ...dynamics.programs import compiled
from ...patient.require import number, require_settings, whole
from ..joint import Joint
from .importance import densities_at, smooth, systematic
from .laplace import Approximation, Laplace, approximate
from .nuts import whitening
from .sampled import AbstractMethod, Sampled, generator

_TAILS = 5.0
_WIDER = 1.3
_LEAST_SHARE = 0.1
_FROM_PRIOR = 0.2
_IMPOSSIBLE = -1e10  # finite: a temperature of zero times minus infinity would be no number
_ACCEPTED = 0.8
_MOST_STAGES = 100
_DISAGREE = 1.0


class SMC(AbstractMethod):
    """Adaptive tempered sequential Monte Carlo: for posteriors with several modes, and for the evidence.

    Particles start in a mixture of the prior and of wide Student-t densities at every mode found, and move to the
    posterior in stages; each stage is as long as leaves `effective` of the particles effective, and ends in Hamiltonian
    moves. Runs are independent: what they disagree about is the Monte Carlo error. Every unknown is sampled,
    volatilities and noise sizes among them.

    Parameters
    ----------
    particles : int
        Particles of one run; they become its draws.
    runs : int
        Independent runs; each becomes a chain.
    starts : int
        Dispersed starting points of the mode search.
    effective : float
        Share of the particles that stays effective from one stage to the next.
    moves : int
        Hamiltonian moves of every particle per stage.
    leapfrogs : int
        Steps of one move.
    finish : int
        Further stages at the posterior itself, after the last weighting.
    """

    particles: int = eqx.field(static=True, default=250)
    runs: int = eqx.field(static=True, default=8)
    starts: int = eqx.field(static=True, default=8)
    effective: float = eqx.field(static=True, default=0.5)
    moves: int = eqx.field(static=True, default=2)
    leapfrogs: int = eqx.field(static=True, default=5)
    finish: int = eqx.field(static=True, default=2)

    def __check_init__(self):
        """Refuse settings outside their range."""
        counts = {"particles": whole(2, 100_000), "runs": whole(1, 256), "starts": whole(1, 10_000)}
        counts |= {"moves": whole(1, 1_000), "leapfrogs": whole(1, 1_000), "finish": whole(0, 1_000)}
        require_settings(self, **counts, effective=number(0.0, 1.0, above=True, below=True))

    def sample(self, joint: Joint, *, key, progress: Callable[[str, float], None] | None = None) -> Sampled:  # noqa: D102
        report = progress or (lambda stage, fraction: None)
        search_key, begin_key, run_key = jax.random.split(key, 3)
        found = approximate(
            joint, Laplace(starts=self.starts), key=search_key, progress=lambda stage, done: report(stage, 0.2 * done)
        )
        begin = _wide_mixture(joint, found)
        runs = _temper_all(self, begin, begin_key, run_key, lambda done: report("temper", 0.2 + 0.8 * done))
        positions = np.stack([begin.center + run.particles @ begin.root.T for run in runs])
        densities = densities_at(joint, positions.reshape(-1, joint.size)).reshape(positions.shape[:2])
        evidences = np.array([run.log_evidence for run in runs])
        shape = densities.shape
        return Sampled(
            positions=positions,
            stats={
                "lp": densities,
                "log_marginal_likelihood": np.broadcast_to(evidences[:, None], shape).copy(),
                "acceptance_rate": np.broadcast_to([[run.accepted] for run in runs], shape).copy(),
            },
            khat=_khat(runs),
            importance_ess=_effective_draws(positions),
            modes=_shares(found, positions.reshape(-1, joint.size)),
            failed=int(np.sum(~np.isfinite(densities))),
            tried=densities.size,
            method="SMC",
            notes=_notes(evidences),
            settings={
                "particles": self.particles,
                "runs": self.runs,
                "stages": max(run.stages for run in runs),
            },
        )


def pool(log_evidences: np.ndarray) -> tuple[float, float]:
    """Return the log of the mean of independent unbiased estimates of the evidence, and its standard error."""
    relative = np.exp(log_evidences - log_evidences.max())
    error = np.std(relative, ddof=1) / np.sqrt(len(relative)) if len(relative) > 1 else np.nan
    return float(log_evidences.max() + np.log(relative.mean())), float(error / relative.mean())


def _khat(runs) -> float:
    """Return k-hat of the last weighting before the posterior, all runs together."""
    weights = np.concatenate([run.last_weights for run in runs])
    with np.errstate(divide="ignore"):
        return smooth(np.log(weights))[1]


def _notes(log_evidences) -> tuple[str, ...]:
    apart = float(np.ptp(log_evidences))
    if apart <= _DISAGREE:
        return ()
    return (f"The runs' log evidences differ by up to {apart:.1f}: raise `particles` or `moves` of SMC.",)


def _effective_draws(positions) -> float:
    """Return the smallest bulk ESS.

    Resampling leaves descendants of one particle beside each other, so that what they still share counts as
    autocorrelation; what runs disagree about counts as it does between chains.
    """
    from arviz_stats.base.array import array_stats  # here because importing it loads matplotlib

    if min(positions.shape[:2]) < 2 or positions.shape[1] < 4:
        return float("nan")
    return min(float(array_stats.ess(positions[..., i])) for i in range(positions.shape[-1]))


def _shares(found: Approximation, draws) -> tuple[tuple[np.ndarray, float, float], ...]:
    """Return every mode with the share of the draws that are nearest to it, in that mode's own spreads."""
    modes = [*found.modes, *found.minor]
    away = [draws - mode.position for mode in modes]
    distances = [
        np.einsum("di,ij,dj->d", d, m.curvature, d) - np.linalg.slogdet(m.curvature)[1]
        for d, m in zip(away, modes, strict=True)
    ]
    shares = np.bincount(np.argmin(distances, axis=0), minlength=len(modes)) / len(draws)
    triples = [(m.position, m.density, float(share)) for m, share in zip(modes, shares, strict=True)]
    return tuple(sorted(triples, key=lambda triple: -triple[2]))


# ---- where the particles begin --------------------------------------------------------------------------------------


class _Beginning(eqx.Module):
    """The density that particles start from, in the coordinates z of position = center + root z.

    Attributes
    ----------
    means : (component, unknown), roots, inverses : (component, unknown, unknown) of the Student-t densities, in z
    log_shares : (component + 1,), the prior's last
    """

    joint: Joint
    center: np.ndarray
    root: np.ndarray
    means: np.ndarray
    roots: np.ndarray
    inverses: np.ndarray
    log_shares: np.ndarray

    def draw(self, count: int, key) -> np.ndarray:
        """Return particles, shape (particle, unknown)."""
        prior_key, key = jax.random.split(key)
        chance, size = generator(key), len(self.center)
        owners = chance.permutation(systematic(np.exp(self.log_shares), count, chance))
        t = chance.standard_normal((count, size)) * np.sqrt(_TAILS / chance.chisquare(_TAILS, count))[:, None]
        prior = np.linalg.solve(self.root, (np.asarray(_prior_draws(self.joint, count, prior_key)) - self.center).T).T
        # Where a prior reaches beyond the numbers, a mode's draw stands in: its share is small in any case.
        prior = np.where(np.isfinite(prior).all(axis=1, keepdims=True), prior, t)
        drawn = [t @ root.T + mean for mean, root in zip(self.means, self.roots, strict=True)]
        return np.stack([*drawn, prior])[owners, np.arange(count)]

    def log_density(self, z) -> Array:
        """Return the log density of one particle."""
        size = self.center.shape[0]
        constant = gammaln((_TAILS + size) / 2) - gammaln(_TAILS / 2) - 0.5 * size * jnp.log(_TAILS * jnp.pi)

        def component(mean, inverse):
            square = jnp.sum((inverse @ (z - mean)) ** 2)  # no solve: threads take turns in programs that call LAPACK
            return constant + jnp.sum(jnp.log(jnp.diag(inverse))) - 0.5 * (_TAILS + size) * jnp.log1p(square / _TAILS)

        prior = self.joint.log_prior(self.center + self.root @ z) + jnp.sum(jnp.log(jnp.diag(self.root)))
        logs = jnp.append(jax.vmap(component)(self.means, self.inverses), jnp.maximum(prior, _IMPOSSIBLE))
        return logsumexp(logs + self.log_shares)

    def log_posterior(self, z) -> Array:
        """Return log p(position, data) in z; very low, but finite, where the model cannot be solved."""
        density = self.joint.log_density(self.center + self.root @ z) + jnp.sum(jnp.log(jnp.diag(self.root)))
        return jnp.maximum(density, _IMPOSSIBLE)


@compiled
def _prior_draws(joint, count: int, key):
    return jax.vmap(joint.draw_prior)(jax.random.split(key, count))


def _wide_mixture(joint: Joint, found: Approximation) -> _Beginning:
    """Return wide Student-t densities at every mode, improbable ones too, beside the prior.

    The prior's part bounds the weights: none exceeds the likelihood divided by that part.
    """
    center, root = whitening(found)
    weights = found.weighted.weights
    shares, means, roots = [], [], []
    for i, mode in enumerate([*found.modes, *found.minor]):
        mine = found.weighted.owners == i
        share = weights[mine].sum()
        mean, covariance = mode.position, np.linalg.inv(mode.curvature)
        if share > 0.0:
            effective = share**2 / np.sum(weights[mine] ** 2)
            trust = effective / (effective + 2.0 * joint.size)
            known, spread = found.weighted.moments(mine)
            mean, covariance = trust * known + (1 - trust) * mean, trust * spread + (1 - trust) * covariance
        shares.append(max(share, _LEAST_SHARE))
        means.append(np.linalg.solve(root, mean - center))
        half = np.linalg.solve(root, np.linalg.cholesky(covariance + 1e-12 * np.diag(np.diag(covariance))))
        roots.append(_WIDER * np.linalg.cholesky(half @ half.T))
    every = np.append((1.0 - _FROM_PRIOR) * np.array(shares) / np.sum(shares), _FROM_PRIOR)
    return _Beginning(
        joint, center, root, np.stack(means), np.stack(roots), np.linalg.inv(np.stack(roots)), np.log(every)
    )


# ---- from there to the posterior ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Ended:
    """One run at its end.

    Attributes
    ----------
    particles : (particle, unknown) in z
    last_weights : (particle,) normalized, of the stage that reached the posterior
    log_evidence : float
    accepted : float, share of the moves accepted in the last stage
    stages : int
    """

    particles: np.ndarray
    last_weights: np.ndarray
    log_evidence: float
    accepted: float
    stages: int


def _begin(settings: SMC, begin: _Beginning, key):
    """Return blackjax's state of one run before its first stage, and a first step size."""
    from blackjax.smc.tempered import init  # here because importing it takes a second

    return init(jnp.asarray(begin.draw(settings.particles, key))), jnp.asarray(1.2 * len(begin.center) ** -0.25)


def _temper(settings: SMC, begin: _Beginning, begin_key, key) -> _Ended:
    """Advance one run to its end."""
    state, step_size = _begin(settings, begin, begin_key)
    log_evidence, last_weights, there = 0.0, np.zeros(settings.particles), 0
    for stage in range(1, _MOST_STAGES + 1):
        state, increment, accepted = _stage(settings, begin, state, step_size, jax.random.fold_in(key, stage))
        log_evidence += float(increment)
        step_size = step_size * jnp.exp(jnp.clip(1.5 * (accepted - _ACCEPTED), -1.0, 0.3))
        if float(state.tempering_param) < 1.0 - 1e-9:
            continue
        last_weights = np.asarray(state.weights) if there == 0 else last_weights
        there += 1
        if there > settings.finish:
            return _Ended(np.asarray(state.particles), last_weights, log_evidence, float(accepted), stage)
    raise RuntimeError(
        f"SMC did not reach the posterior in {_MOST_STAGES} stages; raise `particles`, or lower `effective`."
    )


@compiled
def _stage(settings: SMC, begin: _Beginning, state, step_size, key):
    from blackjax.mcmc import hmc
    from blackjax.smc import adaptive_tempered, extend_params, resampling

    def ratio(z):
        return begin.log_posterior(z) - begin.log_density(z)

    move_key, jitter_key = jax.random.split(key)
    move = hmc.build_kernel()
    kernel = adaptive_tempered.build_kernel(
        begin.log_density,
        ratio,
        lambda key, state, density, step_size, inverse_mass_matrix: move(
            key, state, density, step_size, inverse_mass_matrix, settings.leapfrogs
        ),
        hmc.init,
        resampling.systematic,
        settings.effective,
    )
    mean = state.weights @ state.particles
    variance = state.weights @ (state.particles - mean) ** 2
    # Steps of various lengths, so that no trajectory comes back to where it began.
    jitter = jax.random.uniform(jitter_key, (settings.particles,), minval=0.6, maxval=1.2)
    parameters = {"step_size": step_size * jitter} | extend_params({"inverse_mass_matrix": variance + 1e-6})
    state, info = kernel(move_key, state, settings.moves, parameters)
    return state, info.log_likelihood_increment, jnp.mean(info.update_info.acceptance_rate)


def _temper_all(settings: SMC, begin: _Beginning, begin_key, run_key, report) -> list[_Ended]:
    """Advance all runs to their end, one thread per core; a run's result does not depend on how many there are."""
    precise = jnp.zeros(()).dtype == np.float64
    keys = zip(jax.random.split(begin_key, settings.runs), jax.random.split(run_key, settings.runs), strict=True)

    def temper(keys) -> _Ended:
        with jax.enable_x64(precise):  # JAX keeps this setting per thread
            return _temper(settings, begin, *keys)

    # This stage compiles for all and is thrown away: threads would compile one program each.
    state, step_size = _begin(settings, begin, begin_key)
    _stage(settings, begin, state, step_size, run_key)
    ended = []
    with ThreadPoolExecutor(max(1, min(settings.runs, os.cpu_count() or 1))) as threads:
        for run in threads.map(temper, list(keys)):
            ended.append(run)
            report(len(ended) / settings.runs)
    return ended
