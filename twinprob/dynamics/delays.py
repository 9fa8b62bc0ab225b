"""Inputs that act later than they are given: borders of segments that move with a patient's lag."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .segments import Segments


def lags_of(patient) -> Array:
    """Return how long after it is given each input of a patient acts, (input,), in the model's time unit."""
    declared = patient.quantities(patient.Input).values()
    return jnp.stack([jnp.asarray(getattr(patient, q.lag) if q.lag else 0.0, float) for q in declared])


def delayed(segments: Segments, rows, lags) -> tuple[Array, Array, Array]:
    """Cut segments where delayed changes arrive, so that no step crosses one: what follows is smooth in the lag.

    Parameters
    ----------
    segments : Segments
        With edges: changes of delayed inputs, which its levels leave out.
    rows : (segment, parameter)
    lags : (input,), from `lags_of`

    Returns
    -------
    timeline : (more segments, column), as of `timeline_of`
    rows : (more segments, parameter)
    places : (segment + 1,) int, where the borders of the segments stand among those of the new ones
    """
    borders, moved = _borders(segments), _moved(segments, lags)
    every = jnp.concatenate([borders, moved])
    order = jnp.argsort(every, stable=True)
    places = jnp.argsort(order, stable=True)[: len(borders)]
    marks = every[order]
    begins = marks[:-1]
    source = jnp.clip(jnp.searchsorted(borders[:-1], begins, side="right") - 1, 0)
    slope = jnp.asarray(segments.slope)[source]
    level = jnp.asarray(segments.level)[source] + slope * (begins - borders[source])[:, None]
    level = level + _acting(segments, moved <= jax.lax.stop_gradient(begins)[:, None])
    columns = [begins[:, None], jnp.diff(marks)[:, None], level, *([slope] if segments.linear else [])]
    return jnp.concatenate(columns, axis=1), rows[source], places


def arrived(segments: Segments, lags) -> Segments:
    """Return segments whose levels hold what of delayed inputs acts just before the end of each, for outputs there."""
    late = _acting(segments, _moved(segments, lags) < _borders(segments)[1:, None])
    return dataclasses.replace(segments, level=jnp.asarray(segments.level) + late)  # type: ignore[arg-type]


def _borders(segments: Segments) -> Array:
    """Return the border of every segment, (segment + 1,); padding lies at the end."""
    starts, ends = jnp.asarray(segments.start), jnp.asarray(segments.start) + jnp.asarray(segments.length)
    return jnp.concatenate([starts[:1], jax.lax.cummax(ends)])


def _moved(segments: Segments, lags) -> Array:
    """Return when each change arrives, (edge,), no earlier than the start and no later than the end."""
    borders = _borders(segments)
    return jnp.clip(jnp.asarray(segments.edges) + lags[jnp.asarray(segments.delayed)], borders[0], borders[-1])


def _acting(segments: Segments, here) -> Array:
    """Return what the changes that are `here` (segment, edge) add to each input, (segment, input)."""
    inputs = jnp.asarray(segments.delayed)[:, None] == jnp.arange(segments.level.shape[1])
    return (here * jnp.asarray(segments.jumps)) @ inputs.astype(float)
