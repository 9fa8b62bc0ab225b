"""06.8: the time that the tests and continuous integration take in a fresh clone with empty caches."""

import re
import tempfile
from pathlib import Path

from tests.validation import Result
from tests.validation.fresh import Run, clone, run

LIMIT = 7200
TESTS, ALL = 10 * 60.0, 40 * 60.0
_WING = re.compile(r"^ *([\d.]+) s +(\d+) tests +(\S+)$", re.MULTILINE)
_SUMMARY = re.compile(r"^=* ?((?:\d+ failed, )?\d+ passed.*? in [\d.]+s).*$", re.MULTILINE)


def measure() -> Result:
    """Run `make test`, installation included, and `.ci/run`, each in a clone of its own."""
    with tempfile.TemporaryDirectory() as place:
        what = clone(Path(place) / "tests")
        tests = run(["make", "test"], Path(place) / "tests")
        clone(Path(place) / "all")
        everything = run([".ci/run"], Path(place) / "all")
    wings = by_wing(tests)
    for wing, (count, seconds) in wings.items():
        print(f"{seconds:8.1f} s {count:5} tests  {wing}")
    count = sum(number for number, _ in wings.values())
    return Result(
        f"`make test` {tests.seconds / 60:.1f} min, `.ci/run` {everything.seconds / 60:.1f} min, with installation; "
        f"{count} tests; {'; '.join(_SUMMARY.findall(everything.text))}",
        tests.status == everything.status == 0 and tests.seconds <= TESTS and everything.seconds <= ALL and count > 0,
        {
            "cloned": what,
            "make test": [tests.status, tests.seconds, *_SUMMARY.findall(tests.text)],
            ".ci/run": [everything.status, everything.seconds, *_SUMMARY.findall(everything.text)],
            "by wing": {wing: {"tests": number, "seconds": seconds} for wing, (number, seconds) in wings.items()},
            "slowest": re.findall(r"^([\d.]+s (?:call|setup) .*)$", tests.text, re.MULTILINE),
            "last lines": [run_.text.splitlines()[-6:] for run_ in (tests, everything)],
        },
    )


def by_wing(tests: Run) -> dict[str, tuple[int, float]]:
    """Return the number of tests and their seconds, by wing, as a run of pytest printed them."""
    return {wing: (int(count), float(seconds)) for seconds, count, wing in _WING.findall(tests.text)}
