"""How long a trial takes once its programs are compiled."""

import os
import time

import jax

import twinprob as tp
from tests.decisions.insulin_trial import ARMS, HOURS, STAR, meter, patients
from tests.validation import Result
from twinprob.decisions import trial
from twinprob.decisions.protocols.circulation import TwinTitration

COUNT, KEY = 1000, jax.random.key(110)
TABLE, STOCHASTIC, CARRIED = 5.0, 30.0, 300.0  # s


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
    shocked = tp.VirtualPatients.drawn(tp.models.sepsis.VasopressorPressure(), 100, hours=HOURS, key=KEY)
    for _ in range(2):
        began = time.perf_counter()
        trial({"twin": TwinTitration()}, shocked, hours=HOURS, key=KEY)
        carried = time.perf_counter() - began
    star = found[next(name for name, protocol in ARMS.items() if protocol is STAR)]
    tables = {name: times for name, times in found.items() if times is not star}
    slowest = max(tables, key=lambda name: tables[name]["s"])
    return Result(
        f"{COUNT} × {HOURS:g} h, batches of 250: tables at most {tables[slowest]['s']:.1f} s ({slowest}, "
        f"{tables[slowest]['CPU s']:.1f} s of CPU), StarLike {star['s']:.1f} s ({star['CPU s']:.1f} s of CPU), at a "
        f"load of {os.getloadavg()[0]:.0f}; TwinTitration 100 × {HOURS:g} h {carried:.1f} s; no `recommend` yet",
        False,  # one of the four figures is not there
        {
            "arms": found,
            "tables within 5 s": tables[slowest]["s"] <= TABLE,
            "StarLike within 30 s": star["s"] <= STOCHASTIC,
            "TwinTitration within 300 s": carried <= CARRIED,
            "load": os.getloadavg(),
        },
    )
