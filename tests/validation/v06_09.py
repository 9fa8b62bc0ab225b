"""06.9: small faults put into a copy, one at a time, and the tests of their wing.

A whole run takes an hour or two. `python -m tests.validation.v06_09 --only patient design` runs some wings again,
`--missing` what has no result yet, `--survivors` what was not noticed; the results of the others stay.
"""

import argparse
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from shutil import copyfile
from typing import Any

from tests import ROOT, project_files
from tests.validation import Result, rows
from tests.validation.acceptance import LINES
from tests.validation.faults import Fault
from tests.validation.faults.beliefs import BELIEFS
from tests.validation.faults.choices import CHOICES
from tests.validation.faults.fork import prepare, run_tests
from tests.validation.faults.judgments import JUDGMENTS
from tests.validation.faults.patients import PATIENTS
from tests.validation.faults.physiology import PHYSIOLOGY
from tests.validation.faults.survivors import REASONS

LINE = "06.9"
LIMIT = 14400
FEWEST, SHARE = 120, 0.95
NO_TESTS = 5  # what pytest returns where none was chosen
NAMED_LIMIT, WING_LIMIT = 300.0, 1500.0
ALL = (*PATIENTS, *PHYSIOLOGY, *BELIEFS, *JUDGMENTS, *CHOICES)
_FAILED = re.compile(r"^(?:FAILED|ERROR) (tests/.+?)(?: - |$)", re.MULTILINE)


def measure() -> Result:
    """Try every fault."""
    return judged(tried(ALL))


def require_fresh(faults: Iterable[Fault]) -> None:
    """Refuse a table whose texts the library no longer holds once.

    Raises
    ------
    LookupError
    """
    stale = [
        fault.name for fault in faults if (ROOT / "twinprob" / fault.file).read_text("utf-8").count(fault.old) != 1
    ]
    if stale:
        raise LookupError(
            "The text of these faults does not stand once in its file; put another fault in their place in "
            f"tests/validation/faults: {'; '.join(stale)}"
        )


def tried(
    faults: Sequence[Fault], kept: dict[str, dict[str, Any]] | None = None, *, whole: bool = True
) -> dict[str, Any]:
    """Return what became of each fault by name; `kept` are earlier results, which the new ones replace."""
    require_fresh(ALL)
    found = dict(kept or {})
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "twinprob"
        for path in project_files():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            copyfile(ROOT / path, folder / path)
        prepare(folder)
        for number, fault in enumerate(faults, 1):
            found[fault.name] = tried_one(fault, folder, whole)
            print(f"{number}/{len(faults)} {fault.name.splitlines()[0]}: {found[fault.name]}", flush=True)
            save(found)
        for name in _unsound({fault.name: found[fault.name] for fault in faults}, folder):
            found[name] |= {"noticed": False, "by": f"{found[name]['by']}, which fails without the fault too"}
    return found


def tried_one(fault: Fault, folder: Path, whole: bool) -> dict[str, Any]:
    """Put a fault into a copy, run the tests named beside it, then where `whole` the rest of its wing; take it out."""
    file = folder / "twinprob" / fault.file
    right = file.read_text(encoding="utf-8")
    began = time.perf_counter()
    file.write_text(right.replace(fault.old, fault.new), encoding="utf-8")
    named = [f"tests/{name}" for name in fault.tests]
    wing = sorted(
        f"tests/{path.relative_to(folder / 'tests')}" for path in (folder / "tests" / fault.wing).glob("test_*.py")
    )
    try:
        by = noticed_by(named, folder, NAMED_LIMIT) or noticed_by(named, folder, WING_LIMIT, slow=True)
        if by is None and whole and (rest := [name for name in wing if name not in named]):
            by = noticed_by(rest, folder, WING_LIMIT)
    finally:
        file.write_text(right, encoding="utf-8")
    return {"noticed": by is not None, "by": by or "", "seconds": round(time.perf_counter() - began, 1)}


def noticed_by(tests: Sequence[str], folder: Path, limit: float, *, slow: bool = False) -> str | None:
    """Return the first test of these files that fails, of the default tests or of the slow ones, or None."""
    status, text = run_tests(["-x", *(["-m", "slow"] if slow else []), *tests], folder, limit)
    if status is None:
        return f"no end within {limit:.0f} s of processor time"
    failed = _FAILED.search(text)
    if status not in (0, 1, NO_TESTS) and failed is None:
        raise RuntimeError(f"pytest ended with status {status}:\n{text[-2000:]}")
    return failed[1] if failed else None


def _unsound(found: dict[str, dict[str, Any]], folder: Path) -> list[str]:
    """Return the faults whose noticing test fails in the copy without any fault."""
    tests = sorted({one["by"] for one in found.values() if one["by"].startswith("tests/") and "::" in one["by"]})
    failing = set(_FAILED.findall(run_tests(["-m", "", *tests], folder)[1])) if tests else set()
    return [name for name, one in found.items() if one["by"] in failing]


def judged(found: dict[str, dict[str, Any]]) -> Result:
    """Return the share noticed, and the survivors with a reason."""
    known = {fault.name: found[fault.name] for fault in ALL if fault.name in found}
    noticed = sum(one["noticed"] for one in known.values())
    survivors = {name: REASONS.get(name, "no reason given") for name, one in known.items() if not one["noticed"]}
    left = len(ALL) - len(known)
    wings: Counter[str] = Counter(fault.wing for fault in ALL if fault.name in known)
    figure = f"{noticed} of {len(known)} noticed ({noticed / max(len(known), 1):.1%}), {len(survivors)} survive"
    holds = left == 0 and len(known) >= FEWEST and noticed >= SHARE * len(known)
    holds = holds and "no reason given" not in survivors.values()
    details = {"by wing": dict(wings), "survivors": survivors, "faults": known}
    return Result(figure + (f"; {left} not yet tried" if left else ""), holds, details)


def kept() -> dict[str, dict[str, Any]]:
    """Return the results on file."""
    return dict(rows.read(LINE, LINES[LINE]).details.get("faults", {}))


def save(found: dict[str, dict[str, Any]], seconds: float | None = None) -> Result:
    """Keep the results so far, so that a run can be ended and taken up again."""
    result = judged(found)
    status = rows.HOLDS if result.holds else rows.MISSES
    title, bar = LINES[LINE]
    rows.write(rows.Row(LINE, title, bar, status, result.figure, seconds, rows.today(), rows.machine(), result.details))
    return result


def main() -> int:
    """Run part of the faults and join the results to those on file."""
    parser = argparse.ArgumentParser(prog="python -m tests.validation.v06_09", description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], metavar="WING", help="such as patient")
    parser.add_argument("--missing", action="store_true", help="only what has no result yet")
    parser.add_argument("--survivors", action="store_true", help="only what was not noticed")
    parser.add_argument("--named", action="store_true", help="leave out the rest of the wing: quick, and strict")
    options = parser.parse_args()
    before = kept()
    chosen = [fault for fault in ALL if not options.only or fault.wing in options.only]
    if options.missing:
        chosen = [fault for fault in chosen if fault.name not in before]
    if options.survivors:
        chosen = [fault for fault in chosen if fault.name in before and not before[fault.name]["noticed"]]
    result = save(tried(chosen, before, whole=not options.named))
    print(result.figure)
    return 0 if result.holds else 1


if __name__ == "__main__":
    sys.exit(main())
