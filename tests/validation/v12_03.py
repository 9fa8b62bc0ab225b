"""A study of fifty patients of whom three are broken on purpose."""

import tempfile
import time
from pathlib import Path

from tests.validation import Result
from tests.validation.made_extract import extract, patient
from twinprob.validation.study.run import study

LIMIT = 3600
COUNT, ALLOWED = 50, 300.0  # patients; s that one may take


def measure() -> Result:
    """Break a unit, empty a file, and give one patient more values than the time limit lets it forecast."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "data"
        plan = extract(folder, COUNT, 3, limit=f"{ALLOWED:g} s")
        patient(folder / "patient_10.csv", 10, 3, unit="furlong")
        (folder / "patient_20.csv").write_text("", encoding="utf-8")
        patient(folder / "patient_30.csv", 30, 20_000, every=1.0)
        began = time.perf_counter()
        found = study(
            plan, data=folder, store=Path(place) / "store", workers=2, progress=lambda *said: print(*said, flush=True)
        )
        took = time.perf_counter() - began
    flow = found.flow.set_index("patient")
    broken = flow[flow["fate"] == "failed"]
    longest = max(found.seconds.values())
    done = int((flow["fate"] == "rolled").sum())
    named = set(broken.index) == {"patient_10", "patient_20", "patient_30"} and bool((broken["reason"] != "").all())
    scored = found.scores.pairs
    mine = scored[(scored["forecaster"] == "twin") & (scored["patient"] == "patient_30")]
    return Result(
        f"{done} done, {len(broken)} with reasons ("
        + "; ".join(f"{name}: {reason[:70]}" for name, reason in broken["reason"].items())
        + f"); the longest took {longest:.0f} s of {ALLOWED:g} s allowed, all {took:.0f} s on 2 processes; the "
        f"{len(mine)} forecasts that were never made stay among the pairs: {bool(mine['stood_in'].all())}",
        bool(done == COUNT - 3 and named and longest <= ALLOWED + 10.0 and len(mine) and mine["stood_in"].all()),
        {"reasons": broken["reason"].to_dict(), "longest (s)": longest, "all (s)": took},
    )
