"""Compiled programs: numbers are data and never part of one, few are held, and old ones go before the system's limits.

Every compiled function of the library is made by `compiled`, so that one place knows all programs a process holds.
"""

import os
from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from threading import Lock, RLock
from typing import Any, TypeVar

import jax
import numpy as np

HELD = 64
_SHARE = 0.2  # of the memory maps the system grants a process
_LAST_RESORT = 0.75
_MAPS, _MOST_MAPS = Path("/proc/self/maps"), Path("/proc/sys/vm/max_map_count")

F = TypeVar("F", bound=Callable[..., Any])

_held: OrderedDict[tuple[Any, ...], Any] = OrderedDict()
_lock = RLock()
_turn = Lock()
_process = {"used": False, "forked": False}


def compiled(function: F | None = None, *, floats: bool = True) -> Any:
    """Compile a function of arrays, numbers and settings once for each form of its arguments.

    Arrays, keys and floats are data: other values need no new program. Everything else (integers, text, functions, the
    static fields of modules) is part of the program. Called inside compiled code, the function becomes a part of it.

    Parameters
    ----------
    function : function of pytrees, at the top of a module
    floats : bool
        Whether floats are data, as arrays always are; else they are part of the program, which may then compute with
        them ahead and round the last digit otherwise.

    Returns
    -------
    function

    Notes
    -----
    At most `HELD` programs are held, fewer where the process runs short of memory maps (a program takes hundreds of the
    65 530 that Linux grants): the least recently used goes. One that another thread runs lives until that run ends.
    """
    if function is None:
        return lambda function: compiled(function, floats=floats)
    making = Lock()

    @wraps(function)
    def call(*args, **kwargs):
        leaves, structure = jax.tree.flatten((args, kwargs))
        if any(isinstance(x, jax.core.Tracer) for x in leaves):
            return function(*args, **kwargs)
        require_unforked()
        arrays = [_as_array(x, floats) for x in leaves]
        fixed = tuple(_ARRAY if a is not None else x for x, a in zip(leaves, arrays, strict=True))
        numbers = [a for a in arrays if a is not None]
        shapes = tuple((a.shape, a.dtype) for a in numbers)
        where = jax.config.jax_default_device  # type: ignore[attr-defined]
        form = (function, structure, fixed, shapes, jax.dtypes.canonicalize_dtype(float), where)
        program = _found(form)
        if program is None:
            with making:  # threads that come meanwhile need not compile the same again
                program = _found(form) or _made(form, function, structure, fixed, numbers)
        return program(*numbers)

    return call


def as_data(values: Any) -> Any:
    """Return a pytree with every float as an array: data, whatever it is given to."""
    return jax.tree.map(lambda x: np.asarray(x) if isinstance(x, float) else x, values)


def held() -> tuple[str, ...]:
    """Return the names of the functions whose programs are held, the least recently used first."""
    with _lock:
        return tuple(form[0].__name__ for form in _held)


def require_unforked() -> None:
    """Refuse to run in a process forked from one that has run JAX: its threads are not there, and it would hang.

    Raises
    ------
    RuntimeError
        With the remedy.
    """
    _process["used"] = True
    if _process["forked"]:
        raise RuntimeError(
            "This process was forked from one that had already used twinprob, and JAX's threads do not survive a fork: "
            'start it with `multiprocessing.get_context("spawn")` (or `mp_context=` of a ProcessPoolExecutor).'
        )


def _note_fork() -> None:
    _process["forked"] = _process["used"]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


# ---- one program ---------------------------------------------------------------------------------------------------

_ARRAY = object()  # stands where an array does


def _as_array(x, floats: bool) -> Any:
    """Return what is data as an array, and None for what is part of the program."""
    if isinstance(x, jax.Array | np.ndarray):
        return x
    return np.asarray(x) if isinstance(x, np.generic) or (floats and isinstance(x, float)) else None


def _found(form: tuple[Any, ...]) -> Any:
    with _lock:
        if form in _held:
            _held.move_to_end(form)
        return _held.get(form)


def _made(form: tuple[Any, ...], function, structure, fixed, numbers) -> Any:
    """Compile, and let go of old programs where there are too many."""

    def run(*numbers):
        coming = iter(numbers)
        leaves = [next(coming) if x is _ARRAY else x for x in fixed]
        args, kwargs = jax.tree.unflatten(structure, leaves)
        return function(*args, **kwargs)

    run.__name__ = run.__qualname__ = function.__name__
    _make_room(HELD - 1)
    lowered = jax.jit(run).lower(*numbers)
    program: Any = lowered.compile()
    if "lapack" in lowered.as_text():
        program = _one_at_a_time(program)
    with _lock:
        _held[form] = program
    _make_room(HELD)
    return program


def _one_at_a_time(program):
    """Let threads take turns: two in LAPACK calls of compiled code wait for each other forever on a CPU."""

    def call(*numbers):
        with _turn:
            return jax.block_until_ready(program(*numbers))

    return call


# ---- how many ------------------------------------------------------------------------------------------------------


def _make_room(most: int) -> None:
    """Let the least recently used programs go until there are at most so many, and memory maps to spare."""
    granted = _granted()
    with _lock:
        while len(_held) > most:
            _held.popitem(last=False)
        taken = _taken()
        while _held and taken > _SHARE * granted:
            for _ in range(max(1, len(_held) // 8)):
                _held.popitem(last=False)
            taken = _taken()
    if taken > _LAST_RESORT * granted:  # somebody else's programs: better compiled again than the process aborted
        jax.clear_caches()


def _taken() -> int:
    """Return how many memory maps this process has; 0 where the system does not say."""
    try:
        with _MAPS.open("rb") as lines:
            return sum(1 for _ in lines)
    except OSError:
        return 0


def _granted() -> float:
    """Return how many memory maps the system grants a process."""
    try:
        return float(_MOST_MAPS.read_text())
    except (OSError, ValueError):
        return float("inf")
