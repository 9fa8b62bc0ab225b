"""Compile ahead what a service will need, before the first patient waits for it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..dynamics.integrators import AbstractIntegrator
from ..dynamics.precision import in_double_precision
from ..dynamics.programs import compiled, held
from ..inference.fit import Personal, fit
from ..inference.joint import joint
from ..inference.methods.filter import Filter
from ..inference.methods.sampled import AbstractMethod
from ..inference.update import update
from ..modeling.model import AbstractModel
from ..modeling.observation import Observation
from ..patient.inputs import Inputs
from ..patient.record import Record, Series
from ..patient.units import VOCABULARY, minutes
from .forecast import forecast

_DRAWS = 64


@in_double_precision
def warm(
    model: AbstractModel,
    *,
    hours: float | Sequence[float],
    every: str = "2 h",
    ahead: float = 4.0,
    like: Record | None = None,
    method: AbstractMethod | None = None,
    rolling: Filter | None = None,
    population: Personal | None = None,
    observations: Mapping[str, Observation] | None = None,
    integrator: AbstractIntegrator | None = None,
) -> tuple[str, ...]:
    """Compile what `fit`, `update` and `forecast` need for records of a kind, by running them once on a made-up one.

    Numbers are no part of a program: other values, weights, priors and numbers of measurements of the same size need
    none of their own. Lengths are rounded up to few sizes, each about twice the one before (16, 64, 128, 256 knots or
    measurements; 48, 192, 384, 768 segments), so one length stands for all of its size.

    Parameters
    ----------
    model : AbstractModel
        With the same parameters unknown and moving as in the fits to come.
    hours : float, or several
        Length of the records to come; give one for each size that will be met, such as ``(12, 48, 96)``.
    every : str
        Time between measurements.
    ahead : float, h
        How far forecasts will reach.
    like : Record, optional
        A record of the kind to come, of which the first `hours` are used in place of a made-up one: where the model is
        driven by a measured input, where only some of its outputs are measured, or where they are at different times.
    method, population, observations, integrator : optional
        As `fit` will be asked.
    rolling : Filter, optional
        As `update` will be asked.

    Returns
    -------
    names : tuple of str
        The functions compiled now; empty where all were ready.

    Raises
    ------
    ValueError
        If the model is driven by a measured input and no `like` is given, or a length is not positive.

    Examples
    --------
    >>> warm(tp.models.metabolic.ICING(), hours=(24, 96))  # doctest: +SKIP
    """
    before = len(held())
    key = jax.random.key(0)
    for length in np.atleast_1d(np.asarray(hours, float)):
        if not (np.isfinite(length) and length > 0):
            raise ValueError(f"Argument `hours` must be positive, but holds {length}.")
        record = _made_up(model, length, every, observations) if like is None else like.until(like.start + 60 * length)
        how: dict[str, Any] = {"observations": observations, "integrator": integrator, "population": population}
        twin = fit(model, record, key=key, method=method, **how)
        soon = forecast(twin, hours=ahead, key=key)
        forecast(update(twin, _expected(soon, record), key=key, method=rolling), hours=ahead, key=key)
    return held()[before:] if len(held()) > before else ()


def _made_up(model: AbstractModel, hours: float, every: str, observations) -> Record:
    """Return a record of every output at its prior's median, under nothing given and settings in the middle."""
    declared = model.quantities(model.Output)
    known = {n: q for n, q in declared.items() if q.noise is not None or n in (observations or {})}
    times = np.arange(0.0, 60.0 * hours + 1e-6, minutes(every))
    given, end = _middling(model), 60.0 * hours

    def charted(values) -> Record:  # unchecked: what nobody measured need not be plausible
        series = {n: Series(times, np.asarray(values[n])[: len(times)], q.unit) for n, q in known.items()}
        return Record(series, given, start=0.0, end=end)

    density = joint(model, charted({n: np.ones(len(times)) for n in known}), observations=observations)
    return charted(_typical(density, jax.random.key(0)))


def _middling(model: AbstractModel) -> Inputs:
    """Return every setting that the model cannot do without, at a fifth of its highest plausible value."""
    needed = {n: q for n, q in model.quantities(model.Input).items() if q.default is None and not q.measured}
    given = Inputs()
    for name, declared in needed.items():
        entry = VOCABULARY.get(name)
        value, unit = (1.0, declared.unit) if entry is None else (max(entry.low, 0.2 * entry.high), entry.unit)
        given = given | Inputs.settings(name, -np.inf, value, unit, own=(name,))
    return given


@compiled
def _typical(density, key):
    """Return the median over the prior of what is measured, by output; leaves (time,)."""

    def one(key):
        values = density.constrain(density.draw_prior(key))
        means, solved = density.means(values)
        return {name: jnp.where(solved, means[name], jnp.nan) for name in density.data}

    return jax.tree.map(lambda x: jnp.nanmedian(x, axis=0), jax.vmap(one)(jax.random.split(key, _DRAWS)))


def _expected(soon, record: Record) -> Record:
    """Return the first forecast's medians as what was measured next: nothing that would surprise an update."""
    frame = soon.summary()
    first = frame[frame["time"] == soon.times[0]].set_index("variable")
    seen = {n: (soon.times[:1], [first.loc[n, "median"]], first.loc[n, "unit"]) for n in record.observations}
    built = Record.build(seen, own=tuple(seen), start=record.end, end=float(soon.times[0]))
    return replace(built, covariates=dict(record.covariates))
