"""06.8: the time that the tests and continuous integration take in a fresh clone with empty caches."""

import re
import tempfile
from pathlib import Path

from tests.validation import Result
from tests.validation.fresh import Run, clone, run

LIMIT = 7200
AFTER = ("== tests that depend on versions", "== no Python 3.13")  # what `.ci/run` says once `make test` is done
TESTS, ALL = 10 * 60.0, 40 * 60.0
_WING = re.compile(r"^ *([\d.]+) s +(\d+) tests +(\S+)$", re.MULTILINE)
_SUMMARY = re.compile(r"^=* ?((?:\d+ failed, )?\d+ passed.*? in [\d.]+s).*$", re.MULTILINE)


def measure() -> Result:
    """Run `.ci/run` in a fresh clone, installation included; its first part is `make test`."""
    with tempfile.TemporaryDirectory() as place:
        what = clone(Path(place) / "all")
        everything = run([".ci/run"], Path(place) / "all")
    return judged(everything, what)


def judged(everything: Run, what: str) -> Result:
    """Return the times of one run of `.ci/run`, and the tests by wing."""
    tests = everything.until(*AFTER)
    wings = by_wing(everything)
    for wing, (count, seconds) in wings.items():
        print(f"{seconds:8.1f} s {count:5} tests  {wing}")
    count = sum(number for number, _ in wings.values())
    return Result(
        f"`make test` {tests / 60:.1f} min, `.ci/run` {everything.seconds / 60:.1f} min, with installation; "
        f"{count} tests; {'; '.join(_SUMMARY.findall(everything.text))}",
        everything.status == 0 and tests <= TESTS and everything.seconds <= ALL and count > 0,
        {
            "cloned": what,
            "status": everything.status,
            "summaries": _SUMMARY.findall(everything.text),
            "by wing": {wing: {"tests": number, "seconds": seconds} for wing, (number, seconds) in wings.items()},
            "slowest": re.findall(r"^([\d.]+s (?:call|setup) .*)$", everything.text, re.MULTILINE),
            "last lines": everything.text.splitlines()[-6:],
        },
    )


def by_wing(tests: Run) -> dict[str, tuple[int, float]]:
    """Return the number of tests and their seconds, by wing, as a run of pytest printed them."""
    found: dict[str, tuple[int, float]] = {}
    for seconds, count, wing in _WING.findall(tests.text):
        found.setdefault(wing, (int(count), float(seconds)))  # the first run's, of all tests
    return found
