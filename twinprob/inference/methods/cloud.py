"""Clouds of particles: from a twin's draws, along a stretch of its record, and back to draws."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from ...dynamics.segments import minutes_per_unit
from ...modeling.model import AbstractModel
from ...modeling.observation import Observation
from ...patient.record import Record
from ..outcomes import Outcomes
from ..twin import Twin
from .filter import Filter, Heard, Rows, advance
from .particle import lasting, statics
from .rows import rows_of

_CAPACITY = 64
_SAME_TIME = 1e-9


@dataclass(frozen=True)
class Cloud:
    """What is believed at one time: weighted particles.

    Attributes
    ----------
    time : float, min
    values : (particle, column), see `methods.particle.columns`
    log_weights : (particle,) normalized
    """

    time: float
    values: np.ndarray
    log_weights: np.ndarray

    @property
    def effective(self) -> float:
        """Effective number of particles."""
        weights = np.exp(self.log_weights - self.log_weights.max())
        return float(weights.sum() ** 2 / np.sum(weights**2))


def observed_outputs(model: AbstractModel, given) -> dict[str, Observation]:
    """Return how every output is measured that can be, in alphabetical order: compiled code sees mappings so."""
    declared = model.quantities(model.Output)
    return {n: given.get(n, declared[n].noise) for n in sorted(declared) if n in given or declared[n].noise is not None}


def cloud_of(twin: Twin, settings: Filter, generator: np.random.Generator) -> Cloud:
    """Spread a twin's draws to a cloud: kernels around them, with the draws' own mean and covariance."""
    model, how = twin.model, observed_outputs(twin.model, twin.observations)
    posterior, processes = twin.tree["posterior"].to_dataset(), twin.model.processes()
    count, parts = twin.draws, []
    for name, prior in statics(model, how).items():
        if name in posterior:
            values = posterior[name].values.ravel()
        else:  # the noise of an output not measured yet is known from its prior alone
            values = np.asarray(prior.sample(jax.random.key(int(generator.integers(2**31))), (count,)))
        parts.append(_free(prior, values))
    parts += [_free(model.prior(name), posterior[name].values[..., -1].ravel()) for name in processes]
    parts += _errors(twin, how, dict(zip(statics(model, how), parts, strict=False)))
    draws = np.stack(parts + [v.values.ravel() for v in twin.tree["state"].to_dataset().values()], axis=-1)
    values = _spread(draws, len(model.quantities(model.State)), settings, generator)
    return Cloud(twin.now, values, np.full(settings.particles, -math.log(settings.particles)))


def _errors(twin: Twin, how, sizes) -> list[np.ndarray]:
    """Return mean and log variance of each lasting error, (draw,); the stationary ones where nothing was measured."""
    found, known = [], twin.group("error") if "error" in twin.tree.children else {}
    for name in lasting(how):
        if name in known:
            found += [known[name].values.ravel(), 2.0 * np.log(known[f"{name}_sd"].values.ravel())]
            continue
        prior = how[name].unknowns().get("drift_sd")
        sd = how[name].drift.sd if prior is None else dist.biject_to(prior.support)(sizes[f"{name}_drift_sd"])
        found += [np.zeros(twin.draws), np.broadcast_to(2.0 * np.log(np.asarray(sd)), (twin.draws,))]
    return found


def _free(prior: dist.Distribution, values) -> np.ndarray:
    return np.asarray(dist.biject_to(prior.support).inv(jnp.asarray(values)))


def _spread(draws, states: int, settings: Filter, generator) -> np.ndarray:
    """Repeat draws to the number of particles and move each within its kernel; mean and covariance stay."""
    positive = np.all(draws > 0, axis=0) & (np.arange(draws.shape[1]) >= draws.shape[1] - states)
    flat = np.where(positive, np.log(np.where(positive, draws, 1.0)), draws)
    mean, scale = flat.mean(0), flat.std(0)
    still = scale <= 1e-12 * np.abs(mean)
    scale = np.where(still, 1.0, scale)
    root = _root((flat - mean) / scale)
    chosen = generator.permutation(np.arange(settings.particles) % len(draws))
    noise = generator.standard_normal((settings.particles, draws.shape[1])) @ root.T
    moved = math.sqrt(1.0 - settings.width**2) * (flat[chosen] - mean) / scale + settings.width * noise
    moved -= moved.mean(0)
    # The two small matrices first: a solve for every particle would take longer than an hour's flow.
    fresh = mean + scale * (moved @ (np.linalg.inv(_root(moved)).T @ root.T))
    fresh = np.where(still, flat[chosen], fresh)
    return np.where(positive, np.exp(fresh), fresh)


def _root(away):
    return np.linalg.cholesky(away.T @ away / len(away) + 1e-9 * np.eye(away.shape[1]))


def follow(
    cloud: Cloud, model: AbstractModel, record: Record, observations, integrator, settings: Filter, *, key
) -> tuple[Cloud, Heard, Outcomes]:
    """Carry a cloud along a record from the cloud's time to the record's end, weighing by what was measured after it.

    Measurements at the cloud's own time count as taken in. The outcomes are where the others lay in their predictions.
    """
    how = observed_outputs(model, observations)
    rows, layout = rows_of(model, record, how, cloud.time)
    heard = Heard(np.ones(()), np.ones(()), np.zeros(()), np.zeros((), int), np.zeros((), int))
    held = (cloud.values, cloud.log_weights)
    total, pits = len(rows.timeline), []
    for begin in range(0, total, _CAPACITY):
        part = jax.tree.map(lambda x, b=begin: _padded(x[b : b + _CAPACITY]), rows)
        key, part_key = jax.random.split(key)
        count = np.asarray(min(_CAPACITY, total - begin))
        held, heard, found = advance(model, how, integrator, settings, layout, part, count, held, heard, part_key)
        pits.append(np.asarray(found)[: int(count)])
    values, weights = (np.asarray(x) for x in held)
    highest = weights.max()
    weights = weights - (highest + math.log(np.exp(weights - highest).sum())) if np.isfinite(highest) else weights
    outcomes = _outcomes(model, rows, tuple(how), np.concatenate(pits), cloud.time)
    return Cloud(record.end, values, weights), jax.tree.map(np.asarray, heard), outcomes


def _outcomes(model, rows: Rows, names: tuple[str, ...], pits: np.ndarray, begin: float) -> Outcomes:
    """Return where the measurements of some rows lay in their predictions, (row, output), as outcomes."""
    ends = (rows.timeline[:, 0] + rows.timeline[:, 1]) * minutes_per_unit(model)
    heard = np.append(begin, ends[np.any(rows.present, axis=1)])
    place, output = np.nonzero(np.isfinite(pits))
    before = heard[np.searchsorted(heard, ends[place] - _SAME_TIME) - 1]
    times = np.round(ends[place], 6)  # a replay must find the same value again
    return Outcomes(times, ends[place] - before, pits[place, output], np.array(names, str)[output])


def _padded(part):
    return np.concatenate([part, np.repeat(part[-1:], _CAPACITY - len(part), axis=0)])
