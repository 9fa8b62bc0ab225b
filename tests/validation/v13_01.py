"""The twelve tests of a newcomer's first hour, slow ones included, in a process of their own."""

import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from pathlib import Path

from tests import ROOT
from tests.validation import Result

TWELVE = {
    1: "install", 2: "import", 3: "README in a fresh notebook", 4: "own CSV with faults", 5: "units",
    6: "failing solves", 7: "a bad model", 8: "save and reload", 9: "ArviZ", 10: "update", 11: "what-if",
    12: "50 patients, 2 broken, Ctrl-C, resume, report",
}  # fmt: skip


def measure() -> Result:
    """Run tests/first_hour, and count a number as held where each of its tests passed."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-m", "slow or not slow", f"--junitxml={report}"]
        said = subprocess.run([*command, "tests/first_hour"], cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout
        cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    found: dict[int, list[bool]] = defaultdict(list)
    for case in cases:
        numbered = re.match(r"test_(\d\d)_", case.attrib["name"])
        if numbered:
            found[int(numbered[1])].append(
                not any(case.find(part) is not None for part in ("failure", "error", "skipped"))
            )
    held = [number for number in TWELVE if found[number] and all(found[number])]
    missed = [TWELVE[number] for number in TWELVE if number not in held]
    minutes = (time.perf_counter() - began) / 60.0
    return Result(
        figure=f"{len(held)} of {len(TWELVE)} in {minutes:.1f} min" + (f"; not: {', '.join(missed)}" if missed else ""),
        holds=not missed,
        details={"tests": {TWELVE[n]: f"{sum(found[n])} of {len(found[n])}" for n in TWELVE},
                 "last line": said.strip().splitlines()[-1]},
    )  # fmt: skip
