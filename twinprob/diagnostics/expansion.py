"""A model at random points: Taylor series of its states and outputs, with derivatives by what is unknown."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..dynamics.programs import compiled
from ..modeling.model import AbstractModel, nearest, pack
from .arithmetic import PRIME, NoRoot, Real, Residue
from .symmetry import Point, echelon, unit_rows
from .taylor import KNOWN, Program, Runner, Untraceable, part, trace

POINTS = 3
_TRIES = 200
_LONGEST = 60  # orders; sums of more products than 64 could leave 64 bits
_LONGEST_REAL = 28  # beyond, rounding has eaten what a further derivative could say
_SPREAD = 0.15
_FAILURES = (ZeroDivisionError, OverflowError, FloatingPointError, ValueError)


@dataclass(frozen=True)
class Experiment:
    """A model with everything that a verdict depends on."""

    name: str
    model: AbstractModel
    states: int
    unknown: tuple[str, ...]
    free: tuple[int, ...]
    measured: tuple[int, ...]
    moving: np.ndarray  # (input,) 2 where it varies, 1 where it is constant, 0 where it is absent
    values: np.ndarray  # (unknown,)
    varying: tuple[str, ...]
    field: Program
    output: Program
    start: Program  # all states
    first: Program  # those that are not free

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the unknowns."""
        states = tuple(self.model.quantities(self.model.State))
        return (*self.unknown, *(f"{states[i]} at the start" for i in self.free))


def experiment_of(model, outputs, unknown, known, free_states, constant, absent) -> Experiment:
    """Check what was asked for by name and trace the model's equations; the arguments are those of `structural`."""
    name = type(model).__name__
    declared = {kind: tuple(model.quantities(kind)) for kind in (model.State, model.Input, model.Output)}
    states, inputs, everything = declared.values()
    outputs = everything if outputs is None else outputs
    unknown = model.unknowns() if unknown is None else unknown
    for argument, names, valid in (
        ("outputs", outputs, everything),
        ("unknown", unknown, tuple(model.parameters())),
        ("known", known, tuple(model.parameters())),
        ("free_states", free_states, states),
        ("constant", constant, inputs),
        ("absent", absent, inputs),
    ):
        if isinstance(names, str):
            raise ValueError(f"Argument `{argument}` must be a sequence of names; write `({names!r},)`.")
        for wrong in [n for n in names if n not in valid][:1]:
            raise ValueError(f"Argument `{argument}` names `{wrong}`, which `{name}` lacks; {nearest(wrong, valid)}")
    if not outputs:
        raise ValueError(f"Argument `outputs` must name at least one measured output of {', '.join(everything)}.")
    unknown = tuple(n for n in model.parameters() if n in unknown and n not in known)
    if not unknown and not free_states:
        raise ValueError(f"Model `{name}` has nothing unknown here; name parameters in `unknown` or `free_states`.")
    for n in (n for n in model.parameters() if n not in unknown and not math.isfinite(getattr(model, n))):
        raise ValueError(
            f"Parameter `{n}` of model `{name}` counts as known here but has no value; give it one with "
            f"`model.fix({n}=…)` or name it in `unknown`."
        )
    moving = np.array([0 if n in absent else 1 if n in constant else 2 for n in inputs], int)
    varying = tuple(model.processes())
    model = dataclasses.replace(model, unknown=unknown, priors={}, motions={})
    free = tuple(i for i, s in enumerate(states) if s in free_states)
    values = np.array([_value(model, n) for n in unknown])
    field, output, start = _programs(model, unknown, len(states), len(inputs))
    first = part(start, [i for i in range(len(states)) if i not in free])
    measured = tuple(everything.index(n) for n in everything if n in outputs)
    return Experiment(
        name, model, len(states), unknown, free, measured, moving, values, varying, field, output, start, first
    )


def _value(model, name: str) -> float:
    value = float(getattr(model, name))
    return value if math.isfinite(value) and value != 0.0 else 1.0


def _programs(model, unknown, states: int, inputs: int) -> tuple[Program, Program, Program]:
    """Trace the author's three methods."""

    def scalars(quantities):
        return tuple(jnp.asarray(getattr(quantities, f.name), float) for f in dataclasses.fields(quantities))

    def patient(values):
        return model.install(unknown, values)

    def field(p, x, u, t):
        return scalars(patient(p).vector_field(t[0], model.State(*x), model.Input(*u)))

    def output(p, x, u):
        return scalars(patient(p).output(model.State(*x), model.Input(*u)))

    def first(p, u):
        return scalars(patient(p).initial(model.Input(*u)))

    count = len(unknown)
    return trace(field, count, states, inputs, 1), trace(output, count, states, inputs), trace(first, count, inputs)


# ---- series at random points ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Expansion:
    """Series of states and outputs at one point, shape (order, 1 + unknown, quantity)."""

    arithmetic: Real | Residue
    point: Point
    states: np.ndarray
    outputs: np.ndarray


def branches_of(experiment: Experiment, chance) -> dict[str, list[Any] | None]:
    """Take every comparison's answer a moment after the start, at the model's own values."""
    for step in (*experiment.field.steps, *experiment.output.steps):
        if step.primitive.name not in KNOWN:  # told before anything is compiled
            raise Untraceable(step.primitive.name)
    inputs = np.where(experiment.moving > 0, chance.uniform(0.5, 1.0, len(experiment.moving)), 0.0)
    state = first_state(experiment, experiment.values, inputs)
    state[list(experiment.free)] = _generic(state[list(experiment.free)], chance)
    fixed = [np.full((1, 1), v) for v in (*experiment.values, *state, *inputs)]
    runner = Runner(Real())
    found: dict[str, list[Any] | None] = {}
    try:
        moved = [x[0, 0] for x in runner.run(experiment.field, [*fixed, np.zeros((1, 1))])]
        state = state + 1e-3 * experiment.model.step * np.array(moved)
        fixed = [np.full((1, 1), v) for v in (*experiment.values, *state, *inputs)]
        for name, program, arguments in (
            ("field", experiment.field, [*fixed, np.zeros((1, 1))]),
            ("output", experiment.output, fixed),
        ):
            runner.run(program, arguments)
            found[name] = runner.answers
    except _FAILURES:
        raise singular(experiment) from None
    try:
        runner.run(experiment.first, [np.full((1, 1), v) for v in (*experiment.values, *inputs)])
        found["first"] = runner.answers
    except (Untraceable, *_FAILURES):
        found["first"] = None
    return found


def singular(experiment: Experiment) -> ValueError:
    """Say that the equations cannot be expanded where they start."""
    return ValueError(
        f"The equations of model `{experiment.name}` cannot be expanded at its initial state (a division by zero, or a "
        "logarithm or power of zero); name the states that start there in `free_states`."
    )


def first_state(experiment: Experiment, values, inputs) -> np.ndarray:
    """Return the model's own initial state in floating point."""
    try:
        found = Runner(Real()).run(experiment.start, [np.full((1, 1), v) for v in (*values, *inputs)])
        return np.array([series[0, 0] for series in found])
    except (Untraceable, IndexError):
        return _start_with_slopes(experiment, values, inputs)[0]


def _start_with_slopes(experiment: Experiment, values, inputs) -> tuple[np.ndarray, np.ndarray]:
    """Return the initial state and its Jacobian by the unknown parameters, loops and all, from JAX itself."""
    model = jax.tree.map(lambda x: np.asarray(x) if isinstance(x, float) else x, experiment.model)
    state, slopes = _first_state(model, experiment.unknown, np.asarray(values, float), np.asarray(inputs, float))
    return np.array(state), np.array(slopes)


@compiled
def _first_state(model, unknown: tuple[str, ...], values, inputs):
    def first(values):
        return pack(model.install(unknown, values).initial(model.Input(*inputs)))

    return first(values), jax.jacfwd(first)(values)


def _generic(values: np.ndarray, chance) -> np.ndarray:
    """Return random values around given ones, and around one where they are zero."""
    return np.where(values == 0, 1.0, values) * np.exp(_SPREAD * chance.standard_normal(values.shape))


def _expand(experiment: Experiment, arithmetic, values, inputs, branches, orders: int, free) -> Expansion:
    """Expand states and outputs in time; `values` are the unknown parameters, `free` the free initial states."""
    count, size = len(experiment.unknown), len(values) + len(free)
    shape = (orders, 1 + size)

    def unknown(value, place):
        constant = np.zeros(shape, arithmetic.dtype)
        constant[0, 0], constant[0, 1 + place] = value, 1
        return constant

    parameters = [unknown(v, i) for i, v in enumerate(values)]
    driven = [np.zeros(shape, arithmetic.dtype) for _ in range(inputs.shape[1])]
    for series, coefficients in zip(driven, inputs.T, strict=True):
        series[:, 0] = coefficients[:orders]
    time = np.zeros(shape, arithmetic.dtype)
    time[1:2, 0] = 1
    states = _first(experiment, arithmetic, parameters, driven, branches, shape)
    for k, (place, value) in enumerate(zip(experiment.free, free, strict=True)):
        states[place] = unknown(value, count + k)
    runner = Runner(arithmetic, branches["field"])
    for order in range(1, orders):
        known = [series[:order] for series in (*parameters, *states, *driven, time)]
        for state, change in zip(states, runner.run(experiment.field, known), strict=True):
            state[order] = arithmetic.reduce(change[order - 1] * arithmetic.inverse(order))
    outputs = Runner(arithmetic, branches["output"]).run(experiment.output, [*parameters, *states, *driven])
    seen = np.stack([outputs[i] for i in experiment.measured], axis=1)[:, :, 1:]
    point = Point(seen.reshape(-1, size), np.array([*values, *free], arithmetic.dtype), np.ones(size, arithmetic.dtype))
    return Expansion(arithmetic, point, np.stack(states, axis=-1), np.stack(outputs, axis=-1))


def _first(experiment, arithmetic, parameters, driven, branches, shape) -> list[np.ndarray]:
    """Return the states' series with the model's initial values, all later coefficients zero."""
    states = [np.zeros(shape, arithmetic.dtype) for _ in range(experiment.states)]
    chosen = [i for i in range(experiment.states) if i not in experiment.free]
    try:
        arguments = [series[:1] for series in (*parameters, *driven)]
        if branches["first"] is None:
            raise Untraceable("a loop")
        runner = Runner(arithmetic, branches["first"])
        found = runner.run(experiment.first, arguments) if chosen and arguments else []
        for i, series in zip(chosen, found, strict=True):
            states[i][:1] = series
    except Untraceable:
        if isinstance(arithmetic, Residue):
            raise
        value, slope = _start_with_slopes(experiment, [p[0, 0] for p in parameters], [u[0, 0] for u in driven])
        for i in chosen:
            states[i][0, 0], states[i][0, 1 : 1 + len(parameters)] = value[i], slope[i]
    return states


def real_point(experiment: Experiment, branches, chance, which: int) -> Expansion | None:
    """Expand in floating point: at the model's own values first, then around them; None where that fails."""
    spread = _SPREAD if which else 0.0
    values = experiment.values * np.exp(spread * chance.standard_normal(len(experiment.values)))
    levels = np.where(experiment.moving > 0, chance.uniform(0.5, 1.5, len(experiment.moving)), 0.0)
    chosen = list(experiment.free)
    size = len(values) + len(chosen)
    orders = min(size + experiment.states + 2, _LONGEST_REAL)
    inputs = np.zeros((orders, len(levels)))
    inputs[0] = levels
    try:
        free = _generic(first_state(experiment, values, levels)[chosen], chance)
        with np.errstate(all="ignore"):
            begin = _expand(experiment, Real(), values, inputs, branches, min(6, orders), free)
            moving = np.abs(begin.states[:, 0])
            ratios = (moving[1:] / moving[:-1])[(moving[1:] > 0) & (moving[:-1] > 0)]
            rate = float(np.median(ratios)) if ratios.size else 1.0
            powers = rate ** np.arange(1, orders)[:, None]
            inputs[1:] = (experiment.moving == 2) * levels * chance.standard_normal((orders - 1, len(levels))) * powers
            found = _expand(experiment, Real(), values, inputs, branches, orders, free)
    except _FAILURES:
        return None
    units = np.abs(np.concatenate([experiment.values, free]))
    rows = found.point.rows * units
    if not np.all(np.isfinite(rows)):
        rows = rows[np.all(np.isfinite(rows), axis=1)]
    return dataclasses.replace(found, point=Point(unit_rows(rows), found.point.values, units))


def exact_points(experiment: Experiment, branches, chance) -> list[Expansion]:
    """Expand at random points modulo a prime; an empty list where the equations do not allow it."""
    size, states = len(experiment.labels), experiment.states
    orders = min(math.ceil(size / len(experiment.measured)) + states + 2, _LONGEST)
    found: list[Expansion] = []
    try:
        while len(found) < POINTS:
            expansion = _exact_point(experiment, branches, chance, orders)
            if expansion is None:
                return []
            if not found and orders < min(size + states + 2, _LONGEST) and not _settled(expansion, experiment):
                orders = min(size + states + 2, _LONGEST)
                continue
            found.append(expansion)
    except Untraceable:
        return []
    ranks = [len(echelon(f.point.rows, f.arithmetic)[0]) for f in found]
    return [f for f, rank in zip(found, ranks, strict=True) if rank == max(ranks)]


def _exact_point(experiment: Experiment, branches, chance, orders: int) -> Expansion | None:
    for _ in range(_TRIES):
        arithmetic = Residue(chance)
        values = chance.integers(2, PRIME, len(experiment.unknown))
        free = chance.integers(2, PRIME, len(experiment.free))
        inputs = chance.integers(2, PRIME, (orders, len(experiment.moving)))
        inputs = np.where(experiment.moving == 2, inputs, 0)
        inputs[0] = np.where(experiment.moving > 0, chance.integers(2, PRIME, len(experiment.moving)), 0)
        try:
            return _expand(experiment, arithmetic, values, inputs, branches, orders, free)
        except (NoRoot, ZeroDivisionError):
            continue
    return None


def _settled(expansion: Expansion, experiment: Experiment) -> bool:
    """Tell whether more orders cannot raise the rank: it is full, or it stood still from a start that is generic."""
    rows, outputs = expansion.point.rows, len(experiment.measured)
    rank = len(echelon(rows, expansion.arithmetic)[0])
    still = rank == len(echelon(rows[:-outputs], expansion.arithmetic)[0])
    return rank == rows.shape[1] or (still and len(experiment.free) == experiment.states)
