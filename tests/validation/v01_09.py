"""01.9: a twin saved, loaded in a new process and asked again; the file opened by xarray and ArviZ."""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import numpy as np

import twinprob as tp
from tests import ROOT
from tests.test_docs import PAGES, python_blocks
from tests.validation import Result

AGAIN = """
import sys, hashlib, jax, numpy as np, twinprob as tp
twin = tp.load(sys.argv[1])
ahead = tp.forecast(twin, hours=4, key=jax.random.key(1))
for group in ("predictions", "predicted_outputs"):
    print(hashlib.sha256(np.ascontiguousarray(ahead.tree[group]["glucose"].values).tobytes()).hexdigest())
"""
OPEN = """
import sys
import arviz_base, arviz_plots, arviz_stats
import xarray as xr
tree = xr.open_datatree(sys.argv[1], engine="h5netcdf").load()
failed = 0
for line in sys.stdin.read().splitlines():
    try:
        exec(line)
    except Exception as error:
        failed += 1
        print("failed:", line, type(error).__name__, file=sys.stderr)
print("groups", len(tree.children))
sys.exit(failed)
"""


def documented_calls() -> list[str]:
    """Return every line of the documentation that calls ArviZ on a tree."""
    blocks = [block for page in PAGES for block in python_blocks(page)]
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if re.search(r"\barviz_\w+\.\w+\(", line)]


def fresh(code: str, path: Path, text: str = "") -> subprocess.CompletedProcess:
    """Run code on a file in a new process, outside the project."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
    command = [sys.executable, "-c", code, str(path)]
    return subprocess.run(command, cwd=path.parent, env=environment, input=text, capture_output=True, text=True)


def measure() -> Result:
    """Compare the forecasts of two processes byte by byte, and run the documented calls."""
    stay = tp.load_example("icu_glucose", stay=3)
    twin = tp.fit(tp.models.metabolic.ICING(), stay.until("24 h"), key=jax.random.key(0))
    ahead = tp.forecast(twin, hours=4, key=jax.random.key(1))
    groups = ("predictions", "predicted_outputs")
    arrays = [np.ascontiguousarray(ahead.tree[group]["glucose"].values) for group in groups]
    here = [hashlib.sha256(array.tobytes()).hexdigest() for array in arrays]
    calls = documented_calls()
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "twin.nc"
        twin.save(path)
        there, opened = fresh(AGAIN, path), fresh(OPEN, path, "\n".join(calls))
    same = there.stdout.split() == here
    groups_read = opened.stdout.splitlines()[-1] if opened.stdout else "file not opened"
    return Result(
        f"{'bit-identical' if same else 'different'} in a new process; {len(calls) - opened.returncode} of "
        f"{len(calls)} documented ArviZ calls work, {groups_read}",
        same and opened.returncode == 0 and len(calls) > 0,
        {"values compared": sum(a.size for a in arrays), "calls": calls, "failed": opened.stderr.splitlines()[-6:]},
    )
