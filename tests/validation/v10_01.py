"""Every printed table cell by cell, every protocol on its grid, every machine against its hand-made trace."""

import subprocess
import sys

import jax

from tests import ROOT
from tests.decisions.printed import every_print
from tests.decisions.totality import every_grid
from tests.validation import Result
from twinprob.decisions import protocols


def measure() -> Result:
    """Count cells, points and traces, and list what the prints leave open."""
    with jax.enable_x64(True):
        prints, grids = every_print(), every_grid()
    wrong = [words for count in (*prints.values(), *grids.values()) for words in count.wrong]
    cells, asked, total = (
        sum(count.cells for count in prints.values()),
        sum(count.points for count in prints.values()),
        sum(count.points for count in grids.values()),
    )
    command = [sys.executable, "-m", "pytest", "-q", "tests/decisions/test_protocols.py"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    traces = told.stdout.splitlines()[-1].strip("= ")
    gaps = {name: list(cls.gaps) for name, cls in sorted(protocols.by_name().items())}
    return Result(
        f"{cells} cells in {asked:,} points as printed, orders at {total:,} points of {len(grids)} grids, "
        f"{len(wrong)} wrong; traces by hand: {traces}; {sum(map(len, gaps.values()))} gaps of the prints "
        "listed",
        not wrong and told.returncode == 0,
        {
            "points of the prints": {name: count.points for name, count in prints.items()},
            "points of the grids": {name: count.points for name, count in grids.items()},
            "wrong": wrong[:20],
            "gaps": gaps,
        },
    )
