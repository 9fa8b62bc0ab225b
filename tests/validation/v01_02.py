"""01.2: the tests from a fresh clone, on the oldest and a newer Python."""

import re
import tempfile
from pathlib import Path

from tests.validation import Result
from tests.validation.fresh import clone, run

LIMIT = 7200
MOST = 12 * 60.0
PYTHONS = ("3.11", "3.13")


def measure() -> Result:
    """Install and run `make test` with each Python."""
    figures, details, good = [], {}, True
    with tempfile.TemporaryDirectory() as place:
        for version in PYTHONS:
            folder = Path(place) / f"twinprob-{version}"
            what = clone(folder)
            python = f"PYTHON=python{version}"
            install = run(["make", f".venv-{version}/.installed", python], folder)
            tests = run(["make", "test", python], folder)
            summary = next((line for line in reversed(tests.text.splitlines()) if " passed" in line), "no summary")
            unexplained = int(next(iter(re.findall(r"(\d+) warnings?", summary)), 0))
            good &= install.status == tests.status == 0 and tests.seconds <= MOST and unexplained == 0
            figures.append(f"{version}: {summary.strip('= ')}")
            details[version] = {
                "cloned": what,
                "install": [install.status, install.seconds],
                "test": [tests.status, tests.seconds],
                "failed": re.findall(r"^(?:FAILED|ERROR) (\S+)", tests.text, re.MULTILINE),
                "skipped": re.findall(r"^SKIPPED .*$", tests.text, re.MULTILINE),
                "last lines": (install if install.status else tests).text.splitlines()[-5:],
            }
    return Result("; ".join(figures), good, details)
