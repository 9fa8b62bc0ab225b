"""A service in one process: 120 fits of different lengths, then 5,000 updates."""

import gc

import jax
import numpy as np

import twinprob as tp
from tests.validation import Result
from tests.validation.service import clock, glucose, maps, resident
from twinprob.dynamics.programs import held

LIMIT = 3600
TITLE = "120 fits of different lengths and 5,000 updates in one process"
BAR = "alive; memory maps ≤ 20,000; resident memory after warm-up grows ≤ 2 % per 1,000 updates; p99 flat"
FITS, UPDATES, WARM = 120, 5000, 500
FEW = tp.Laplace(starts=2, draws=100, proposals=500, rounds=2, nodes=16)
ROLLING = tp.Filter(particles=512, collapse=0.0, surprise=0.0)  # no refits: updates alone are measured
STAY = 100.0  # h, of each patient followed


def measure() -> Result:
    """Fit, then update patient after patient every quarter of an hour, and watch the process."""
    model, most = tp.models.metabolic.ICING(), 0
    for i in range(FITS):
        tp.fit(model, glucose(i, 6.0 + 0.9 * i, 1.0 + i % 3), key=jax.random.key(i), method=FEW)
        most = max(most, maps())
        if i % 20 == 19:
            print(f"  {i + 1} fits: {maps()} maps, {len(held())} programs, {resident():.0f} MiB", flush=True)
    memory, seconds, twin = [], [], None
    for i in range(UPDATES):
        if twin is None or twin.now >= 60.0 * STAY - 15.0:
            record = glucose(1000 + i, STAY, 0.25)
            twin = tp.fit(model, record.until("12 h"), key=jax.random.key(i), method=FEW)
        began = clock()
        new = record.between(twin.now, twin.now + 15.0)
        twin = tp.update(twin, new, key=jax.random.fold_in(jax.random.key(0), i), method=ROLLING)
        seconds.append(clock() - began)
        if i % 100 == 99:
            memory.append((i + 1, resident()))
            most = max(most, maps())
    gc.collect()
    return judged(most, np.array(memory), np.array(seconds))


def judged(most: int, memory: np.ndarray, seconds: np.ndarray) -> Result:
    """Compare maps, growth of memory by a line through it after the warm-up, and the slowest of a hundred updates."""
    settled = memory[memory[:, 0] > WARM]
    growth = 100.0 * np.polyfit(settled[:, 0], settled[:, 1], 1)[0] * 1000.0 / settled[0, 1]
    first, last = (float(np.quantile(part, 0.99)) for part in np.array_split(seconds[WARM:], 2))
    return Result(
        figure=f"alive; at most {most} memory maps; resident memory {settled[0, 1]:.0f} to {settled[-1, 1]:.0f} MiB, "
        f"{growth:+.2f} % per 1,000 updates; p99 of an update {1000 * first:.0f} ms in the first half, "
        f"{1000 * last:.0f} ms in the second",
        holds=bool(most <= 20_000 and growth <= 2.0 and last <= 1.25 * first),
        details={"memory by update": memory.tolist(), "median ms": 1000 * float(np.median(seconds[WARM:]))},
    )
