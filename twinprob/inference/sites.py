"""The unknowns of a model by sample site: their declared priors, and other priors put in place of them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from numpyro.distributions.transforms import ExpTransform, IdentityTransform

from ..dynamics.integrators import FixedStep
from ..modeling.model import AbstractModel
from ..modeling.observation import Observation
from .joint import Joint

_DRAWS = 4000


def measured(model: AbstractModel, observations: Mapping[str, Observation]) -> dict[str, Observation]:
    """Return how every output is measured that can be."""
    declared = model.quantities(model.Output)
    return {n: observations.get(n, q.noise) for n, q in declared.items() if observations.get(n, q.noise) is not None}


def declared_sites(model: AbstractModel, observations: Mapping[str, Observation]) -> dict[str, dist.Distribution]:
    """Return the declared prior of every unknown that a population describes, by sample site."""
    knots = tuple((name, 1) for name in model.processes())
    bare: Any = None
    return constant_sites(Joint(model, bare, {}, measured(model, observations), FixedStep(), knots))


def constant_sites(density: Joint) -> dict[str, dist.Distribution]:
    """Return the prior of every unknown that is no path."""
    return {name: prior for name, prior in density.sites().items() if not name.endswith("_innovations")}


def shared_sites(density: Joint) -> dict[str, dist.Distribution]:
    """Return the prior of every unknown that patients share a distribution of: no path, no state at the origin."""
    apart = {name for name, declared in density.model.parameters().items() if declared.origin}
    return {name: prior for name, prior in constant_sites(density).items() if name not in apart}


def with_priors(model: AbstractModel, observations: Mapping[str, Observation], priors: Mapping[str, dist.Distribution]):
    """Return model and observations with priors replaced, given by sample site."""
    processes, own, motions, how = model.processes(), {}, {}, {}
    for name in model.unknowns():
        site = f"{name}_start" if name in processes else name
        if site in priors:
            own[name] = priors[site]
        if f"{name}_volatility" in priors:
            motions[name] = dataclasses.replace(processes[name], sd=priors[f"{name}_volatility"])
    for output, observation in observations.items():
        sizes = {field: priors[site] for field, site in observation.sites(output).items() if site in priors}
        how[output] = observation.sized(sizes)
    changed = dataclasses.replace(model, priors={**model.priors, **own}, motions={**model.motions, **motions})
    return changed, how


def moments(prior: dist.Distribution) -> tuple[float, float]:
    """Return mean and standard deviation of a prior on its unconstrained scale."""
    if isinstance(prior, dist.LogNormal | dist.Normal):
        return float(prior.loc), float(prior.scale)
    # A fixed key: the center of a prior is a fact about it, not chance.
    draws = dist.biject_to(prior.support).inv(prior.sample(jax.random.key(0), (_DRAWS,)))
    fine = draws[jnp.isfinite(draws)]
    return float(jnp.mean(fine)), float(jnp.std(fine))


def located(like: dist.Distribution, center, spread) -> dist.Distribution:
    """Return the distribution that is normal on the unconstrained scale of another one."""
    bijector = dist.biject_to(like.support)
    if isinstance(bijector, ExpTransform):
        return dist.LogNormal(center, spread)
    if isinstance(bijector, IdentityTransform):
        return dist.Normal(center, spread)
    return dist.TransformedDistribution(dist.Normal(center, spread), bijector)
