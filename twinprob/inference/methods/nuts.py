"""NumPyro's No-U-Turn sampler, whitened by and started from the nested Laplace approximation."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array
from numpyro.infer.hmc import HMCState, hmc
from numpyro.infer.util import ParamInfo

from ...dynamics.programs import compiled
from ...patient.require import number, require_settings, whole
from ..joint import Joint
from .laplace import Approximation, Laplace, approximate
from .modes import climb_from
from .sampled import AbstractMethod, Sampled, generator

_CHUNK = 50


class NUTS(AbstractMethod):
    """Hamiltonian Monte Carlo as the reference method.

    Parameters
    ----------
    chains, draws, warmup : int
    starts : int
        Dispersed starting points of the mode search behind the approximation that whitens and starts the chains.
    target : float
        Target acceptance probability.
    max_tree_depth : int
    """

    chains: int = eqx.field(static=True, default=4)
    draws: int = eqx.field(static=True, default=500)
    warmup: int = eqx.field(static=True, default=150)
    starts: int = eqx.field(static=True, default=8)
    target: float = eqx.field(static=True, default=0.8)
    max_tree_depth: int = eqx.field(static=True, default=8)

    def __check_init__(self):
        """Refuse settings outside their range."""
        counts = {"chains": whole(1, 256), "draws": whole(1, 100_000), "warmup": whole(0, 100_000)}
        counts |= {"starts": whole(1, 10_000), "max_tree_depth": whole(1, 16)}
        require_settings(self, **counts, target=number(0.0, 1.0, above=True, below=True))

    def sample(self, joint: Joint, *, key, progress: Callable[[str, float], None] | None = None) -> Sampled:  # noqa: D102
        report = progress or (lambda stage, fraction: None)
        search_key, start_key, run_key = jax.random.split(key, 3)
        found = approximate(
            joint, Laplace(starts=self.starts), key=search_key, progress=lambda stage, done: report(stage, 0.2 * done)
        )
        center, root = whitening(found)
        picked = found.weighted.resample(self.chains, generator(start_key))
        begin = found.weighted.positions[picked]
        _, values, gradients, _ = climb_from(joint, begin, np.zeros(joint.size, bool), 1, 0.0)
        state = _begin(self, (begin - center) @ np.linalg.inv(root).T, -values, -gradients @ root, run_key)
        run = _Run(self, joint, jnp.asarray(center), jnp.asarray(root))
        kept = run.advance(state, lambda stage, done: report(stage, 0.2 + 0.8 * done))
        kept = {name: np.swapaxes(values, 0, 1) for name, values in kept.items()}
        return Sampled(
            positions=center + kept.pop("z") @ root.T,
            stats=_stats(kept, self.max_tree_depth),
            khat=np.nan,
            importance_ess=np.nan,
            modes=found.weighted_modes(),
            failed=int(np.sum(~np.isfinite(kept["potential_energy"]))),
            tried=self.chains * self.draws,
            method="NUTS",
            rejected=found.weighted.rejected,
            settings={"warmup": self.warmup, "target": self.target, "max_tree_depth": self.max_tree_depth},
        )


def whitening(found: Approximation) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and a root of the covariance of the draws that belong to the most probable mode."""
    weighted = found.weighted
    shares = np.bincount(weighted.owners, weighted.weights, len(found.modes))
    main = int(np.argmax(shares))
    mine = weighted.owners == main
    mean, covariance = weighted.moments(mine)
    effective = shares[main] ** 2 / np.sum(weighted.weights[mine] ** 2)
    trust = effective / (effective + 2.0 * len(mean))
    mixed = trust * covariance + (1.0 - trust) * np.linalg.inv(found.modes[main].curvature)
    return mean, np.linalg.cholesky(mixed + 1e-12 * np.diag(np.diag(mixed)))


def _kernel(settings: NUTS, potential):
    """Return NumPyro's functions that begin and advance one chain."""
    begin, advance = hmc(potential, algo="NUTS")

    def start(z, energy, gradient, key) -> HMCState:
        return begin(
            ParamInfo(z, energy, gradient),
            settings.warmup,
            target_accept_prob=settings.target,
            max_tree_depth=settings.max_tree_depth,
            rng_key=key,
        )

    return start, advance


@compiled
def _begin(settings, z, energies, gradients, key):
    # The potential is never called here: energies and gradients are known, so nothing is compiled for it.
    start, _ = _kernel(settings, lambda z: jnp.zeros(()))
    return jax.vmap(start)(z, energies, gradients, jax.random.split(key, len(z)))


class _Run(eqx.Module):
    """Chains under way in coordinates in which the posterior is nearly standard normal."""

    settings: NUTS
    joint: Joint
    center: Array
    root: Array

    def advance(self, state: HMCState, report) -> dict[str, np.ndarray]:
        """Advance all chains to their end and return what they kept after the warm-up, (draw, chain, …).

        Chains advance in vectorized pairs, one thread per pair: JAX leaves a second core idle otherwise. The grouping
        does not depend on the machine, so that results do not.
        """
        settings = self.settings
        size = 2 if settings.chains % 2 == 0 else 1
        groups = [jax.tree.map(lambda x, i=i: x[i : i + size], state) for i in range(0, settings.chains, size)]
        total, parts, precise = settings.warmup + settings.draws, [], state.z.dtype == np.float64

        def step(group):
            with jax.enable_x64(precise):  # JAX keeps this setting per thread
                group, part = _advance(self, group)
                return group, {name: np.asarray(values) for name, values in part.items()}

        with ThreadPoolExecutor(len(groups)) as pool:
            for done in range(0, total, _CHUNK):
                report("warm up" if done < settings.warmup else "sample", done / total)
                # The first pass of the first group compiles for all.
                first = [step(groups[0])] if done == 0 else []
                advanced = first + list(pool.map(step, groups[len(first) :]))
                groups = [group for group, _ in advanced]
                parts.append({name: np.concatenate([p[name] for _, p in advanced], axis=1) for name in advanced[0][1]})
        report("sample", 1.0)
        return {name: np.concatenate([part[name] for part in parts])[settings.warmup : total] for name in parts[0]}


@compiled
def _advance(run: _Run, state: HMCState):
    def potential(z):
        return -run.joint.log_density(run.center + run.root @ z)

    start, advance = _kernel(run.settings, potential)
    # NumPyro's kernel learns its settings when it begins; the state made here is thrown away.
    start(state.z[0], state.potential_energy[0], state.z_grad[0], jax.random.key(0))

    def step(state, _):
        state = jax.vmap(advance)(state)
        kept = {name: getattr(state, name) for name in _FIELDS}
        return state, kept | {"step_size": state.adapt_state.step_size}

    return lax.scan(step, state, None, length=_CHUNK)


_FIELDS = ("z", "diverging", "num_steps", "accept_prob", "energy", "potential_energy")


def _stats(kept, depth: int) -> dict[str, np.ndarray]:
    """Rename NumPyro's fields to the ArviZ schema."""
    steps = kept["num_steps"]
    return {
        "lp": -kept["potential_energy"],
        "diverging": kept["diverging"],
        "n_steps": steps,
        "tree_depth": np.ceil(np.log2(steps + 1)).astype(int),
        "reached_max_treedepth": steps >= 2**depth - 1,
        "acceptance_rate": kept["accept_prob"],
        "energy": kept["energy"],
        "step_size": kept["step_size"],
    }
