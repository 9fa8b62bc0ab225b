"""Eight threads, fifty mixed verbs each, against the same verbs in one thread."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np

import twinprob as tp
from tests.validation import Result
from tests.validation.service import Clearance, clock, drug, glucose

LIMIT = 1800
TITLE = "8 threads × 50 mixed verbs"
BAR = "finishes; every result equals the single-threaded one bit for bit"
THREADS, VERBS = 8, 50
FEW = tp.Laplace(starts=2, draws=50, proposals=500, rounds=2, nodes=16)
ROLLING = tp.Filter(particles=512)


def printed(twin_or_forecast) -> str:
    """Return a hash over every number of a result."""
    digest = hashlib.sha256()
    for node in twin_or_forecast.tree.subtree:
        for name, values in sorted(node.to_dataset().variables.items()):
            digest.update(f"{node.path} {name}".encode())
            digest.update(np.ascontiguousarray(values.values).tobytes())
    return digest.hexdigest()


def shift(thread: int) -> list[str]:
    """Do fifty verbs, mixed: a fit, then updates and forecasts of what it gave, and again with the other model."""
    found: list[str] = []
    while len(found) < VERBS:
        turn = len(found)
        make, model = ((glucose, tp.models.metabolic.ICING()), (drug, Clearance()))[(thread + turn // 10) % 2]
        record = make(100 * thread + turn, 30.0 + 5 * thread, 1.0)
        key = jax.random.fold_in(jax.random.key(thread), turn)
        twin = tp.fit(model, record.until("20 h"), key=key, method=FEW)
        found.append(printed(twin))
        for hour in range(21, 25):
            twin = tp.update(twin, record.between(twin.now, 60.0 * hour), key=key, method=ROLLING)
            found.append(printed(twin))
            found.append(printed(tp.forecast(twin, hours=2 + thread % 3, key=key)))
        with jax.enable_x64(thread % 2 == 0):  # the caller's precision is no matter of the verbs
            found.append(printed(tp.forecast(twin, hours=1, key=key)))
    return found[:VERBS]


def measure() -> Result:
    """Run all threads at once, then the same one by one."""
    began = clock()
    with ThreadPoolExecutor(THREADS) as threads:
        together = list(threads.map(shift, range(THREADS)))
    seconds = clock() - began
    print(f"  together: {seconds:.0f} s", flush=True)
    alone = [shift(thread) for thread in range(THREADS)]
    same = sum(a == b for one, other in zip(together, alone, strict=True) for a, b in zip(one, other, strict=True))
    total = THREADS * VERBS
    return Result(
        figure=f"{THREADS} threads × {VERBS} verbs finished in {seconds:.0f} s; {same} of {total} results equal the "
        "single-threaded ones bit for bit",
        holds=same == total,
        details={"seconds together": seconds, "unequal": total - same},
    )
