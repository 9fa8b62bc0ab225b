"""01.1: the demonstration from a fresh clone and an empty environment, twice."""

import tempfile
from pathlib import Path

from tests.validation import Result
from tests.validation.fresh import clone, run

LIMIT = 1800
COLD, WARM = 90.0, 30.0
PROMISED = ("twin.nc", "forecast.csv", "fan.png")
PRINTED = ("90 % credible interval", "L/mU/min", "mmol/L", "Verdict: ", "Forecast of measurements")


def measure() -> Result:
    """Install, then run `make demo` cold and warm."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "twinprob"
        what = clone(folder)
        install = run(["make", ".venv/.installed"], folder)
        first = run(["make", "demo"], folder)
        left = [name for name in PROMISED if (folder / "out" / name).is_file()]
        second = run(["make", "demo"], folder)
        said = [words for words in PRINTED if words in first.text]
    statuses = [step.status for step in (install, first, second)]
    complete = left == list(PROMISED) and said == list(PRINTED)
    return Result(
        f"exit {first.status}; {first.seconds:.0f} s, then {second.seconds:.0f} s; "
        f"{len(left)} of {len(PROMISED)} files, {len(said)} of {len(PRINTED)} things said",
        statuses == [0, 0, 0] and first.seconds <= COLD and second.seconds <= WARM and complete,
        {
            "cloned": what,
            "install seconds": install.seconds,
            "statuses": statuses,
            "same output twice": first.text == second.text,
            "last lines": first.text.splitlines()[-12:],
        },
    )
