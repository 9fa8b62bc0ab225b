"""Measure the lines of the acceptance tables.

`python -m tests.validation` lists them, `python -m tests.validation 01.3` measures one, `--all` every one that has a
script, each in a process of its own. The status is 0 where the bar holds, 1 where not, 2 for a line without a script, 3
where the data are absent.
"""

import argparse
import ast
import importlib
import os
import re
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from tests import ROOT
from tests.validation import DataAbsent, Result, rows
from tests.validation.acceptance import LINES, Line

HOLDS, MISSES, UNKNOWN, ABSENT = 0, 1, 2, 3
DEFAULT_LIMIT = 1800.0


def scripts() -> dict[str, str]:
    """Return the module of each line that has one."""
    found = {}
    for file in Path(__file__).parent.glob("v[0-9][0-9]_*.py"):
        match = re.fullmatch(r"v(\d\d)_(\d\d)", file.stem)
        if match is None:
            raise ValueError(f"tests/validation/{file.name} is named unlike v01_03.py")
        found[f"{match[1]}.{int(match[2])}"] = f"tests.validation.{file.stem}"
    return found


def order(line: str) -> tuple[int, int]:
    """Sort 01.10 after 01.9."""
    issue, number = line.split(".")
    return int(issue), int(number)


def declared(line: str) -> dict[str, Any]:
    """Return TITLE, BAR and LIMIT as a line's script declares them, without importing what it measures."""
    if line not in scripts():
        return {}
    file = ROOT / (scripts()[line].replace(".", "/") + ".py")
    found = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name in {"TITLE", "BAR", "LIMIT"}:
                found[name] = ast.literal_eval(node.value)
    return found


def stated(line: str) -> Line:
    """Return title and bar of a line; its own script may word them."""
    known = LINES.get(line, Line("", ""))
    words = declared(line)
    return Line(words.get("TITLE", known.title), words.get("BAR", known.bar))


def measure(line: str) -> int:
    """Measure one line in this process, print its details and last its figure, and keep the row."""
    title, bar = stated(line)
    print(f"{line} {title}\n  bar: {bar}", flush=True)
    began = time.perf_counter()
    try:
        result = importlib.import_module(scripts()[line]).measure()
        if not isinstance(result, Result):
            raise TypeError(f"measure() of {line} returned {type(result).__name__}; it must return a Result")
    except DataAbsent as absent:
        return keep(rows.Row(line, title, bar, rows.SKIPPED, str(absent)), began)
    except Exception as error:  # noqa: BLE001  the row says what broke, and the next line still runs
        traceback.print_exc()
        return keep(rows.Row(line, title, bar, rows.BROKE, type(error).__name__), began)
    details = rows.plain(result.details)
    for name, value in details.items():
        print(f"  {name}: {value}")
    status = rows.HOLDS if result.holds else rows.MISSES
    return keep(rows.Row(line, title, bar, status, rows.without_paths(result.figure), details=details), began)


def keep(row: rows.Row, began: float) -> int:
    """Write a row with its time and date, and print its last line."""
    seconds = round(time.perf_counter() - began, 1)
    made = rows.Row(
        row.line, row.title, row.bar, row.status, row.figure, seconds, rows.today(), rows.machine(), row.details
    )
    # Absent data say nothing about a claim measured where they were present.
    if row.status != rows.SKIPPED or not rows.json_file(row.line).is_file():
        rows.write(made)
    tabulate()
    print(f"{row.line} {row.status.strip('*')}: {row.figure}", flush=True)
    return {rows.HOLDS: HOLDS, rows.SKIPPED: ABSENT}.get(row.status, MISSES)


def measure_apart(line: str) -> int:
    """Measure one line in a process of its own, ended with its children when its time is over."""
    limit = float(declared(line).get("LIMIT", DEFAULT_LIMIT))
    began = time.perf_counter()
    command = [sys.executable, "-m", "tests.validation", line]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    try:
        return process.wait(timeout=limit)
    except subprocess.TimeoutExpired:
        end(process)
        return keep(rows.Row(line, *stated(line), rows.SLOW, f"no figure within {limit:.0f} s"), began)
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children, where it still runs."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def tabulate() -> None:
    """Write the page of all lines, measured or not."""
    have = scripts()
    lines = sorted({*LINES, *have}, key=order)
    table = [rows.read(line, stated(line)) for line in lines]
    rows.write_table(table)


def show_lines() -> int:
    """List the lines, whether they have a script and how they stand."""
    have = scripts()
    for line in sorted({*LINES, *have}, key=order):
        row = rows.read(line, stated(line))
        status = row.status.strip("*") if line in have or row.date else "no script yet"
        print(f"{line:6} {status:22} {row.title}")
    return HOLDS


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.validation", description=__doc__)
    parser.add_argument("lines", nargs="*", metavar="LINE", help="such as 01.3")
    parser.add_argument("--all", action="store_true", help="every line that has a script, each in its own process")
    parser.add_argument("--table", action="store_true", help="only write docs/validation/index.md again")
    options = parser.parse_args(arguments)
    have = scripts()
    if options.table:
        tabulate()
        return HOLDS
    lines = sorted(have, key=order) if options.all else options.lines
    missing = [line for line in lines if line not in have]
    if missing:
        print(f"no script for {', '.join(missing)}; lines with one: {', '.join(sorted(have, key=order)) or 'none'}")
        return UNKNOWN
    if not lines:
        return show_lines()
    if len(lines) == 1 and not options.all:
        return measure(lines[0])
    statuses = {line: measure_apart(line) for line in lines}
    tabulate()
    held = [line for line, status in statuses.items() if status == HOLDS]
    absent = [line for line, status in statuses.items() if status == ABSENT]
    missed = [line for line in lines if line not in held and line not in absent]
    print(f"{len(held)} hold, {len(missed)} miss ({', '.join(missed) or '-'}), {len(absent)} skipped: data absent")
    return MISSES if missed else HOLDS


if __name__ == "__main__":
    sys.exit(main())
