"""Gradient and simulation of a 48-h ICING stay beside what a user would otherwise write."""

import importlib.metadata

from tests.benchmarks import Comparison
from tests.validation import v01_11

TITLE = "Log density of a 48-h ICING stay"
HOW = (
    "49 unknowns, 25 glucose values, float64. The gradient comes from per-segment flow Jacobians; the contender is "
    "reverse mode through `diffeqsolve` from change to change, the faster of adaptive and constant steps. The "
    "simulation is compared with classical Runge-Kutta steps of 5 min written by hand in a nested scan. Interleaved "
    "rounds, medians."
)


def measure() -> list[Comparison]:
    """Return both ratios of one run."""
    times = v01_11.measure().details["median_ms"]
    if not isinstance(times, dict):
        raise TypeError(f"Line 01.11 must report its times by name, but reports {type(times).__name__}.")
    diffrax = f"diffrax {importlib.metadata.version('diffrax')}, reverse mode"
    return [
        Comparison(
            "gradient of the log density", "ms", times["our gradient"], diffrax,
            min(times["reverse, adaptive"], times["reverse, constant"]),
        ),
        Comparison("one simulation", "ms", times["our simulation"], "a hand-written scan", times["hand-written scan"]),
    ]  # fmt: skip
