"""A study whose worker is killed and that is interrupted, gone on with, against one process left alone."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests import ROOT
from tests.validation import Result
from tests.validation.made_extract import extract

LIMIT = 3600
COUNT = 10
LOCAL = """
import sys
from twinprob.validation.study.run import study
plan, data, store, workers = sys.argv[1:]
study(plan, data=data, store=store, workers=int(workers), progress=lambda *told: print(*told, flush=True))
"""
CLUSTER = """
import sys
from distributed import Client, LocalCluster
from twinprob.validation.study.run import study
if __name__ == "__main__":
    plan, data, store = sys.argv[1:]
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        print("workers", *[worker.pid for worker in cluster.workers.values()], flush=True)
        study(plan, data=data, store=store, client=client, progress=lambda *told: print(*told, flush=True))
"""


def measure() -> Result:
    """Kill a worker of a cluster, interrupt the run, go on with it; compare with one process."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        plan = extract(folder / "data", COUNT)
        script = folder / "cluster.py"
        script.write_text(CLUSTER, encoding="utf-8")
        whole, broken = folder / "whole", folder / "broken"
        alone = _run([sys.executable, "-c", LOCAL, str(plan), str(plan.parent / "data"), str(whole), "1"])
        print("undisturbed", alone, flush=True)
        command = [sys.executable, str(script), str(plan), str(plan.parent / "data"), str(broken)]
        killed = _run(command, kill=2, interrupt=4)
        kept = _kept(broken)
        print("interrupted", killed, kept, flush=True)
        resumed = _run([sys.executable, "-c", LOCAL, str(plan), str(plan.parent / "data"), str(broken), "2"])
        same, patients = _same(whole, broken)
    once = alone == COUNT and killed <= kept and resumed == COUNT - kept
    return Result(
        f"a worker killed after 2 of {COUNT} patients, the run interrupted after {killed} told: {kept} kept, the other "
        f"{resumed} done by two processes on resuming; {patients} patients, each once: {once}; results "
        f"{'bit-identical to' if same else 'other than'} one process left alone",
        bool(once and same and patients == COUNT),
        {"told by the undisturbed run": alone, "told before the interrupt": killed, "kept": kept, "resumed": resumed},
    )


def _run(command: list[str], *, kill: int = 0, interrupt: int = 0) -> int:
    """Return how many patients a run told of, having killed a worker and interrupted it after so many."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment)
    told, workers = 0, []
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("workers"):
            workers = [int(pid) for pid in line.split()[1:]]
            continue
        told += "patients" in line
        if kill and told == kill and workers:
            os.kill(workers.pop(), signal.SIGKILL)
        if interrupt and told == interrupt:
            time.sleep(0.2)  # into the patient under way
            process.send_signal(signal.SIGINT)
            break
    process.communicate(timeout=600)
    return told


def _kept(folder: Path) -> int:
    from twinprob.validation.study.store import Store

    return len(Store.read(folder).done())


def _same(one: Path, other: Path) -> tuple[bool, int]:
    """Tell whether two stores hold the same patients and, bit for bit, the same numbers of each."""
    from twinprob.validation.study.store import Store

    first, second = Store.read(one), Store.read(other)
    if first.done() != second.done():
        return False, len(second.done())
    same = True
    for patient in first.done():
        (a, about), (b, told) = (store.part(patient)[0].arrays() for store in (first, second))
        same &= about == told and list(a) == list(b)
        same &= all(np.array_equal(a[name].view(np.uint8), b[name].view(np.uint8)) for name in a if a[name].ndim)
    return same, len(second.done())
