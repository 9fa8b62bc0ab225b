"""Answers to what methods ask about densities: in batches of one size, for one patient or for many under way at once.

A method is a generator that yields questions (`Climb`, `Densities`, `PriorDraws`) and is sent their answers. It never
sees whether it is alone: the rows of all climbs that share a program wait in one line, and every batch takes the
first few of them.
"""

from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np

from ...dynamics.programs import compiled
from ..filtered import Filtered
from ..joint import Joint
from .climb import Climber, Split, quadratic, split

_LANES = 8
_CHUNK, _LONG = 250, 5000  # positions in a batch, a fifth of them where measurements are more: caches are small


class Climb(NamedTuple):
    """Ask where climbs from these starts (start, unknown) end; answered by a `Climbed`.

    Only unknowns that are `moving` (unknown,) move; a climb ends after so many `iterations`, or when a step would gain
    less than the `tolerance`.
    """

    starts: np.ndarray
    moving: np.ndarray
    iterations: int
    tolerance: float


class Climbed(NamedTuple):
    """Ends of climbs: (start, unknown), (start,), (start, unknown) and (start, unknown, unknown)."""

    positions: np.ndarray
    values: np.ndarray
    gradients: np.ndarray
    curvatures: np.ndarray


class Densities(NamedTuple):
    """Ask for log p(position, data) of positions (draw, unknown); answered by an array (draw,)."""

    positions: np.ndarray


class PriorDraws(NamedTuple):
    """Ask for so many positions drawn from the prior; answered by an array (draw, unknown)."""

    key: Any
    size: int


Method: TypeAlias = Generator[Climb | Densities | PriorDraws, Any, Any]


# ---- one program for all densities of one form --------------------------------------------------------------------


@dataclass(frozen=True)
class Form:
    """What a program is compiled for: everything about a density but its numbers."""

    structure: Any
    fixed: tuple[Hashable, ...]
    shapes: tuple[tuple[tuple[int, ...], np.dtype] | None, ...]

    def build(self, numbers) -> Any:
        """Return the density with these numbers (number,)."""
        leaves, begin, fixed = [], 0, iter(self.fixed)
        for shaped in self.shapes:
            if shaped is None:
                leaves.append(next(fixed))
                continue
            shape, dtype = shaped
            size = int(np.prod(shape, dtype=int))
            leaf = numbers[begin : begin + size].reshape(shape)
            leaves.append(leaf if dtype.kind == "f" else leaf.astype(jax.dtypes.canonicalize_dtype(dtype)))
            begin += size
        return jax.tree.unflatten(self.structure, leaves)


def taken_apart(joint: Joint | Filtered) -> tuple[Form, np.ndarray]:
    """Return the form of a density and its numbers in one row: stacking patients is then one copy each."""
    leaves, structure = jax.tree.flatten(joint.traced())
    arrays = [np.asarray(x) if isinstance(x, np.ndarray | np.generic | jax.Array) else None for x in leaves]
    fixed = tuple(x for x, array in zip(leaves, arrays, strict=True) if array is None)
    shapes = tuple(None if array is None else (array.shape, array.dtype) for array in arrays)
    rows = [np.ravel(array).astype(float) for array in arrays if array is not None]
    return Form(structure, fixed, shapes), np.concatenate(rows)


class Program:
    """The compiled functions shared by all patients whose densities have one form."""

    def __init__(self, form: Form):
        self.form = form

    def densities(self, numbers, positions):
        """Return log p(position, data) of positions (draw, unknown), for one patient's numbers (number,)."""
        return _densities(self.form, numbers, positions)

    def quadratics(self, numbers, positions):
        """Return what `quadratic` says of each row's patient, numbers (row, number), and position (row, unknown)."""
        return _quadratics(self.form, numbers, positions)

    def prior_draws(self, numbers, key, count: int):
        """Return so many positions drawn from the prior."""
        return _prior_draws(self.form, numbers, key, count)

    @cached_property
    def chunk(self) -> int:
        """How many positions a batch has."""
        longest = max(shaped[0][0] if shaped and shaped[0] else 0 for shaped in self.form.shapes)
        return _CHUNK if longest <= _LONG else _CHUNK // 5

    @cached_property
    def parts(self) -> Split:
        """Which unknowns are what."""
        density = self.form.build(np.ones(sum(int(np.prod(s[0], dtype=int)) for s in self.form.shapes if s)))
        return density.parts if isinstance(density, Filtered) else split(density)


@compiled
def _densities(form: Form, numbers, positions):
    return jax.vmap(form.build(numbers).log_density)(positions)


@compiled
def _quadratics(form: Form, numbers, positions):
    def one(own, position):
        density = form.build(own)
        return density.quadratic(position) if isinstance(density, Filtered) else quadratic(density, position)

    return jax.vmap(one)(numbers, positions)


@compiled
def _prior_draws(form: Form, numbers, key, count: int):
    return jax.vmap(form.build(numbers).draw_prior)(jax.random.split(key, count))


@lru_cache(maxsize=64)
def _program(form: Form) -> Program:
    return Program(form)


class Patient(NamedTuple):
    """One patient's density: the numbers (number,) for a program."""

    program: Program
    numbers: np.ndarray

    @property
    def parts(self) -> Split:
        """Which unknowns are what."""
        return self.program.parts


def patient_of(joint: Joint | Filtered) -> Patient:
    """Return a density as a patient of the program for its form."""
    form, numbers = taken_apart(joint)
    return Patient(_program(form), numbers)


# ---- patients under way -------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _UnderWay:
    """One patient's method, waiting for its climbs."""

    name: Any
    patient: Patient
    method: Method
    climbers: list[Climber] = field(default_factory=list)
    climbing: int = 0


class Pool:
    """Patients under way together.

    Parameters
    ----------
    threads : ThreadPoolExecutor, optional
        Runs batches side by side; without it they run one after another in the caller's thread.
    abreast : int
        Patients under way at once.
    stopped : function, optional
        Asked before every batch; the pool returns early when it answers True.
    """

    def __init__(self, threads: ThreadPoolExecutor | None = None, abreast: int = 1, stopped: Callable = lambda: False):
        self.threads, self.abreast, self.stopped = threads, abreast, stopped
        self.lines: dict[Program, deque[_Row]] = {}
        self.ended: list[tuple[Any, Any]] = []

    def run(self, patients: Iterable[tuple[Any, Patient, Method]]) -> Iterator[tuple[Any, Any]]:
        """Carry every patient's method to its end.

        Parameters
        ----------
        patients : iterable of (name, patient, method)
            Taken one by one as others end.

        Yields
        ------
        name, result : what the method returned, or the ValueError or RuntimeError that ended it
        """
        coming, count = iter(patients), 0
        while not self.stopped():
            while count < self.abreast and (new := next(coming, None)) is not None:
                count += 1
                self._resume(_UnderWay(*new), None)
            if any(self.lines.values()):
                self._advance()
            elif not self.ended:
                return
            for done in self.ended:
                count -= 1
                yield done
            self.ended = []

    def _resume(self, one: _UnderWay, answer) -> None:
        """Send a method the answer to its question, until it asks for a climb or ends."""
        while True:
            try:
                question = one.method.send(answer)
                if isinstance(question, Climb) and len(question.starts):
                    return self._queue(one, question)
                answer = self._answer(one.patient, question)
            except StopIteration as end:
                return self.ended.append((one.name, end.value))
            except (ValueError, RuntimeError) as error:
                return self.ended.append((one.name, error))

    def _queue(self, one: _UnderWay, question: Climb) -> None:
        moving, rest = np.asarray(question.moving, bool), (question.tolerance, question.iterations)
        one.climbers = [Climber(start, moving, *rest, np.zeros(len(moving))) for start in question.starts]
        one.climbing = len(one.climbers)
        self.lines.setdefault(one.patient.program, deque()).extend((one, climber) for climber in one.climbers)

    def _answer(self, patient: Patient, question):
        if isinstance(question, PriorDraws):
            return np.asarray(patient.program.prior_draws(patient.numbers, question.key, question.size))
        if isinstance(question, Climb):
            return Climbed(question.starts, *(np.zeros((0,) * n) for n in (1, 2, 3)))
        count, size = question.positions.shape
        if count == 0:
            return np.zeros(0)
        chunk = patient.program.chunk
        padded = np.concatenate([question.positions, np.repeat(question.positions[-1:], -count % chunk, axis=0)])
        parts = padded.reshape(-1, chunk, size)
        found = self._map(lambda part: np.asarray(patient.program.densities(patient.numbers, part)), parts)
        return np.concatenate(found)[:count]

    def _map(self, function, items) -> list[Any]:
        if self.threads is None or len(items) < 2:
            return [function(item) for item in items]
        precise = jax.dtypes.canonicalize_dtype(float) == np.float64

        def run(item):
            with jax.enable_x64(precise):  # JAX keeps this setting per thread
                return function(item)

        return list(self.threads.map(run, items))

    def _advance(self) -> None:
        """Let the first rows of the longest line take a step each."""
        program, line = max(self.lines.items(), key=lambda item: len(item[1]))
        batches: list[list[_Row]] = []
        while line and len(batches) < (1 if self.threads is None else 2):
            batches.append([line.popleft() for _ in range(min(_LANES, len(line)))])
        self._map(lambda rows: _take(program, rows), batches)
        for one, climber in (row for rows in batches for row in rows):
            if climber.remaining > 0:
                line.append((one, climber))
                continue
            one.climbing -= 1
            if one.climbing == 0:
                ends = zip(*(other.end() for other in one.climbers), strict=True)
                one.climbers, climbed = [], Climbed(*map(np.stack, ends))
                self._resume(one, climbed)


_Row: TypeAlias = tuple[_UnderWay, Climber]


def _take(program: Program, rows: list[_Row]) -> None:
    """Let up to `_LANES` climbers take a step each; a short batch repeats its last row, whose results are dropped."""
    lanes = rows + rows[-1:] * (_LANES - len(rows))
    numbers = np.stack([one.patient.numbers for one, _ in lanes])
    found = program.quadratics(numbers, np.stack([climber.position + climber.step for _, climber in lanes]))
    for (_, climber), *there in zip(rows, *map(np.asarray, found), strict=False):
        climber.take(*there)


def answer(joint: Joint | Filtered, method: Callable[[Split], Method], threads: int = 2) -> Any:
    """Carry one patient's method to its end and return what it returns; its errors are raised."""
    patient = patient_of(joint)
    with ThreadPoolExecutor(threads) as executor:
        ((_, result),) = Pool(executor).run([("", patient, method(patient.parts))])
    if isinstance(result, Exception):
        raise result
    return result


def ask(question: Climb | Densities) -> Method:
    """Return the method that asks one question and returns its answer."""
    return (yield question)
