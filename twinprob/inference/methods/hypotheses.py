"""What readings say of several hypotheses at once: each particle lives on under each, with the same chances."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from ...dynamics.programs import compiled
from ...dynamics.segments import minutes_per_unit
from ...dynamics.simulate import Layout
from .filter import Rows, crossed, kicked, learned_of, log_likelihood, outputs_now

_SAME_TIME = 1e-6  # min


class Disturbed(NamedTuple):
    """What each hypothesis changes: how much and when for each particle, and where.

    Attributes
    ----------
    size : (cause, particle) on the unconstrained scale, as logarithm of a factor, or in an output's unit
    begin, end : (cause, particle) min; it acts in rows that begin at `begin` or later, on readings up to `end`
    column : (cause, column) 1 where a particle's column jumps
    input : (cause, input) 1 where the logarithm of a factor acts
    output : (cause, output) 1 where a reading is off by it
    """

    size: Any
    begin: Any
    end: Any
    column: Any
    input: Any
    output: Any


@compiled
def heard_under(model, observations, integrator, layout: Layout, rows: Rows, count, values, disturbed: Disturbed, key):
    """Carry particles (particle, column) over the first `count` rows under each hypothesis.

    Returns
    -------
    log_likelihoods : (cause, particle) of all readings
    first, last : mapping of str to (cause, particle), outputs before the first row and after the last, without noise
    """
    unit, inputs = minutes_per_unit(model), layout.inputs

    def under(one: Disturbed):
        def alone(row, value, factor, offset):
            driven = row.timeline.at[2 : 2 + inputs].multiply(factor)
            if layout.linear:
                driven = driven.at[2 + inputs :].multiply(factor)
            row, value = row._replace(timeline=driven, values=row.values - offset), value[None]
            value, solved = crossed(model, observations, integrator, layout, row, value)
            told = jnp.where(jnp.any(row.present), log_likelihood(model, observations, layout, row, value), 0.0)
            value = learned_of(model, observations, layout, row, value)
            outputs = jax.tree.map(lambda x: x[0], outputs_now(model, observations, layout, row, value))
            return value[0], jnp.where(solved, told, -jnp.inf)[0], outputs

        def body(i, carry):
            held, jumped, total, key, _ = carry
            row = jax.tree.map(lambda x: x[i], rows)
            key, path_key = jax.random.split(key)
            held = kicked(model, observations, row.kick, held, path_key) if model.processes() else held
            start, stop = row.timeline[0] * unit, (row.timeline[0] + row.timeline[1]) * unit
            on = start >= one.begin - _SAME_TIME
            held = held + jnp.where((on & ~jumped)[:, None], one.size[:, None] * one.column, 0.0)
            factors = jnp.exp(jnp.where(on[:, None] & (one.input > 0), one.size[:, None], 0.0))
            wrong = on & (stop <= one.end + _SAME_TIME)
            offsets = jnp.where(wrong[:, None], one.size[:, None] * one.output, 0.0)
            held, told, outputs = jax.vmap(alone, (None, 0, 0, 0))(row, held, factors, offsets)
            return held, jumped | on, total + told, key, outputs

        still = jax.tree.map(lambda x: x[0], rows)
        still = still._replace(timeline=still.timeline.at[1].set(0.0))
        first = outputs_now(model, observations, layout, still, values)
        begun = values, jnp.zeros(len(values), bool), jnp.zeros(len(values)), key, first
        _, _, total, _, last = lax.fori_loop(0, count, body, begun)
        named = lambda found: {name: getattr(found, name) for name in model.quantities(model.Output)}  # noqa: E731
        return total, named(first), named(last)

    return jax.vmap(under)(disturbed)
