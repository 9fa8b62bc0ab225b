"""What comes next under each of many plans, every draw with the same chances in all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..dynamics.precision import in_double_precision
from ..dynamics.programs import as_data, compiled
from ..dynamics.segments import bucket, build, doubled, drives, minutes_per_unit, padded
from ..inference.data import to_length
from ..inference.joint import Joint
from ..inference.twin import Twin
from ..patient.inputs import Inputs
from ..patient.require import require_count, require_each, require_key, require_kinds, require_room, require_times
from .forecast import carried, from_last_knots
from .plan import require_from_now

_KNOTS = 8


@dataclass(frozen=True)
class Alternatives:
    """Noise-free outputs of every draw under each of several plans.

    Attributes
    ----------
    times : (time,) min
    outputs : mapping of str to (plan, draw, time), in the model's units; NaN where a draw could not be solved
    solved : (plan, draw) bool
    """

    times: np.ndarray
    outputs: dict[str, np.ndarray]
    solved: np.ndarray


@in_double_precision
def alternatives(twin: Twin, plans: Sequence[Inputs], times, *, key, draws: int | None = None) -> Alternatives:
    """Carry every draw of a twin on under each plan.

    The same key, and so the same motion of what moves by itself, serves all plans: differences between them are those
    of the treatment.

    Parameters
    ----------
    twin : Twin
    plans : sequence of Inputs
        As for `forecast`: inputs that a plan does not name run on as they are.
    times : (time,) min
        When, as times of the record, all after the twin's present.
    key : jax PRNG key
        As for `forecast`: the same key gives the same outputs there.
    draws : int, optional
        Use so many of the twin's draws, evenly spread over the chains; all by default.

    Returns
    -------
    Alternatives

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If there is no plan, one lies before the present, or a time is not after it.
    """
    require_key(key)
    require_kinds(twin=(twin, Twin))
    require_each("plans", plans, Inputs)
    times = require_times(times, start=float(np.nextafter(twin.now, np.inf)))
    if not len(plans):
        raise ValueError("Argument `plans` is empty: give at least `Inputs()`, under which everything runs on.")
    for plan in plans:
        require_from_now(twin, plan)
    if draws is not None:
        require_count("draws", draws, 1, twin.draws)
    chosen = np.linspace(0, twin.draws - 1, twin.draws if draws is None else draws).round().astype(int)
    require_room("These forecasts", len(plans) * len(chosen) * len(times), "fewer plans, times or draws")
    model, posterior = twin.model, twin.group("posterior")
    driven = [_driven(twin, plan) for plan in plans]
    every = np.unique(np.concatenate([times, *(_changes(one, twin.now, float(times[-1])) for one in driven)]))
    cut = [build(model, one, twin.now, float(times[-1]), every, origin=twin.record.start)[0] for one in driven]
    first = cut[0]
    index = np.searchsorted(_borders(first, twin), times - 1e-6).astype(np.int32)
    flat = {str(n): v.values.reshape(twin.draws, *v.shape[2:])[chosen] for n, v in posterior.data_vars.items()}
    state = np.stack([v.values.ravel()[chosen] for v in twin.group("state").data_vars.values()], axis=-1)
    keys = jax.random.split(key, twin.draws)[chosen]
    first, counts = from_last_knots(twin, posterior, first, flat, times[-1])
    size, length = bucket(len(first.start), 16), bucket(len(times), 8)
    levels, slopes = (
        np.stack([np.pad(getattr(s, part), ((0, size - len(s.start)), (0, 0)), mode="edge") for s in cut])
        for part in ("level", "slope")
    )
    knots = tuple((name, doubled(count, _KNOTS)) for name, count in counts)
    ahead = Joint(model.declared_apart(as_data), padded(first, size), {}, {}, twin.integrator, knots)
    fill = bucket(len(plans), 4) - len(plans)  # so that a few plans more need no new program
    levels, slopes = (np.pad(x, ((0, fill), (0, 0), (0, 0)), mode="edge") for x in (levels, slopes))
    outputs, solved = _each(ahead, levels, slopes, flat, state, to_length(index, length), keys)
    kept = {name: np.asarray(values)[: len(plans), :, : len(times)] for name, values in outputs.items()}
    return Alternatives(times, kept, np.asarray(solved)[: len(plans)])


def _driven(twin: Twin, plan: Inputs):
    given = twin.record.inputs.then(plan, twin.now)
    return drives(twin.model, given, twin.record.observations, weight=twin.record.weight)


def _changes(driven, start: float, stop: float) -> np.ndarray:
    """Return the times of change (min) of everything that drives a plan, so that all plans have the same segments."""
    found = np.concatenate([times for times, _, _ in driven.values()]) if driven else np.zeros(0)
    return found[(found > start) & (found < stop)]


def _borders(segments, twin: Twin) -> np.ndarray:
    unit = minutes_per_unit(twin.model)
    return np.append(segments.start[:1], segments.start + segments.length) * unit


@compiled
def _each(ahead: Joint, levels, slopes, draws, first, index, keys):
    """Carry every draw through the segments of one plan after another; leaves (plan, draw, time)."""
    model, processes = ahead.model, ahead.model.processes()

    def under(inputs):
        level, slope = inputs
        world = eqx.tree_at(lambda a: (a.segments.level, a.segments.slope), ahead, (level, slope))

        def one(values, state, key):
            _, *path_keys = jax.random.split(key, 1 + len(processes))
            return carried(world, values, state, index, path_keys)

        outputs, solved = jax.vmap(one)(draws, first, keys)
        named = {name: getattr(outputs, name) for name in model.quantities(model.Output)}
        return {name: jnp.where(solved[:, None], values, jnp.nan) for name, values in named.items()}, solved

    return lax.map(under, (jnp.asarray(levels), jnp.asarray(slopes)))
