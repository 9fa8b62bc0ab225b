"""Measurements whose error lasts as independent ones: how each innovation moves with every unknown."""

import jax
import jax.numpy as jnp

from .joint import Joint


def innovation_rows(joint: Joint, name: str, means, slopes, position):
    """Return how the innovations of one output, and the logarithms of their variances, move with the unknowns.

    A row's square, times its weight, is what the measurement says beyond those before it: the sum over rows is the
    expected information of all, for `Gaussian` noise without a detection limit, and is never negative.

    Parameters
    ----------
    joint : Joint
    name : str, an output with a lasting error
    means : mapping of str to (time,), the noise-free outputs at the measurements
    slopes : (time, unknown), how this output moves with the unknowns
    position : (unknown,)

    Returns
    -------
    rows : (time, 2, unknown), weights : (time, 2)
    """
    value = jnp.asarray(joint.measurements()[name].values)

    def of(mean, q):
        found = joint.measured({**means, name: mean}, joint.constrain(q))[name].innovations(value)
        return (found.errors, found.log_variances), found

    def along(direction, column):
        return jax.jvp(of, (means[name], position), (column, direction), has_aux=True)[1:]

    (errors, sizes), found = jax.vmap(along, out_axes=(-1, None))(jnp.eye(joint.size), slopes.T)
    weights = jnp.stack([found.weights, jnp.where(found.exact, 0.5, 0.0)], axis=-1)
    return jnp.stack([errors, sizes], axis=1), weights
