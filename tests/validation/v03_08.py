"""How long the whole verdict on a 48-h twin takes, warm and without profiles."""

import time

import jax
import numpy as np

import twinprob as tp
from tests.validation import Result
from twinprob.models.metabolic import ICING

REPEATS = 5


def measure() -> Result:
    """Ask a twin of two days once to compile, then five times."""
    record = tp.load_example("icu_glucose", stay=1).until("48 h")
    twin = tp.fit(ICING(), record, key=jax.random.key(0), method=tp.Laplace())
    tp.identify(twin, key=jax.random.key(0))
    seconds = []
    for seed in range(REPEATS):
        begin = time.perf_counter()
        found = tp.identify(twin, key=jax.random.key(seed))
        seconds.append(time.perf_counter() - begin)
    middle = float(np.median(seconds))
    return Result(
        figure=f"median {middle:.2f} s, longest {max(seconds):.2f} s of {REPEATS}, for {len(found.rows)} quantities",
        holds=bool(middle <= 5.0),
        details={"seconds": seconds, "summary": found.summary},
    )
