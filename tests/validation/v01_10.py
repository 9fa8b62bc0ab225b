"""01.10: what `import twinprob` does to a process, and how long it takes."""

import statistics
import subprocess
import sys

from tests import ROOT
from tests.validation import Result

ROUNDS = 7
MOST = 1.3
PROBE = """
import sys, jax
before = jax.config.jax_enable_x64
import twinprob
from jax._src import xla_bridge
print(sorted(xla_bridge._backends), jax.config.jax_enable_x64 == before, "matplotlib" in sys.modules)
"""
TIMED = "import time; began = time.perf_counter(); import {}; print(time.perf_counter() - began)"


def said(code: str) -> str:
    """Run code in a new process and return what it printed."""
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def measure() -> Result:
    """Import in new processes, ours and the others in turn, so that a busy machine slows both."""
    backends, flag_kept, drawn = said(PROBE).rsplit(" ", 2)
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(float(said(TIMED.format("twinprob"))))
        theirs.append(float(said(TIMED.format("numpyro, diffrax, xarray"))))
    ratio = statistics.median(ours) / statistics.median(theirs)
    return Result(
        f"backends {backends}, x64 flag {'untouched' if flag_kept == 'True' else 'changed'}, matplotlib "
        f"{'pulled in' if drawn == 'True' else 'not pulled in'}, {ratio:.2f} × "
        f"({statistics.median(ours):.2f} s against {statistics.median(theirs):.2f} s, {ROUNDS} each)",
        backends == "[]" and flag_kept == "True" and drawn == "False" and ratio <= MOST,
        {"ours": ours, "numpyro, diffrax, xarray": theirs},
    )
