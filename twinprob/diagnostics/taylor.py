"""Taylor series of a model in time, with derivatives by its unknowns, in any arithmetic.

The equations that a model's author wrote are traced once by JAX to a list of elementary operations. The list is then
run on truncated power series in place of numbers (jets), in floating point or in the integers modulo a prime.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal

from .arithmetic import PRIME, Real, Residue

_CALLS = ("jaxpr", "call_jaxpr", "fun_jaxpr")
_LOOPS = ("while", "scan", "cond")


class Untraceable(Exception):
    """An operation that has no power series here."""


# ---- the list of operations -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One operation: operands are places of earlier results, or constants."""

    primitive: Any
    params: dict[str, Any]
    operands: tuple[Any, ...]
    results: tuple[int, ...]


@dataclass(frozen=True)
class Program:
    """The operations behind some outputs, those that no output needs left out."""

    steps: tuple[Step, ...]
    inputs: tuple[int, ...]
    outputs: tuple[Any, ...]


def trace(function: Callable, *counts: int) -> Program:
    """Trace a function of tuples of scalars, of the given lengths, that returns a tuple of scalars."""
    closed = jax.make_jaxpr(function)(*((1.0,) * count for count in counts))
    steps: list[Step] = []
    places = iter(range(10**9))
    inputs = tuple(next(places) for _ in closed.jaxpr.invars)
    outputs = _inline(closed.jaxpr, closed.consts, inputs, steps, places)
    return Program(_needed(steps, outputs), inputs, tuple(outputs))


def part(program: Program, chosen: Sequence[int]) -> Program:
    """Return the program of some of the outputs."""
    outputs = tuple(program.outputs[i] for i in chosen)
    return Program(_needed(program.steps, outputs), program.inputs, outputs)


def _inline(jaxpr, consts, arguments, steps: list[Step], places) -> list[Any]:
    """Append the operations of a jaxpr, calls opened and constants folded, and return where its outputs are."""
    known: dict[Any, Any] = dict(zip(jaxpr.invars, arguments, strict=True))
    known |= {var: np.asarray(const) for var, const in zip(jaxpr.constvars, consts, strict=True)}

    def read(atom):
        return np.asarray(atom.val) if isinstance(atom, Literal) else known[atom]

    for equation in jaxpr.eqns:
        operands = tuple(read(atom) for atom in equation.invars)
        name = equation.primitive.name
        inner = next((equation.params[key] for key in _CALLS if key in equation.params), None)
        if inner is not None and name not in _LOOPS:
            closed = isinstance(inner, ClosedJaxpr)
            body = inner.jaxpr if closed else inner
            results = _inline(body, inner.consts if closed else (), operands, steps, places)
        elif all(isinstance(operand, np.ndarray) for operand in operands) and name not in _LOOPS:
            found = equation.primitive.bind(*operands, **equation.params)
            results = [np.asarray(x) for x in (found if equation.primitive.multiple_results else [found])]
        else:
            results = [next(places) for _ in equation.outvars]
            steps.append(Step(equation.primitive, equation.params, operands, tuple(results)))
        known |= dict(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _needed(steps, outputs) -> tuple[Step, ...]:
    wanted = {place for place in outputs if isinstance(place, int)}
    kept = []
    for step in reversed(steps):
        if wanted & set(step.results):
            kept.append(step)
            wanted |= {place for place in step.operands if isinstance(place, int)}
    return tuple(reversed(kept))


# ---- running it on power series -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Jet:
    """A truncated power series in time, with derivatives.

    Parameters
    ----------
    series : (order, 1 + unknown, *shape)
        Coefficients of the value, then those of its derivative by each unknown.
    """

    series: np.ndarray

    @property
    def value(self) -> np.ndarray:
        """The value at the expansion point, of the operand's own shape."""
        return self.series[0, 0]


class Runner:
    """Runs a program on jets, along branches taken before or, if there are none, found and kept in `answers`.

    Parameters
    ----------
    arithmetic : Real or Residue
    taken : list, optional
        The answers of an earlier run to the program's comparisons.
    """

    def __init__(self, arithmetic: Real | Residue, taken: list | None = None):
        self.arithmetic = arithmetic
        self.answers: list[Any] = []
        self._taken = taken

    def run(self, program: Program, arguments: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the series of the outputs; all arguments have one shape, (order, 1 + unknown)."""
        self._shape = arguments[0].shape
        self._replay = iter(self._taken or ())
        self.answers = []
        values: dict[int, Any] = {p: Jet(a) for p, a in zip(program.inputs, arguments, strict=True)}
        for step in program.steps:
            operands = [values[o] if isinstance(o, int) else o for o in step.operands]
            values[step.results[0]] = self._apply(step, operands)
        return [self.lift(values[o] if isinstance(o, int) else o).series for o in program.outputs]

    def lift(self, operand) -> Jet:
        """Return an operand as a jet; a constant has no derivatives."""
        if isinstance(operand, Jet):
            return operand
        operand = np.asarray(operand)
        series = np.zeros((*self._shape, *operand.shape), self.arithmetic.dtype)
        series[0, 0] = np.vectorize(self.arithmetic.lift, otypes=[series.dtype])(operand) if operand.size else 0
        return Jet(series)

    def _apply(self, step: Step, operands):
        name, params = step.primitive.name, step.params
        if not any(isinstance(o, Jet) for o in operands):  # comparisons' answers, combined further
            return np.asarray(step.primitive.bind(*operands, **params))
        if name in _COMPARISONS:
            return self.decide(lambda: _COMPARISONS[name](*map(_at, operands)))
        if name in _CHOICES:
            return self._choose(_CHOICES[name], *operands)
        if name == "select_n":
            return self.select(operands[0], [self.lift(o) for o in operands[1:]])
        if name in _ELEMENTARY:
            return _ELEMENTARY[name](self, params, *(self.lift(o) for o in operands))
        if name in _POSITIONS:
            return self._positions(step, operands)
        raise Untraceable(name)

    # ---- branches

    def decide(self, question: Callable):
        """Return the answer to a comparison: the one of the earlier run, or a new one."""
        if self._taken is not None:
            return next(self._replay)
        self.answers.append(np.asarray(question()))
        return self.answers[-1]

    def _choose(self, first_wins: Callable, first, second):
        """Take the larger or the smaller; of two equal ones that which moves."""
        tie = not isinstance(second, Jet)
        answer = self.decide(lambda: first_wins(_at(first), _at(second)) | ((_at(first) == _at(second)) & tie))
        return self.select(answer, [self.lift(second), self.lift(first)])

    def select(self, which, cases: Sequence[Jet]) -> Jet:
        """Return the case whose number `which` holds."""
        if isinstance(which, Jet):
            raise Untraceable("select_n of a number")
        which = np.broadcast_to(np.asarray(which, int), cases[0].series.shape)
        return Jet(np.choose(which, [case.series for case in cases]))

    # ---- arithmetic of series

    def reduced(self, series) -> Jet:
        """Return a jet of numbers in normal form."""
        return Jet(self.arithmetic.reduce(series))

    def times(self, a: Jet, b: Jet) -> Jet:
        """Multiply two jets of one shape."""
        found = np.empty_like(a.series)
        for place in np.ndindex(a.series.shape[2:]):
            at = (slice(None), slice(None), *place)
            x, y = a.series[at], b.series[at]
            out = self.arithmetic.product(_toeplitz(x[:, 0]), y)
            out[:, 1:] += self.arithmetic.product(_toeplitz(y[:, 0]), x[:, 1:])
            found[at] = out
        return self.reduced(found)

    def through(self, function: Callable, a: Jet) -> Jet:
        """Apply a function given as the series of its value and of its derivative along a value's series."""
        found = np.empty_like(a.series)
        for place in np.ndindex(a.series.shape[2:]):
            at = (slice(None), slice(None), *place)
            x = a.series[at]
            value, slope = (np.asarray(s, x.dtype) for s in function(self.arithmetic, [v.item() for v in x[:, 0]]))
            found[at] = self.arithmetic.product(_toeplitz(slope), x)
            found[(slice(None), 0, *place)] = value
        return self.reduced(found)

    def power(self, a: Jet, exponent: int) -> Jet:
        """Raise to a whole power."""
        if exponent < 0:
            return self.through(_reciprocal, self.power(a, -exponent))
        result = self.lift(np.ones(a.series.shape[2:]))
        for digit in bin(exponent)[2:]:
            result = self.times(result, result)
            result = self.times(result, a) if digit == "1" else result
        return result

    def _positions(self, step: Step, operands) -> Jet:
        """Apply an operation that only moves or adds elements to every coefficient."""
        places = [i for i, o in enumerate(operands) if isinstance(o, Jet) or step.primitive.name in _GATHERING]

        def one(*arrays):
            full = list(operands)
            for place, array in zip(places, arrays, strict=True):
                full[place] = array
            return step.primitive.bind(*full, **step.params)

        lifted = [self.lift(operands[i]).series for i in places]
        return self.reduced(np.array(jax.vmap(jax.vmap(one))(*lifted)))


def _at(operand):
    return operand.value if isinstance(operand, Jet) else operand


def _toeplitz(column):
    """Return the lower triangular matrix that multiplies a power series by the given one."""
    size = len(column)
    index = np.arange(size)[:, None] - np.arange(size)
    return np.where(index >= 0, column[index], 0)


def _reciprocal(f, a):
    inverse = f.inverse(a[0])
    r = [inverse]
    for k in range(1, len(a)):
        r.append(f.reduce(-inverse * sum(a[i] * r[k - i] for i in range(1, k + 1))))
    return r, [f.reduce(-sum(r[i] * r[k - i] for i in range(k + 1))) for k in range(len(a))]


def _exponential(f, a):
    e = [f.exp(a[0])]
    for k in range(1, len(a)):
        e.append(f.reduce(f.inverse(k) * sum(i * a[i] * e[k - i] for i in range(1, k + 1))))
    return e, e


def _logarithm(f, a):
    slope = _reciprocal(f, a)[0]
    found = [f.log(a[0])]
    for k in range(1, len(a)):
        found.append(f.reduce(f.inverse(k) * sum(i * a[i] * slope[k - i] for i in range(1, k + 1))))
    return found, slope


def _root(exponent):
    """Return the function that raises to a power that is not a whole number."""

    def function(f, a):
        r, inverse = f.lift(exponent), f.inverse(a[0])
        y = [f.power(a[0], r)]
        for k in range(1, len(a)):
            total = sum((r * i - (k - i)) * a[i] * y[k - i] for i in range(1, k + 1))
            y.append(f.reduce(inverse * f.inverse(k) * total))
        below = _reciprocal(f, a)[0]
        return y, [f.reduce(r * sum(y[i] * below[k - i] for i in range(k + 1))) for k in range(len(a))]

    return function


def _wave(which):
    """Return the sine (0) or the cosine (1)."""

    def function(f, a):
        s, c = ([x] for x in f.circle(a[0]))
        for k in range(1, len(a)):
            part = f.inverse(k)
            s.append(f.reduce(part * sum(i * a[i] * c[k - i] for i in range(1, k + 1))))
            c.append(f.reduce(-part * sum(i * a[i] * s[k - i] for i in range(1, k + 1))))
        return (s, c) if which == 0 else (c, [f.reduce(-x) for x in s])

    return function


def _general_power(run: Runner, params, a: Jet, b: Jet) -> Jet:
    """Return a to the power of a jet; whole and fixed powers need no logarithm."""
    exponent = b.series.reshape(*b.series.shape[:2], -1)
    if not exponent[1:].any() and not exponent[:, 1:].any() and np.ptp(exponent[0, 0]) == 0:
        fixed = exponent[0, 0, 0].item()
        fixed -= PRIME if fixed > PRIME // 2 else 0  # a negative number among residues
        if fixed == int(fixed) and abs(fixed) <= 64:
            return run.power(a, int(fixed))
    logs = run.through(_logarithm, a)
    return run.through(_exponential, run.times(b, logs))


def _logistic(run: Runner, params, a: Jet) -> Jet:
    one = run.lift(np.ones(a.series.shape[2:])).series
    return run.through(_reciprocal, run.reduced(one + run.through(_exponential, run.reduced(-a.series)).series))


def _hyperbolic(run: Runner, params, a: Jet) -> Jet:
    one = run.lift(np.ones(a.series.shape[2:])).series
    return run.reduced(2 * _logistic(run, params, run.reduced(2 * a.series)).series - one)


def _absolute(run: Runner, params, a: Jet) -> Jet:
    sign = run.decide(lambda: np.where(a.value < 0, -1, 1))
    return run.reduced(a.series * sign)


def _clamp(run: Runner, params, low: Jet, a: Jet, high: Jet) -> Jet:
    above = run.decide(lambda: a.value >= low.value)
    below = run.decide(lambda: a.value <= high.value)
    return run.select(below, [high, run.select(above, [low, a])])


def _contract(run: Runner, params, a: Jet, b: Jet) -> Jet:
    """Multiply matrices: every product of elements, added over the contracted axis."""
    (left, right), batch = params["dimension_numbers"]
    if batch[0] or len(left) != 1:
        raise Untraceable("dot_general over several axes")
    x, y = np.moveaxis(a.series, left[0] + 2, -1), np.moveaxis(b.series, right[0] + 2, -1)
    rows, columns = x.ndim - 3, y.ndim - 3
    x = x.reshape(*x.shape[:-1], *(1,) * columns, x.shape[-1])
    y = y.reshape(*y.shape[:2], *(1,) * rows, *y.shape[2:])
    x, y = np.broadcast_arrays(x, y)
    return run.reduced(run.times(Jet(x), Jet(y)).series.sum(axis=-1))


def _shifted(function, before: int, after: int):
    """Return x -> function(x + before) + after."""

    def apply(run: Runner, params, a: Jet) -> Jet:
        one = run.lift(np.ones(a.series.shape[2:])).series
        return run.reduced(run.through(function, run.reduced(a.series + before * one)).series + after * one)

    return apply


_COMPARISONS = {
    "gt": np.greater, "ge": np.greater_equal, "lt": np.less, "le": np.less_equal,
    "eq": np.equal, "ne": np.not_equal, "sign": np.sign,
}  # fmt: skip
_CHOICES = {"max": np.greater, "min": np.less}
_GATHERING = ("concatenate", "stack")
_POSITIONS = (
    *_GATHERING, "broadcast_in_dim", "reshape", "squeeze", "slice", "transpose", "reduce_sum", "rev", "gather",
    "dynamic_slice", "expand_dims", "cumsum", "pad", "unstack", "split",
)  # fmt: skip
_ELEMENTARY: dict[str, Callable[..., Jet]] = {
    "add": lambda run, p, a, b: run.reduced(a.series + b.series),
    "add_any": lambda run, p, a, b: run.reduced(a.series + b.series),
    "sub": lambda run, p, a, b: run.reduced(a.series - b.series),
    "neg": lambda run, p, a: run.reduced(-a.series),
    "mul": lambda run, p, a, b: run.times(a, b),
    "div": lambda run, p, a, b: run.times(a, run.through(_reciprocal, b)),
    "integer_pow": lambda run, p, a: run.power(a, p["y"]),
    "square": lambda run, p, a: run.times(a, a),
    "pow": _general_power,
    "sqrt": lambda run, p, a: run.through(_root(0.5), a),
    "rsqrt": lambda run, p, a: run.through(_reciprocal, run.through(_root(0.5), a)),
    "exp": lambda run, p, a: run.through(_exponential, a),
    "log": lambda run, p, a: run.through(_logarithm, a),
    "expm1": _shifted(_exponential, 0, -1),
    "log1p": _shifted(_logarithm, 1, 0),
    "logistic": _logistic,
    "tanh": _hyperbolic,
    "abs": _absolute,
    "clamp": _clamp,
    "dot_general": _contract,
    "sin": lambda run, p, a: run.through(_wave(0), a),
    "cos": lambda run, p, a: run.through(_wave(1), a),
    "convert_element_type": lambda run, p, a: a,
    "copy": lambda run, p, a: a,
}
KNOWN = {*_COMPARISONS, *_CHOICES, *_POSITIONS, *_ELEMENTARY, "select_n", "and", "or", "not", "xor"}
