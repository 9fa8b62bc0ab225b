"""What a record's earlier part says of its later one: a normal of the constants, and of what moves given those."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.scipy.linalg import solve_triangular

from ..modeling.model import AbstractModel
from ..patient.record import Record

_REACH = 6.0
_RIDGE = 1e-9


class Past(eqx.Module):
    """What was believed when a window of a record begins, from all that was measured before.

    Attributes
    ----------
    time : float, min, when the window begins
    names : tuple of str, the sites of the constants it speaks of
    center : (constant,) on the unconstrained scale
    root : (constant, constant), lower triangular: of their covariance
    mean : (moving,), varying parameters on their unconstrained scale and then states, at the center
    slope : (moving, constant), how it moves with the constants
    spread : (moving, moving), a root of the covariance that is left given the constants
    evidence : float, log density of the measurements before
    """

    time: float
    names: tuple[str, ...] = eqx.field(static=True)
    center: np.ndarray
    root: np.ndarray
    mean: np.ndarray
    slope: np.ndarray
    spread: np.ndarray
    evidence: float

    def constants(self, z):
        """Return the constants for standard normals z (constant,)."""
        return self.center + jnp.asarray(self.root) @ z

    def log_density(self, constants):
        """Return the log density of the constants (constant,), and that of the measurements before."""
        z = solve_triangular(jnp.asarray(self.root), constants - self.center, lower=True)
        volume = jnp.sum(jnp.log(jnp.diag(jnp.asarray(self.root))))
        return self.evidence - 0.5 * jnp.sum(z**2) - volume - 0.5 * len(self.names) * np.log(2 * np.pi)

    def precision(self):
        """Return the precision of the constants, (constant, constant)."""
        inverse = solve_triangular(jnp.asarray(self.root), jnp.eye(len(self.names)), lower=True)
        return inverse.T @ inverse

    def moving(self, constants, z):
        """Return what moves, when the window begins, for constants and standard normals z (moving,)."""
        away = solve_triangular(jnp.asarray(self.root), constants - self.center, lower=True)
        # Far out a line leads to what no patient has; nothing believable lies there.
        away = away * jnp.minimum(1.0, _REACH / jnp.maximum(jnp.sqrt(jnp.sum(away**2) + 1e-12), 1e-6))
        return self.mean + jnp.asarray(self.slope) @ (jnp.asarray(self.root) @ away) + jnp.asarray(self.spread) @ z

    def begun(self, sites: Mapping[str, dist.Distribution], paths: Iterable[str], values: Mapping[str, Any]):
        """Return where each path stands when the window begins, on the unconstrained scale, and the state (state,)."""
        constants = [dist.biject_to(sites[name].support).inv(values[name]) for name in self.names]
        paths = tuple(paths)
        firsts = [values[f"{name}_innovations"][:1] for name in paths]
        found = self.moving(jnp.stack(constants), jnp.concatenate([*firsts, values["state_innovations"]]))
        return dict(zip(paths, found, strict=False)), found[len(paths) :]


def cut(model: AbstractModel, record: Record, time: float) -> tuple[Record, Record]:
    """Return the record before a time and the one from it on; signals that drive the model stay whole in both."""
    inputs, outputs = model.quantities(model.Input), model.quantities(model.Output)
    driving = {name for name, declared in inputs.items() if declared.measured}

    def part(first: bool) -> dict[str, Any]:
        found = {}
        for name, series in record.observations.items():
            one = series.select((series.times < time) == first) if name in outputs and name not in driving else series
            if len(one.times):
                found[name] = one
        return found

    early = dataclasses.replace(record, observations=part(True), end=time)
    return early, dataclasses.replace(record, observations=part(False), start=time)


def past_of(
    time: float,
    names: Sequence[str],
    wanted: Mapping[str, object],
    constants: np.ndarray,
    weights: np.ndarray,
    means: np.ndarray,
    covariances: np.ndarray,
    owners: np.ndarray,
    evidence: float,
) -> Past:
    """Summarize weighted constants and what moves given each.

    Parameters
    ----------
    time : float, min
    names : sequence of str, the sites of the constants
    wanted : mapping by site, those the window has; the others are averaged over
    constants : (draw, constant) on the unconstrained scale
    weights : (draw,) summing to one
    means : (some draw, moving), of equally weighted draws
    covariances : (some draw, moving, moving)
    owners : (some draw,) int, which draws these are
    evidence : float
    """
    keep = [i for i, name in enumerate(names) if name in wanted]
    center = weights @ constants
    away = constants - center
    cover = (weights[:, None] * away).T @ away
    # Given the constants what moves follows a plane; what the plane misses is part of the spread.
    x = constants[owners] - center
    design = np.concatenate([np.ones((len(x), 1)), x[:, keep]], axis=1)
    scale = np.maximum(np.abs(design).max(axis=0), 1e-300)
    normal = (design / scale).T @ (design / scale)
    found = np.linalg.solve(normal + _RIDGE * len(x) * np.eye(len(normal)), (design / scale).T @ means) / scale[:, None]
    missed = means - design @ found
    left = covariances.mean(axis=0) + missed.T @ missed / len(x)
    return Past(
        time=float(time),
        names=tuple(names[i] for i in keep),
        center=center[keep],
        root=np.linalg.cholesky(cover[np.ix_(keep, keep)] + _RIDGE * np.diag(np.diag(cover)[keep])),
        mean=found[0],
        slope=found[1:].T,
        spread=_root(left),
        evidence=float(evidence),
    )


def _root(covariance: np.ndarray) -> np.ndarray:
    """Return a symmetric root of a covariance some of whose directions may be certain, each in its own unit."""
    scale = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    scale = np.where(scale > 0, scale, 1.0)
    values, vectors = np.linalg.eigh(covariance / scale / scale[:, None])
    return scale[:, None] * (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
