"""Every study that ships, run on the whole MIMIC-III demo by one command each."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests import ROOT
from tests.validation import Result, shared_data
from twinprob.validation.study.protocol import shipped

LIMIT = 5400
COMMAND = [sys.executable, "-c", "from twinprob.cli import app; app()"]
STAYS, MINUTES, GIBIBYTES = 136, 45.0, 6.0


def measure() -> Result:
    """Run the studies, watch the memory of all their processes, and read their reports."""
    folder, told, holds, took, most = shared_data("mimic-iii-demo"), [], True, 0.0, 0.0
    details = {}
    with tempfile.TemporaryDirectory() as place:
        for name in shipped():
            store = Path(place) / name
            began = time.perf_counter()
            memory = _run([*COMMAND, "study", "run", name, "--data", folder, "--out", store])
            seconds = time.perf_counter() - began
            took, most = took + seconds, max(most, memory)
            report = json.loads((store / "report.json").read_text(encoding="utf-8"))
            stays = sum(row["stays"] for row in report["flow"][1:])
            whole = stays == report["flow"][0]["stays"] == STAYS
            holds &= whole and (store / "report.html").stat().st_size < 10e6
            stated = [one for one in report["lines"] if one["area"] == "Stated before the results"]
            passed = sum(one["verdict"] == "passed" for one in stated)
            told.append(f"{name} {seconds / 60:.1f} min, {stays} stays, {passed} of {len(stated)} thresholds passed")
            details[name] = {"lines": report["lines"], "flow": report["flow"], "minutes": seconds / 60, "GiB": memory}
            print(told[-1], flush=True)
    holds &= took <= 60.0 * MINUTES and most <= GIBIBYTES
    return Result(
        "; ".join(told) + f"; {took / 60:.1f} min in all, at most {most:.1f} GiB at once; reports to be looked at",
        bool(holds),
        details,
    )


def _run(command: list) -> float:
    """Return the most memory (GiB) that a command and all processes it started held at once."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([str(word) for word in command], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    most, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(1.0):
            most[0] = max(most[0], _resident(process.pid))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    code = process.wait()
    done.set()
    watcher.join()
    if code:
        raise RuntimeError(f"`{' '.join(map(str, command[3:6]))}` ended with {code}")
    return most[0]


def _resident(pid: int) -> float:
    """Return the memory (GiB) of a process and its descendants, as Linux states it."""
    parents, sizes = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            parents[int(entry.name)], sizes[int(entry.name)] = int(fields[1]), int(fields[21])
    ours, more = {pid}, True
    while more:
        found = {child for child, parent in parents.items() if parent in ours} - ours
        ours, more = ours | found, bool(found)
    return sum(sizes.get(one, 0) for one in ours) * os.sysconf("SC_PAGE_SIZE") / 2**30
