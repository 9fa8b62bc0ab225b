"""How long a trial takes once its programs are compiled."""

import os
import time

import jax

from tests.decisions.insulin_trial import ARMS, HOURS, STAR, meter, patients
from tests.validation import Result
from twinprob.decisions import trial

COUNT, KEY = 1000, jax.random.key(110)
TABLE, STOCHASTIC = 5.0, 30.0  # s


def measure() -> Result:
    """Run each arm twice on 1,000 patients for 72 h and time the second run, in seconds and in CPU seconds."""
    who = patients(COUNT)
    found = {}
    for name, protocol in ARMS.items():
        arms = {name: protocol}
        trial(arms, who, hours=HOURS, key=KEY, world=meter(0.05))
        began, used = time.perf_counter(), time.process_time()
        trial(arms, who, hours=HOURS, key=KEY, world=meter(0.05))
        found[name] = {"s": time.perf_counter() - began, "CPU s": time.process_time() - used}
    star = found[next(name for name, protocol in ARMS.items() if protocol is STAR)]
    tables = {name: times for name, times in found.items() if times is not star}
    slowest = max(tables, key=lambda name: tables[name]["s"])
    return Result(
        f"{COUNT} × {HOURS:g} h, batches of 250: tables at most {tables[slowest]['s']:.1f} s ({slowest}, "
        f"{tables[slowest]['CPU s']:.1f} s of CPU), StarLike {star['s']:.1f} s ({star['CPU s']:.1f} s of CPU), at a "
        f"load of {os.getloadavg()[0]:.0f}; no twin-based arm and no `recommend` yet",
        False,  # two of the four figures are not there
        {
            "arms": found,
            "tables within 5 s": tables[slowest]["s"] <= TABLE,
            "StarLike within 30 s": star["s"] <= STOCHASTIC,
            "load": os.getloadavg(),
        },
    )
