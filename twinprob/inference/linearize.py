"""One point of a joint density made linear: how every output moves with every unknown, and how noisy it is."""

import dataclasses
import math
from collections.abc import Mapping
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from ..dynamics.programs import compiled
from ..dynamics.segments import minutes_per_unit
from ..modeling.model import AbstractModel, nearest
from ..patient.record import Record
from ..patient.require import require_kinds
from .innovations import innovation_rows
from .joint import Joint, slope_of
from .methods.climb import split
from .methods.modes import climb_from
from .twin import Twin
from .unknowns import AbstractDensity

_GRID = np.linspace(-6.0, 6.0, 401)
_PRIOR_GRID = np.linspace(-4.0, 4.0, 401)


class Linear(NamedTuple):
    """A joint density made linear at a position.

    Attributes
    ----------
    slopes : mapping of output to (measurement, 1 + noise sizes, unknown)
        Of the noise-free output, then of the noise sizes on the unconstrained scale; where the error lasts, of the
        innovation and of the logarithm of its variance (measurement, 2, unknown).
    weights : mapping of output to (measurement, 1 + noise sizes, 1 + noise sizes)
        Expected information of one measurement about these.
    parameters : mapping of parameter to (knot, unknown)
        On the unconstrained scale.
    outlook : mapping of output to (horizon, unknown)
        Of the output, or of its logarithm where that is positive at every horizon.
    future : mapping of output to (horizon,), the outputs themselves
    logarithmic : mapping of output to bool
    solved : bool
    """

    slopes: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]
    parameters: dict[str, np.ndarray]
    outlook: dict[str, np.ndarray]
    future: dict[str, np.ndarray]
    logarithmic: dict[str, bool]
    solved: bool


def subject_of(subject: Twin | AbstractModel, record: Record | None, observations=None, integrator=None):
    """Return model, record, observations, integrator and past of a twin, which has its own, or of a model and a record.

    The record of a twin with a past is the part from there on.

    Raises
    ------
    ValueError
        If a twin comes with a record, or a model without one.
    """
    require_kinds(subject=(subject, Twin, AbstractModel))
    if isinstance(subject, Twin) and record is None:
        return subject.model, subject.recent, subject.observations, subject.integrator, subject.past
    if isinstance(subject, Twin) or record is None:
        raise ValueError("Give a twin alone, or a model and a `record`.")
    return subject, record, observations, integrator, None


def linearize(density: Joint, position: np.ndarray, horizons: np.ndarray) -> Linear:
    """Make a joint density linear at a position; `horizons` (horizon,) min must be borders of its segments."""
    index = border_index(density, horizons)
    censored = any(bool(np.any(data.limits != 0)) for data in density.data.values())
    slopes, means, parameters, outlook, future, solved = jax.tree.map(
        np.asarray, _slopes(density, jnp.asarray(position), jnp.asarray(index))
    )
    weights = jax.tree.map(np.asarray, _weights(density, jnp.asarray(position), means, censored))
    found, layout = {}, density.layout()
    for name, data in density.data.items():
        present = np.asarray(data.present)
        if density.observations[name].drift is not None:
            rows = _innovations(density, name, means, jnp.asarray(slopes[name]), jnp.asarray(position))
            found[name], weights[name] = (np.asarray(x)[present] for x in rows)
            continue
        sizes = [layout[site].start for site in density.observations[name].sites(name).values()]
        units = np.broadcast_to(np.eye(density.size)[sizes], (int(present.sum()), len(sizes), density.size))
        found[name] = np.concatenate([slopes[name][present][:, None], units], axis=1)
        weights[name] = weights[name][present]
    positive = {name: bool(np.all(value > 0)) for name, value in future.items()}
    for name, value in future.items():
        if positive[name]:
            outlook[name] = outlook[name] / value[:, None]
    counts = {name: _knots_used(density, i) for i, (name, _) in enumerate(density.knots)}
    parameters = {name: gradient[: counts.get(name, 1)] for name, gradient in parameters.items()}
    return Linear(found, weights, parameters, outlook, future, positive, bool(solved))


def border_index(density: Joint, times: np.ndarray) -> np.ndarray:
    """Return the index of the segment border at each time (min)."""
    segments = density.segments
    count = int(np.sum(np.asarray(segments.length) > 0))
    ends = np.asarray(segments.start[:count]) + np.asarray(segments.length[:count])
    borders = np.concatenate([np.asarray(segments.start[:1]), ends]) * minutes_per_unit(density.model)
    return np.searchsorted(borders, np.asarray(times, float) - 1e-6).astype(np.int32)


def _knots_used(density: Joint, place: int) -> int:
    """Return how many knots of a path some segment uses; the others are padding."""
    moving = np.asarray(density.segments.length) > 0
    return int(np.max(np.asarray(density.segments.knot)[moving, place], initial=0)) + 1


@compiled
def _slopes(density: Joint, position, index):
    processes = density.model.processes()

    def reported(q):
        values = density.constrain(q)
        parameters = density.paths(values)
        states, solved, rows = density.states(parameters, density.first(values))
        means = density.at_measurements(states, rows)
        ahead = density.outputs(states, rows, index)
        future = {name: getattr(ahead, name) for name in density.model.quantities(density.model.Output)}
        inner = {}
        for name in density.model.unknowns():
            free = dist.biject_to(density.model.prior(name).support).inv(parameters[name])
            inner[name] = free if name in processes else free[None]
        return (means, inner, future), (means, future, solved)

    (by_mean, by_parameter, by_future), (means, future, solved) = jax.jacfwd(reported, has_aux=True)(position)
    return by_mean, means, by_parameter, by_future, future, solved


@compiled
def _innovations(density: Joint, name: str, means, slopes, position):
    """Return `innovation_rows`, its weights as matrices (measurement, 2, 2)."""
    rows, weights = innovation_rows(density, name, means, slopes, position)
    return rows, weights[..., None] * jnp.eye(2)


@compiled
def _weights(density: Joint, position, means, censored: bool):
    """Return the expected information of each measurement about its mean and its noise sizes, by output."""
    layout, sites, found = density.layout(), density.sites(), {}
    for name, data in density.data.items():
        observation = density.observations[name]
        if observation.drift is not None:
            continue
        fields = tuple(observation.unknowns())
        sizes = [*observation.sites(name).values()]
        point = jnp.stack([position[layout[size].start] for size in sizes]) if sizes else jnp.zeros(0)

        def sized(noise, inner, sizes=sizes, fields=fields):
            values = {
                field: dist.biject_to(sites[size].support)(inner[i])
                for i, (field, size) in enumerate(zip(fields, sizes, strict=True))
            }
            return dataclasses.replace(noise, **values)

        bare = dataclasses.replace(observation.noise, **dict.fromkeys(fields, 1.0))
        each = jax.tree.map(lambda x: 0 if np.ndim(x) else None, bare)
        blur = (data.widths, means.get(slope_of(name)))

        def one(noise, mean, value, limit, blur, o=observation, s=sized, p=point):
            def blurred(noise, inner):
                return dataclasses.replace(o, noise=s(noise, inner)).blurred(*blur).noise

            return _weight(o, blurred, noise, p, mean, value, limit, censored)

        found[name] = eqx.filter_vmap(one, in_axes=(each, 0, 0, 0, jax.tree.map(lambda x: 0, blur)))(
            bare, means[name], jnp.asarray(data.values), jnp.asarray(data.limits), blur
        )
    return found


def _weight(observation, sized, noise, point, mean, value, limit, censored: bool):
    """Return the expected information of one measurement by quadrature over what it may read.

    Exact for a normal and accurate for every other noise; beyond a detection limit only the side is known.
    """
    start = jnp.concatenate([mean[None], point])

    def log_density(x, y):
        return sized(noise, x[1:]).distribution(x[0]).log_prob(y)

    def beyond(x, side):
        edge = observation.upper if side > 0 else observation.lower
        return sized(noise, x[1:]).log_survival(edge, x[0], side)

    spread = jnp.sqrt(sized(noise, point).distribution(mean).variance)
    readings = mean + spread * jnp.sinh(_GRID)
    logs = jax.vmap(lambda y: log_density(start, y))(readings)
    scores = jax.vmap(lambda y: jax.grad(log_density)(start, y))(readings)
    fine = jnp.isfinite(logs) & jnp.all(jnp.isfinite(scores), axis=1)
    fine = fine & (readings > observation.lower) & (readings < observation.upper)
    mass = jnp.where(fine, jnp.exp(logs), 0.0) * spread * jnp.cosh(_GRID) * (_GRID[1] - _GRID[0])
    scores = jnp.where(fine[:, None], scores, 0.0)
    total = (scores * mass[:, None]).T @ scores
    for side, edge in ((-1, observation.lower), (1, observation.upper)):
        if math.isfinite(edge):
            slope = jax.grad(beyond)(start, side)
            total = total + jnp.exp(beyond(start, side)) * slope[:, None] * slope
    if not censored:
        return total
    # What was read beyond a limit stands there already: its own curvature, which is never negative for a normal.
    below, above = (
        jax.grad(jax.grad(lambda m, s=side: sized(noise, point).log_survival(value, m, s)))(mean) for side in (-1, 1)
    )
    bend = jnp.where(limit > 0, above, below)
    known = jnp.zeros_like(total).at[0, 0].set(jnp.maximum(-bend, 0.0))
    return jnp.where(limit == 0, total, known)


def position_of(density: Joint, at: Mapping[str, float]) -> np.ndarray:
    """Return the position of the model's own values, or those given; paths flat, noise sizes at their prior's mean."""
    model, layout = density.model, density.layout()
    position = prior_moments(density)[0].copy()
    for name in at:
        if name not in model.unknowns():
            raise ValueError(f"There is no unknown parameter `{name}`; {nearest(name, model.unknowns())}")
    for name in model.unknowns():
        value = at.get(name, getattr(model, name))
        if np.isfinite(value):
            site = f"{name}_start" if f"{name}_start" in layout else name
            position[layout[site]] = np.asarray(dist.biject_to(model.prior(name).support).inv(float(value)))
    return position


def center_of(twin: Twin) -> np.ndarray:
    """Return the posterior mean position, or the best draw where there are several modes."""
    positions = twin.group("unconstrained")["position"].values
    weights = [weight for _, weight in twin.provenance.get("modes", ())]
    stats = twin.group("sample_stats")
    if len(weights) > 1 and weights[1] > 0.01 and "lp" in stats:
        best = np.unravel_index(np.argmax(stats["lp"].values), positions.shape[:2])
        return positions[best]
    return positions.reshape(-1, positions.shape[-1]).mean(axis=0)


def carry(old: Joint, new: Joint, position: np.ndarray) -> np.ndarray:
    """Return a position of one joint density in another of the same model and a longer record: new steps are zero."""
    before, after = old.layout(), new.layout()
    found = prior_moments(new)[0].copy()
    for name, place in after.items():
        if name in before:
            values = position[before[name]]
            size = place.stop - place.start
            found[place] = np.concatenate([values, np.zeros(max(0, size - len(values)))])[:size]
    return found


def best_position(density: Joint, *, starts: int = 8, iterations: int = 60) -> np.ndarray:
    """Return the mode reached from evenly spread starts: no chance enters.

    Raises
    ------
    RuntimeError
        If the model can be solved at none of them.
    """
    begin, parts = spread_starts(density, starts), split(density)
    positions, values, *_ = climb_from(density, begin, ~parts.scale, iterations, 1e-8)
    if not np.any(np.isfinite(values)):
        raise RuntimeError(
            f"The model could not be solved at any of {starts} starting points; check the units of the record's inputs."
        )
    return positions[int(np.argmax(np.where(np.isfinite(values), values, -np.inf)))]


def spread_starts(density: AbstractDensity, starts: int) -> np.ndarray:
    """Return positions evenly spread over the prior, its center first, (start, unknown); paths and scales at theirs."""
    from scipy.stats import norm, qmc  # here because importing it takes as long as half of JAX

    mean, variance = prior_moments(density)
    parts = split(density)
    spread = np.where(parts.path | parts.scale, 0.0, np.sqrt(variance))
    points = (
        qmc.Halton(len(mean), scramble=False).random(starts + 1)[1:]
        if len(mean) < 100
        else np.full((1, len(mean)), 0.5)
    )
    return mean + spread * np.concatenate([np.zeros((1, len(mean))), norm.ppf(np.clip(points, 0.05, 0.95))])[:starts]


def prior_moments(density: AbstractDensity) -> tuple[np.ndarray, np.ndarray]:
    """Return prior mean and variance of every unknown on the unconstrained scale, (unknown,) each, by quadrature."""
    mean, variance = np.zeros(density.size), np.ones(density.size)
    for name, place in density.layout().items():
        if "_innovations" not in name:
            mean[place], variance[place] = scalar_moments(density.sites()[name])
    if density.known is not None:
        places = density.places()
        mean[places], variance[places] = density.known.center, np.sum(np.square(density.known.root), axis=1)
    return mean, variance


def scalar_moments(prior: dist.Distribution) -> tuple[float, float]:
    """Return mean and variance of a scalar prior on the unconstrained scale."""
    inner = prior
    if isinstance(prior, dist.LogNormal | dist.Normal):
        return float(prior.loc), float(prior.scale) ** 2
    if isinstance(inner, dist.TransformedDistribution) and type(inner.base_dist) is dist.Normal:
        return float(inner.base_dist.loc), float(inner.base_dist.scale) ** 2
    bijector = dist.biject_to(prior.support)
    draws = np.asarray(bijector.inv(prior.sample(jax.random.key(0), (2000,))))  # only places the grid
    center, scale = np.median(draws), max(np.ptp(np.quantile(draws, [0.16, 0.84])) / 2, 1e-12)
    points = center + scale * np.sinh(_PRIOR_GRID)
    values = bijector(points)
    logs = np.asarray(prior.log_prob(values) + bijector.log_abs_det_jacobian(points, values))
    weights = np.where(np.isfinite(logs), np.exp(logs - np.nanmax(np.where(np.isfinite(logs), logs, -np.inf))), 0.0)
    weights = weights * np.cosh(_PRIOR_GRID)
    weights /= weights.sum()
    mean = float(weights @ points)
    return mean, float(weights @ (points - mean) ** 2)
