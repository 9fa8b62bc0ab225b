"""01.8: from a table of MIMIC to a picture of the next four hours, in one short script."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests import ROOT
from tests.validation import Result, shared_data

MOST_LINES = 15
SCRIPT = """
import sys
import jax
import twinprob as tp
from twinprob.readers import mimic

stay = mimic.read(sys.argv[1], int(sys.argv[2]), only="glucose")
known = stay.until("24 h")
twin = tp.fit(tp.models.metabolic.ICING(), known, key=jax.random.key(0))
print(tp.diagnose(twin))
ahead = tp.forecast(twin, inputs=stay.inputs, hours=4, key=jax.random.key(1))
print(ahead.summary().tail(1).T)
print(tp.risk(ahead, "glucose < 4 mmol/L"))
tp.plots.fan(ahead, twin=twin, later=stay, target=(4.4, 8.0)).savefig("fan.png")
"""
# Of the stays with an insulin infusion in their first 24 h, one with dextrose, and with glucose measured after them.
STAY = 286020


def measure() -> Result:
    """Run the script in a process of its own and look at what it left."""
    data = shared_data("mimic-iii-demo")
    lines = [line for line in SCRIPT.splitlines() if line.strip()]
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-W", "error", "-c", SCRIPT, str(data), str(STAY)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
        run = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
        picture = Path(place) / "fan.png"
        drawn = picture.is_file() and picture.read_bytes()[:4] == b"\x89PNG"
    verdict = run.stdout.splitlines()[0] if run.stdout else "nothing printed"
    return Result(
        f"{len(lines)} lines, exit {run.returncode}, {'a' if drawn else 'no'} picture. {verdict}",
        run.returncode == 0 and drawn and len(lines) <= MOST_LINES,
        {"printed": run.stdout.splitlines(), "errors": run.stderr.splitlines()[-3:]},
    )
