"""Roots of small matrices in compiled code without LAPACK, in whose calls threads would have to take turns."""

import jax.numpy as jnp
from jax import lax


def lower_root(matrix):
    """Return the lower triangular Cholesky root, column by column; NaN where the matrix is not positive definite."""
    size = len(matrix)

    def column(j, root):
        rest = matrix[:, j] - root @ root[j]
        return root.at[:, j].set(jnp.where(jnp.arange(size) >= j, rest / jnp.sqrt(rest[j]), 0.0))

    return lax.fori_loop(0, size, column, jnp.zeros_like(matrix))


def inverse_of_lower(lower):
    """Return the inverse of a lower triangular matrix, row by row."""
    identity = jnp.eye(len(lower))

    def row(i, inverse):
        return inverse.at[i].set((identity[i] - lower[i] @ inverse) / lower[i, i])

    return lax.fori_loop(0, len(lower), row, jnp.zeros_like(lower))
