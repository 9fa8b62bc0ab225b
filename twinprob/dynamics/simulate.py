"""Integrate a model over a patient's segments. The only file that integrates."""

import dataclasses
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ..modeling.declarations import require_complete
from ..modeling.model import AbstractModel, pack
from ..patient.inputs import Inputs
from ..patient.record import Series
from ..patient.record_checks import begun
from ..patient.require import require_each, require_kinds, require_times
from .delays import arrived, delayed, lags_of
from .integrators import AbstractIntegrator, FixedStep, Halved
from .programs import compiled
from .segments import Segments, bucket, build, drives, padded

_IMPOSSIBLE = 1e30


class Layout(NamedTuple):
    """Where start, length, inputs and parameters stand in one packed row of a segment."""

    inputs: int
    linear: bool
    substeps: int
    unknowns: tuple[str, ...]


def timeline_of(segments: Segments) -> Float[Array, "segment column"]:
    """Put start, length and inputs of each segment side by side: one slice per step is cheaper than five."""
    columns = [segments.start[:, None], segments.length[:, None], segments.level]
    return jnp.concatenate(columns + ([segments.slope] if segments.linear else []), axis=1)


def layout_of(segments: Segments, unknowns: tuple[str, ...]) -> Layout:
    """Return the layout of a row."""
    return Layout(segments.level.shape[1], segments.linear, segments.substeps, unknowns)


def flow(model, integrator, layout: Layout, state, row):
    """Carry one patient's state across one segment; a state that leaves the finite numbers stays where it was.

    Parameters
    ----------
    model : AbstractModel
    integrator : AbstractIntegrator
    layout : Layout
    state : (state,)
    row : (column,) a row of `timeline_of` followed by the unknown parameters

    Returns
    -------
    state : (state,) at the end of the segment
    solved : () 1.0, or 0.0 where the integration failed
    """
    start, length, count = row[0], row[1], layout.inputs
    level = row[2 : 2 + count]
    slope = row[2 + count : 2 + 2 * count] if layout.linear else None
    patient = model.install(layout.unknowns, row[row.shape[0] - len(layout.unknowns) :])

    def field(time, y):
        inputs = level if slope is None else level + slope * (time - start)
        return pack(patient.vector_field(time, model.State(*y), model.Input(*inputs)))

    ended = integrator.cross(field, state, start, length, layout.substeps)
    solved = jnp.all(jnp.abs(ended) < _IMPOSSIBLE)
    return jnp.where(solved, ended, state), solved.astype(state.dtype)


def _scan(model, integrator, layout, state, rows):
    def step(carry, row):
        state, solved = carry
        state, ok = flow(model, integrator, layout, state, row)
        return (state, solved * ok), state

    (_, solved), states = lax.scan(step, (state, jnp.ones((), state.dtype)), rows)
    return jnp.concatenate([state[None], states]), solved


@eqx.filter_custom_jvp
def borders(state, values, timeline, model, *, integrator, layout):
    """Return the state at every segment border, and whether every segment was solved.

    Derivatives come from per-segment flow Jacobians, chained by a linear recurrence that JAX can transpose: exact in
    forward and in reverse mode, at the cost of a few vector-field evaluations per step, without replaying the solver.

    Parameters
    ----------
    state : (state,) at the first border
    values : (segment, parameter) the unknown parameters' values in each segment
    timeline : (segment, column) the rest of each row, from `timeline_of`
    model : AbstractModel
    integrator : AbstractIntegrator
    layout : Layout

    Returns
    -------
    states : (segment + 1, state)
    solved : () 1.0 or 0.0
    """
    return _scan(model, integrator, layout, state, jnp.concatenate([timeline, values], axis=1))


@borders.def_jvp
def _borders_jvp(primals, tangents, *, integrator, layout):
    state, values, timeline, model = primals
    d_state, d_values, d_timeline, d_model = tangents
    states, solved = borders(state, values, timeline, model, integrator=integrator, layout=layout)

    def cross(y, value, times, patient):
        return flow(patient, integrator, layout, y, jnp.concatenate([times, value]))[0]

    first = jnp.zeros_like(state) if d_state is None else d_state
    moving = (0,) + (() if d_values is None else (1,)) + (() if d_timeline is None else (2,))
    jacobian = jax.jacfwd(lambda y, value, times: cross(y, value, times, model), argnums=moving)
    by_state, *others = jax.vmap(jacobian)(states[:-1], values, timeline)
    kicks = jnp.zeros_like(states[:-1])
    for by, change in zip(others, [d for d in (d_values, d_timeline) if d is not None], strict=True):
        kicks = kicks + jnp.einsum("kij,kj->ki", _finite(by), change)
    for by, change in _by_constants(cross, model, d_model, (states[:-1], values, timeline)):
        kicks = kicks + jnp.tensordot(_finite(by), change, change.ndim)

    def step(change, slices):
        jacobian, kick = slices
        change = jacobian @ change + kick
        return change, change

    _, changes = lax.scan(step, first, (_finite(by_state), kicks))
    return (states, solved), (jnp.concatenate([first[None], changes]), jnp.zeros_like(solved))


def _by_constants(cross, model, d_model, points):
    """Return the flow's Jacobian by each number of the model that moves, with how it moves."""
    leaves, structure = jax.tree.flatten(model, is_leaf=lambda x: x is None)
    changes = structure.flatten_up_to(d_model)  # type: ignore[attr-defined]
    moving = [i for i, change in enumerate(changes) if change is not None]
    if not moving:
        return []

    def along(numbers, *point):
        patient = dict(enumerate(leaves)) | dict(zip(moving, numbers, strict=True))
        return cross(*point, jax.tree.unflatten(structure, [patient[i] for i in range(len(leaves))]))

    numbers = [leaves[i] for i in moving]
    jacobians = jax.vmap(jax.jacfwd(along), in_axes=(None, 0, 0, 0))(numbers, *points)
    return list(zip(jacobians, [changes[i] for i in moving], strict=True))


def crossed(state, values, segments: Segments, model, integrator, lags=None) -> tuple[Array, Array]:
    """Return the state at every border of the segments, (segment + 1, state), and whether every one was solved.

    `values` (segment, parameter) are the unknowns in each; `lags` (input,) of segments with edges.
    """
    timeline, places, layout = timeline_of(segments), None, layout_of(segments, model.unknowns())
    if lags is not None:
        timeline, values, places = delayed(segments, values, lags)
    states, solved = borders(state, values, timeline, model, integrator=integrator, layout=layout)
    return (states if places is None else states[places]), solved


def _finite(x):
    return jnp.where(jnp.isfinite(x), x, 0.0)


# ---- the public verb --------------------------------------------------------------------------------------------


class Trajectory(NamedTuple):
    """Noise-free outputs and states at report times, and how far to trust the integration.

    Attributes
    ----------
    output : `model.Output` with leaves of shape (time,), units as declared
    state : `model.State` with leaves of shape (time,)
    solved : () bool, False if the integration failed; the numbers are then meaningless
    error : `model.Output` with leaves of shape (time,): estimate of the integration error, in the outputs' units
    """

    output: Any
    state: Any
    solved: Array
    error: Any


def simulate(model, inputs: Inputs, times, *, measured=None, start: float | None = None, integrator=None) -> Trajectory:
    """Integrate a model with known parameter values under given inputs.

    Parameters
    ----------
    model : AbstractModel
        One patient's parameter values, all taken as known and constant in time.
    inputs : Inputs
        What is done to the patient; units are converted to the model's.
    times : (time,) min
        Strictly increasing report times.
    measured : mapping of str to Series, optional
        Measured inputs of models that declare them.
    start : float, min, optional
        Time of the initial state. By default the first report time, or the first dose or infusion where that is
        earlier, so that what was given before is felt.
    integrator : AbstractIntegrator, optional
        `FixedStep()` by default.

    Returns
    -------
    Trajectory

    Raises
    ------
    TypeError
        If model, inputs, a measured series or the integrator is something else, or the model's equations return
        something else than they should.
    ValueError
        If the model lacks a part or a value, `times` is not strictly increasing and finite, or begins before `start`,
        or a setting is unknown.

    Notes
    -----
    Fails as a value, not an exception, because samplers propose impossible patients. The error of a fixed-step solve
    is estimated from a second solve with half as many steps; that of an adaptive solve is its own tolerance.
    """
    require_kinds(
        model=(model, AbstractModel), inputs=(inputs, Inputs), integrator=(integrator, AbstractIntegrator, None)
    )
    require_each("measured", measured, Series)
    times = require_times(times, start=start)
    start = begun(inputs, float(times[0])) if start is None else float(start)
    known = dataclasses.replace(model, unknown=(), priors={})
    require_complete(known)
    segments, index = build(known, drives(known, inputs, measured or {}), start, float(times[-1]), times, delays=True)
    segments = padded(segments, bucket(len(segments.start), 16))
    integrator = FixedStep() if integrator is None else integrator
    output, state, solved, error = _simulate(known, segments, index, integrator)
    return Trajectory(output, state, solved, error)


@compiled
def _simulate(model, segments, index, integrator):
    def solve(integrator, model):
        model, possible = _possible(model)
        first = model.initial(model.Input(*segments.before))
        values = jnp.zeros((len(segments.start), 0))
        shown, lags = segments, None if segments.edges is None else lags_of(model)
        states, solved = crossed(pack(first), values, segments, model, integrator, lags)
        if lags is not None:
            shown = arrived(segments, lags)
        reported = states[index]
        return reported, outputs_at(model, reported, index, shown), (solved > 0) & possible

    reported, output, solved = solve(integrator, model)
    if isinstance(integrator, FixedStep):
        _, rough, _ = solve(Halved(), model)
        error = jax.tree.map(lambda fine, other: jnp.abs(fine - other), output, rough)
    else:
        error = jax.tree.map(lambda y: integrator.atol + integrator.rtol * jnp.abs(y), output)
    return output, model.State(*reported.T), solved, error


def outputs_at(model, states, index, segments):
    """Return the outputs for states at segment borders, with the inputs that act just before each."""
    row = jnp.maximum(index - 1, 0)
    length, level, slope = (jnp.asarray(x)[row] for x in (segments.length, segments.level, segments.slope))
    inputs = level + slope * jnp.where(index > 0, length, 0.0)[:, None]
    return jax.vmap(lambda y, u: model.output(model.State(*y), model.Input(*u)))(states, inputs)


def outputs_move(model, state, level, moving, time):
    """Return how fast one patient's outputs move while its inputs are at `level` (input,) and move by `moving`."""
    change = pack(model.vector_field(time, model.State(*state), model.Input(*level)))
    return jax.jvp(lambda y, u: model.output(model.State(*y), model.Input(*u)), (state, level), (change, moving))[1]


def slopes_at(model, states, index, segments):
    """Return how fast the outputs move at segment borders, per time unit of the model, under the inputs before each."""
    row = jnp.maximum(index - 1, 0)
    start, length, level, slope = (
        jnp.asarray(x)[row] for x in (segments.start, segments.length, segments.level, segments.slope)
    )
    passed = jnp.where(index > 0, length, 0.0)

    at = level + slope * passed[:, None]
    return jax.vmap(lambda y, u, moving, time: outputs_move(model, y, u, moving, time))(
        states, at, slope, start + passed
    )


def _possible(model):
    """Replace parameter values that no patient has by safe ones, and say whether there were any."""
    names = tuple(model.parameters())
    values = jnp.stack([jnp.asarray(getattr(model, name), float) for name in names]) if names else jnp.zeros(0)
    fine = jnp.isfinite(values) & (jnp.abs(values) < _IMPOSSIBLE)
    return model.install(names, jnp.where(fine, values, 1.0)), jnp.all(fine)
