"""Comparisons of speed with other ways to do the same, run by `python -m tests.benchmarks`.

A benchmark is a module such as `b_gradient.py` with `TITLE` (a sentence), `HOW` (a paragraph: what is compared, on
what, how often) and `measure() -> list[Comparison]`. All contenders of one comparison run in one process, one after the
other, on the same problem.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Comparison:
    """One figure of ours beside one of somebody else's.

    Parameters
    ----------
    what : str
        The figure, e.g. `"gradient of the log density"`.
    unit : str
        Unit of both figures.
    ours : float
        Our figure.
    other : str
        Whom it is compared with, with version.
    theirs : float or None
        Their figure; None where they could not be run, and `note` says why.
    better : {"lower", "higher"}
        Which direction is better.
    note : str
        What a reader must know beside the figures.
    """

    what: str
    unit: str
    ours: float
    other: str
    theirs: float | None
    better: Literal["lower", "higher"] = "lower"
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times better ours is; below 1 it is worse."""
        if self.theirs is None:
            return None
        return self.theirs / self.ours if self.better == "lower" else self.ours / self.theirs


def seconds(run: Callable[[], object], *, repeats: int = 20, warmup: int = 2) -> float:
    """Return the median time of a call, in s; the call must wait for its result (`jax.block_until_ready`)."""
    for _ in range(warmup):
        run()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return statistics.median(times)
