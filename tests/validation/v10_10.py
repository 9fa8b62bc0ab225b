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
TABLE, STOCHASTIC, CARRIED, ASKED = 5.0, 30.0, 300.0, 1.0  # s
CANDIDATES = 200


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
    asked = recommended()
    star = found[next(name for name, protocol in ARMS.items() if protocol is STAR)]
    tables = {name: times for name, times in found.items() if times is not star}
    slowest = max(tables, key=lambda name: tables[name]["s"])
    return Result(
        f"{COUNT} × {HOURS:g} h, batches of 250: tables at most {tables[slowest]['s']:.1f} s ({slowest}, "
        f"{tables[slowest]['CPU s']:.1f} s of CPU), StarLike {star['s']:.1f} s ({star['CPU s']:.1f} s of CPU), at a "
        f"load of {os.getloadavg()[0]:.0f}; "
        f"TwinTitration 100 × {HOURS:g} h {carried:.1f} s; one `recommend` with {CANDIDATES} candidates "
        f"{asked:.2f} s",
        tables[slowest]["s"] <= TABLE and star["s"] <= STOCHASTIC and carried <= CARRIED and asked <= ASKED,
        {
            "arms": found,
            "tables within 5 s": tables[slowest]["s"] <= TABLE,
            "StarLike within 30 s": star["s"] <= STOCHASTIC,
            "TwinTitration within 300 s": carried <= CARRIED,
            "recommend within 1 s": asked <= ASKED,
            "load": os.getloadavg(),
        },
    )


def recommended() -> float:
    """Return the seconds of a warm question with many candidates, of a twin with the draws that `fit` gives."""
    stay = tp.load_example("icu_glucose", stay=3)
    twin = tp.fit(tp.models.metabolic.ICING(), stay.until("24 h"), key=KEY)
    doses = tp.grid(insulin=[f"{6 * i / (CANDIDATES - 1):.4f} U/h" for i in range(CANDIDATES)])
    goal = tp.Goal("glucose", "7.8 to 11.1 mmol/L", below=4.0)
    for _ in range(3):
        began = time.perf_counter()
        tp.recommend(twin, doses, goal=goal, limits={"glucose < 4.4 mmol/L": 0.05}, key=KEY, oldest="6 h")
        seconds = time.perf_counter() - began
    return seconds
