"""A trial of 1,000 interrupted, killed and gone on with, against one that was left alone."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests import ROOT
from tests.validation import Result

COUNT, BATCHES, ARMS = 1000, 4, 2
PROGRAM = f"""
import sys, jax
from tests.decisions.insulin_trial import meter, patients
from twinprob.decisions import trial
from twinprob.decisions.protocols.metabolic import FixedRate, Yale2012
folder, out = sys.argv[1:]
done = trial({{"Yale": Yale2012(), "fixed": FixedRate()}}, patients({COUNT}, 24.0), hours=24.0, key=jax.random.key(111),
             world=meter(0.05), folder=folder or None, progress=lambda *told: print(*told, flush=True))
print("treated", done.patients, flush=True)
if out:
    done.save(out)
"""


def measure() -> Result:
    """Kill one process, interrupt another, let a third finish; compare with a fourth, undisturbed."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "parts"
        killed = _stopped(folder, 2, signal.SIGKILL)
        kept = len(list(folder.glob("batch-*.nc")))
        interrupted = _stopped(folder, 5, signal.SIGINT)
        kept_again = len(list(folder.glob("batch-*.nc")))
        resumed, alone = Path(place) / "resumed.nc", Path(place) / "alone.nc"
        _finished(folder, resumed)
        _finished("", alone)
        same = _content(resumed) == _content(alone)
    holds = same and kept >= killed and kept_again >= interrupted
    return Result(
        f"killed after {killed} of {BATCHES * ARMS} batches: {kept} kept; interrupted after {interrupted}: "
        f"{kept_again} kept; resumed {'bit-identical to' if same else 'other than'} undisturbed",
        holds,
        {
            "told before the kill": killed,
            "kept": kept,
            "told before the interrupt": interrupted,
            "kept then": kept_again,
        },
    )


def _stopped(folder: Path, after: int, how: signal.Signals) -> int:
    """Start a trial and stop it once it has told of so many batches; return how many it told of."""
    command = [sys.executable, "-c", PROGRAM, str(folder), ""]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=_environment())
    told = 0
    assert process.stdout is not None
    for _ in process.stdout:
        told += 1
        if told == after:
            time.sleep(0.2)  # into the batch under way
            process.send_signal(how)
            break
    process.wait(timeout=600)
    return told


def _finished(folder: Path | str, out: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(folder), str(out)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, env=_environment())


def _environment() -> dict[str, str]:
    return {**os.environ, "JAX_ENABLE_X64": "1", "PYTHONPATH": str(ROOT)}


def _content(path: Path) -> dict[str, bytes]:
    """Return every number of a trial as bytes, by its place in the tree."""
    from twinprob.decisions import load_trial

    tree = load_trial(path).tree
    return {
        f"{node.path}/{name}": values.values.tobytes()
        for node in tree.subtree
        for name, values in node.data_vars.items()
    }
