"""Run the benchmarks, print their ratios and write `docs/performance.md`.

`python -m tests.benchmarks` runs all of them; names such as `gradient` run some, and only print.
"""

import argparse
import datetime
import importlib
import importlib.metadata
import os
import platform
import sys
from pathlib import Path
from types import ModuleType

from tests import ROOT
from tests.benchmarks import Comparison

PAGE = ROOT / "docs" / "performance.md"
LIBRARIES = ("jax", "equinox", "diffrax", "numpyro", "blackjax")


def names() -> list[str]:
    """Return the names of the benchmarks, `gradient` for `b_gradient.py`."""
    return sorted(file.stem.removeprefix("b_") for file in Path(__file__).parent.glob("b_*.py"))


def table(comparisons: list[Comparison]) -> list[str]:
    """Return the lines of a Markdown table of ratios."""
    lines = [
        "| what | unit | twinprob | compared with | theirs | times better | note |",
        "|---|---|--:|---|--:|--:|---|",
    ]
    for entry in comparisons:
        theirs = "-" if entry.theirs is None else f"{entry.theirs:.3g}"
        ratio = "-" if entry.ratio is None else f"{entry.ratio:.2g}"
        cells = [entry.what, entry.unit, f"{entry.ours:.3g}", entry.other, theirs, ratio, entry.note]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines


def machine() -> str:
    """Return what the figures depend on: date, Python, processor and the versions of the libraries."""
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    versions = ", ".join(f"{library} {importlib.metadata.version(library)}" for library in LIBRARIES)
    return f"{date}; Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores; {versions}"


def page(sections: list[list[str]]) -> str:
    """Return the text of the documentation's page."""
    text = [
        "# Performance",
        "",
        "Written by `make bench`. Every ratio compares figures of one run on one machine; the contenders compute the",
        "same density on the same data, one after the other.",
        "",
        f"Measured {machine()}." if sections else "Nothing has been measured yet.",
        "",
    ]
    for section in sections:
        text += [*section, ""]
    return "\n".join(text).rstrip() + "\n"


def section_of(module: ModuleType) -> list[str]:
    """Run one benchmark, print its table and return its part of the page."""
    print(f"\n{module.TITLE}", flush=True)
    lines = table(module.measure())
    print("\n".join(lines), flush=True)
    return [f"## {module.TITLE}", "", module.HOW, "", *lines]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as gradient; without names, all")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(names()))
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(names()) or 'none'}")
        return 2
    chosen = options.names or names()
    sections = [section_of(importlib.import_module(f"tests.benchmarks.b_{name}")) for name in chosen]
    if not options.names:
        PAGE.write_text(page(sections), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
