"""States inside segments, between the borders that the flow leads to."""

import dataclasses

import jax
import jax.numpy as jnp

from ..modeling.model import pack


def landed(model, segments, states, rows, index, after):
    """Carry states from the start of their segments to times inside them, all side by side.

    A cubic through the states at both borders and with their slopes: over one step of the model its error is less than
    that of the step itself, and it costs less by far.

    Parameters
    ----------
    model : AbstractModel
    segments : Segments
    states : (segment + 1, state) at the borders
    rows : (segment, parameter)
    index : (time,) int, the segment of each time
    after : (time,) time since its start, in the model's unit, at most the model's step

    Returns
    -------
    states : (time, state)
    cut : Segments, one for each time, that end there
    """
    starts, lengths, levels, slopes = (
        jnp.asarray(x) for x in (segments.start, segments.length, segments.level, segments.slope)
    )
    bare, unknowns = dataclasses.replace(model, priors={}, motions={}), model.unknowns()

    def change(row, state, time, level):
        patient = bare.install(unknowns, row)
        return pack(patient.vector_field(time, model.State(*state), model.Input(*level)))

    begins = jax.vmap(change)(rows, states[:-1], starts, levels)
    ends = jax.vmap(change)(rows, states[1:], starts + lengths, levels + slopes * lengths[:, None])
    share = (after / lengths[index])[:, None]
    steps = lengths[:, None]
    moved = states[1:] - states[:-1]
    # Hermite's cubic by powers of the share, side by side: they are gathered at once.
    second, third = 3.0 * moved - steps * (2.0 * begins + ends), steps * (begins + ends) - 2.0 * moved
    a, b, c, d = jnp.moveaxis(jnp.stack([states[:-1], steps * begins, second, third], axis=1)[index], 1, 0)
    inside = a + share * (b + share * (c + share * d))
    cut = dataclasses.replace(segments, start=starts[index], length=after, level=levels[index], slope=slopes[index])
    return inside, cut
