"""What a particle holds, by columns: constants, what varies now, lasting errors, states."""

from typing import Any

import jax.numpy as jnp
import numpyro.distributions as dist

from ...modeling.correlated import Error
from ...modeling.model import AbstractModel
from ...modeling.observation import Observation


def statics(model: AbstractModel, observations: dict[str, Observation]) -> dict[str, dist.Distribution]:
    """Return the priors of everything constant, by the names the twin's posterior has."""
    priors, processes = {}, model.processes()
    for name in model.unknowns():
        priors[f"{name}_start" if name in processes else name] = model.prior(name)
        if name in processes and isinstance(processes[name].sd, dist.Distribution):
            priors[f"{name}_volatility"] = processes[name].sd
    for output, observation in observations.items():
        sites = observation.sites(output)
        priors.update({sites[field]: prior for field, prior in observation.unknowns().items()})
    return priors


def columns(model: AbstractModel, observations: dict[str, Observation]) -> tuple[str, ...]:
    """Return the names of a particle's columns: statics, varying parameters now, lasting errors, states."""
    states = tuple(f"state:{name}" for name in model.quantities(model.State))
    errors = (f"{part}:{name}" for name in lasting(observations) for part in ("error", "log_variance"))
    return (*statics(model, observations), *model.processes(), *errors, *states)


def lasting(observations: dict[str, Observation]) -> tuple[str, ...]:
    """Return the outputs whose measurement error lasts."""
    return tuple(name for name, observation in observations.items() if observation.drift is not None)


def errors_of(model, observations, values) -> dict[str, Error]:
    """Return what each particle (particle, column) knows of the lasting errors, by output; leaves (particle,)."""
    if not lasting(observations):
        return {}
    begin = len(statics(model, observations)) + len(model.processes())
    places = {name: begin + 2 * i for i, name in enumerate(lasting(observations))}
    return {name: Error(values[:, at], jnp.exp(values[:, at + 1])) for name, at in places.items()}


def with_errors(model, observations, values, errors: dict[str, Error]):
    """Return particles that know this of the lasting errors."""
    begin = len(statics(model, observations)) + len(model.processes())
    for i, name in enumerate(lasting(observations)):
        pair = jnp.stack([errors[name].mean, jnp.log(errors[name].variance)], axis=1)
        values = values.at[:, begin + 2 * i : begin + 2 * i + 2].set(pair)
    return values


def constrained(model, observations, values) -> dict[str, Any]:
    """Return every static and varying parameter at its own scale; `values` has shape (particle, column)."""
    priors, processes = statics(model, observations), model.processes()
    supports = {name: prior.support for name, prior in priors.items()} | {n: model.prior(n).support for n in processes}
    return {name: dist.biject_to(support)(values[:, i]) for i, (name, support) in enumerate(supports.items())}


def flattened(model, values):
    """Return particles with the logarithm of every state that is positive in all of them, and which those are."""
    states = len(model.quantities(model.State))
    state = values[:, -states:]
    positive = jnp.all(state > 0, axis=0)
    return jnp.concatenate(
        [values[:, :-states], jnp.where(positive, jnp.log(jnp.where(positive, state, 1.0)), state)], axis=1
    ), positive


def raised(flat, positive):
    """Undo `flattened`."""
    state = flat[:, -len(positive) :]
    return jnp.concatenate(
        [flat[:, : -len(positive)], jnp.where(positive, jnp.exp(jnp.where(positive, state, 0.0)), state)], axis=1
    )
